"""A camera's stream through ffmpeg: `px.stream_camera("rtsp://10.0.0.7/stream1")`.

ffmpeg is started with an argument list, never through a shell, and only for what a camera is (security page):
- network streams of the schemes in SCHEMES, each with a `-protocol_whitelist` of what it needs. `file` is in none of
  them, so a playlist (HLS, concat) that a camera or whoever poses as one sends cannot make ffmpeg read a local file
  into the picture;
- devices `/dev/videoN`, with the demuxer named, so that nothing but a video device is opened.
Local files are refused for the same reason: a file's name does not tell whether it is a recording or a playlist that
points elsewhere. Whoever trusts a file can run ffmpeg and hand its output to `read_mjpeg_frames`.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from plexus.device.mjpeg import read_mjpeg_frames
from plexus.domain.errors import ConfigurationError, PlexusError
from plexus.ports.camera import STOP_S, CameraLauncher, CameraProcess
from plexus.protocol.backoff import backoff_s

log = logging.getLogger("plexus")

SCHEMES: Mapping[str, str] = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,srtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tcp,tls",
    "http": "http,https,tcp,tls",
    "https": "http,https,tcp,tls",
    "udp": "udp",
    "rtp": "rtp,udp",
    "tcp": "tcp",
}
"""What may be asked for, and the protocols that ffmpeg may then use."""

STALL_S = 30.0
"""A camera that shows nothing for so long is started anew: one that lost its power leaves the connection open."""

CHECK_S = 0.5
"""How often it is looked whether the camera stalls or was asked to end."""

MIN_FPS, MAX_FPS = 0.1, 120
"""The lowest is well above one frame in STALL_S."""

Run = Callable[[Callable[[], None]], None]
"""How a job is run: on a thread of its own in a client."""

Wait = Callable[[threading.Event, float], bool]
"""Waits for the event at most so many seconds; whether it is set. `threading.Event.wait` in a client."""

_device = re.compile(r"/dev/video\d{1,3}\Z")
_address = re.compile(r" @ 0x[0-9a-f]+")
"""What ffmpeg puts into the brackets before a message; it differs at every start."""
_user_info = re.compile(r"(?<=://)[^/\s@]*(?:@[^/\s@]*)*@")


def camera_arguments(url: str, fps: float = 15, quality: int = 85) -> list[str]:
    """ffmpeg's arguments for a camera at `url`: `fps` frames a second, as JPEGs of `quality` (1 to 100) on its stdout.

    Raises ConfigurationError for what is no camera, naming what is.
    """
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not MIN_FPS <= fps <= MAX_FPS:
        raise ConfigurationError(f"fps {fps!r} is not valid: use a number from {MIN_FPS} to {MAX_FPS}")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise ConfigurationError(f"quality {quality!r} is not valid: use a whole number from 1 to 100")
    # ffmpeg's scale for JPEGs goes from 2, the best, to 31.
    scale = round(31 - (quality - 1) * 29 / 99)
    return [
        *("-hide_banner", "-nostdin", "-loglevel", "error"),
        *_input(url),
        *("-an", "-sn", "-dn", "-r", f"{fps:g}", "-c:v", "mjpeg", "-q:v", str(scale), "-f", "mjpeg", "pipe:1"),
    ]


def hide_user(text: str) -> str:
    """Text with the user names and passwords of its addresses taken out; ffmpeg's messages repeat the address."""
    return _user_info.sub("…@", text)


