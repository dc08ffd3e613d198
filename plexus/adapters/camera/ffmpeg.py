"""Camera processes by ffmpeg. The program's last words are kept; its output is a pipe."""

from __future__ import annotations

import contextlib
import errno
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, BinaryIO

from plexus.domain.errors import ConfigurationError, DeliveryError
from plexus.ports.camera import STOP_S

KEPT_LINES = 20
MAX_LINE_BYTES = 1_000
_LATER = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


class FfmpegLauncher:
    """Starts `program` (a name to look up in PATH, or a path) with the arguments that it is called with."""

    def __init__(self, program: str = "ffmpeg") -> None:
        self._program = program

    def __call__(self, arguments: Sequence[str]) -> FfmpegProcess:
        """Start it; raises ConfigurationError when it is not installed, DeliveryError when it cannot start now."""
        path = shutil.which(self._program)
        if path is None:
            raise ConfigurationError(
                f"{self._program} is not installed, or not in PATH; cameras need it "
                "(Debian: apt install ffmpeg; macOS: brew install ffmpeg)"
            )
        try:
            # A session of its own: Ctrl-C is for the program, which then ends this one in good order.
            process = subprocess.Popen(  # noqa: S603 - an argument list, checked by the engine, and no shell
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as exc:
            if exc.errno in _LATER:
                raise DeliveryError(f"{path} cannot be started now: {exc.strerror}") from exc
            raise ConfigurationError(f"{path} cannot be run: {exc.strerror}; check that it is a program") from exc
        return FfmpegProcess(process)


class FfmpegProcess:
    """One running process, and the thread that listens to its complaints."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdout: IO[bytes] = process.stdout
        self._lock = threading.Lock()
        self._said: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._listener = threading.Thread(
            target=self._listen, args=(process.stderr,), name="plexus-camera-errors", daemon=True
        )
        self._listener.start()

    @property
    def stdout(self) -> BinaryIO:
        """Its output; whoever reads it closes it."""
        return self._stdout  # type: ignore[return-value]  # a buffered reader, which IO[bytes] does not say

    def stop(self, grace_s: float = STOP_S) -> None:
        """Ask it to end, kill it after `grace_s` seconds, and wait for its end.

        Where another thread is at it already, that is waited for, no longer than `grace_s`.
        """
        if not self._lock.acquire(timeout=grace_s):
            return
        try:
            self._end(grace_s)
        finally:
            self._lock.release()
        self._listener.join(grace_s)

    def _end(self, grace_s: float) -> None:
        with contextlib.suppress(OSError):
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(grace_s)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()

    def error(self) -> str:
        """The last 20 lines that it wrote to its error stream."""
        return b"\n".join(self._said).decode("utf-8", "replace").strip()

    def _listen(self, stderr: IO[bytes]) -> None:
        with stderr:
            # By pieces and not by lines: a line may have no end.
            while line := stderr.readline(MAX_LINE_BYTES):
                self._said.append(line.rstrip(b"\r\n"))
