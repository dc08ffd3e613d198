"""Camera processes that play what a test gives them."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Any, BinaryIO

import attrs

from plexus.domain.errors import ConfigurationError
from plexus.ports.camera import STOP_S


@attrs.frozen
class Reel:
    """What one process does: writes `output`, then ends saying `error`; an `endless` one stays until it is stopped."""

    output: bytes = b""
    error: str = ""
    endless: bool = False


class MemoryLauncher:
    """Plays the reels one after the other, the last one again and again; `calls` are the arguments of each start."""

    def __init__(self, *reels: Reel, installed: bool = True) -> None:
        self._reels = reels or (Reel(),)
        self._installed = installed
        self.calls: list[list[str]] = []
        self.processes: list[MemoryProcess] = []

    def __call__(self, arguments: Sequence[str]) -> MemoryProcess:
        """Start the next reel."""
        if not self._installed:
            raise ConfigurationError("the camera program in memory is set to be missing")
        reel = self._reels[min(len(self.calls), len(self._reels) - 1)]
        self.calls.append(list(arguments))
        process = MemoryProcess(reel)
        self.processes.append(process)
        return process


class MemoryProcess:
    """One process; `stopped` once it was."""

    def __init__(self, reel: Reel) -> None:
        self._reel = reel
        self._stopped = threading.Event()
        self._stdout = io.BufferedReader(_Output(reel, self._stopped))

    @property
    def stdout(self) -> BinaryIO:
        """Its output."""
        return self._stdout

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self, grace_s: float = STOP_S) -> None:  # noqa: ARG002 - it ends at once
        """End it."""
        self._stopped.set()

    def error(self) -> str:
        """What it said."""
        return self._reel.error


class _Output(io.RawIOBase):
    """A reel's output; an endless one blocks at its end until the process is stopped."""

    def __init__(self, reel: Reel, stopped: threading.Event) -> None:
        self._left = reel.output
        self._endless = reel.endless
        self._stopped = stopped

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left and self._endless:
            self._stopped.wait()
        taken = self._left[: len(buffer)]
        self._left = self._left[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)