class CameraStream:
    """One camera, kept running until `stop`: started anew with growing waits when it ends, fails or shows nothing.

    `deliver` gets each JPEG on the reader's thread. `now` is monotonic seconds, `random` gives numbers from 0 up to 1.
    The first process is started by the constructor, so that a program that is missing is an error of the call:
    raises what the launcher raises.
    """

    def __init__(
        self,
        launch: CameraLauncher,
        arguments: list[str],
        deliver: Callable[[bytes], None],
        *,
        run: Run,
        now: Callable[[], float],
        wait: Wait,
        random: Callable[[], float],
    ) -> None:
        self._launch = launch
        self._arguments = arguments
        self._deliver = deliver
        self._run = run
        self._now = now
        self._wait = wait
        self._random = random
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._error: str | None = None
        self._frames = 0
        self._seen_at = now()
        process = launch(arguments)
        self._process = process
        try:
            run(lambda: self._supervise(process))
        except RuntimeError:
            process.stop()
            process.stdout.close()
            raise

    # --- the handle that a user holds -----------------------------------------------------------------------

    def set(self) -> None:
        """Ask the stream to end, without waiting; 0.5.2 gave an event here."""
        self._stopping.set()

    def is_set(self) -> bool:
        """Whether it was asked to end."""
        return self._stopping.is_set()

    def stop(self, timeout: float = 5.0) -> bool:
        """End the stream, waiting at most `timeout` seconds; whether it has ended."""
        end = self._now() + timeout
        self._stopping.set()
        self._process.stop(min(timeout, STOP_S))
        return self._ended.wait(max(0.0, end - self._now()))

    @property
    def is_running(self) -> bool:
        """Whether frames come, or are being waited for."""
        return not self._ended.is_set()

    @property
    def error(self) -> str | None:
        """Why there are no frames now, in a sentence; None while they come."""
        return self._error

    # --- the supervisor's thread ----------------------------------------------------------------------------

    def _supervise(self, first: CameraProcess) -> None:
        process: CameraProcess | None = first
        attempt = 0
        try:
            while not self._stopping.is_set():
                frames = self._frames
                if process is not None:
                    self._watch(process)
                attempt = 0 if self._frames > frames else attempt
                if self._wait(self._stopping, backoff_s(attempt, self._random)):
                    break
                attempt += 1
                process = self._start()
        finally:
            self._finish(process)

    def _start(self) -> CameraProcess | None:
        self._seen_at = self._now()
        try:
            self._process = self._launch(self._arguments)
        except PlexusError as exc:
            self._fail(str(exc))
            return None
        return self._process

    def _watch(self, process: CameraProcess) -> None:
        """Until this process has ended, ended by us when it shows nothing or nobody wants it any more."""
        read = threading.Event()
        try:
            self._run(lambda: self._read(process, read))
        except RuntimeError as exc:
            # The system gives no more threads now, or the interpreter is going down.
            process.stop()
            process.stdout.close()
            self._fail(str(exc))
            return
        stalled = False
        while not self._wait(read, CHECK_S):
            stalled = self._now() - self._seen_at > STALL_S
            if stalled or self._stopping.is_set():
                process.stop()
        process.stop()
        if not self._stopping.is_set():
            said = "; ".join(_address.sub("", hide_user(process.error())).splitlines()[-3:])
            self._fail(f"no frame for {STALL_S:g} s" if stalled else said or "the camera's stream ended")

    def _fail(self, reason: str) -> None:
        if reason != self._error:
            log.warning("camera: %s", reason)
        self._error = reason

    def _finish(self, process: CameraProcess | None) -> None:
        if process is not None:
            process.stop()
            process.stdout.close()
        self._ended.set()

    # --- the reader's thread --------------------------------------------------------------------------------

    def _read(self, process: CameraProcess, read: threading.Event) -> None:
        try:
            with process.stdout as pipe:
                for jpeg in read_mjpeg_frames(pipe):
                    if self._stopping.is_set():
                        break
                    self._hand_over(jpeg)
        except (OSError, ValueError) as exc:
            # A pipe that breaks is a process that ends; the supervisor says what the process said.
            log.debug("camera: its pipe broke: %s", exc)
        finally:
            read.set()

    def _hand_over(self, jpeg: bytes) -> None:
        self._frames += 1
        self._seen_at = self._now()
        try:
            self._deliver(jpeg)
        except Exception as exc:  # noqa: BLE001 - one frame that cannot be sent must not end the camera
            self._fail(f"a frame could not be sent: {type(exc).__name__}: {exc}")
        else:
            self._error = None


# --- what a camera is ---------------------------------------------------------------------------------------


def _input(url: str) -> list[str]:
    if not isinstance(url, str) or not url or not url.isprintable() or url != url.strip():
        raise ConfigurationError("a camera's url must be a text without blanks around it or control characters")
    if url.startswith("-"):
        raise ConfigurationError("a camera's url must not start with '-': ffmpeg would take it for an option")
    if _device.match(url):
        return ["-f", "v4l2", "-i", url]
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise ConfigurationError(f"the camera's url {hide_user(url)!r} cannot be read: {exc}") from exc
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise ConfigurationError(
            f"the camera's url {hide_user(url)!r} must start with {', '.join(f'{name}://' for name in SCHEMES)} or be "
            "a device such as /dev/video0; for a file, run ffmpeg yourself and use read_mjpeg_frames"
        )
    # The scheme as it is in the list: ffmpeg compares it letter by letter.
    source = parts.scheme + url[len(parts.scheme) :]
    over_tcp = ["-rtsp_transport", "tcp"] if parts.scheme in ("rtsp", "rtsps") else []
    return ["-protocol_whitelist", SCHEMES[parts.scheme], *over_tcp, "-i", source]
