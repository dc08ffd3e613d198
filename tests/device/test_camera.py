"""Camera streams: what ffmpeg is asked, and how a camera is kept running."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from plexus.adapters.camera.ffmpeg import FfmpegLauncher
from plexus.adapters.camera.memory import MemoryLauncher, Reel
from plexus.device.camera import CHECK_S, SCHEMES, STALL_S, CameraStream, camera_arguments, hide_user
from plexus.domain.errors import ConfigurationError, DeliveryError
from plexus.ports.camera import CameraLauncher
from tests.support import cameraprogram
from tests.support.jpegs import jpeg
from tests.support.waiting import eventually

# --- arguments ----------------------------------------------------------------------------------------------


def test_a_network_camera_is_asked_for_with_its_protocols_named() -> None:
    assert camera_arguments("rtsp://10.0.0.7/stream1", fps=12.5, quality=100) == [
        *("-hide_banner", "-nostdin", "-loglevel", "error"),
        *("-protocol_whitelist", "rtsp,rtp,udp,tcp", "-rtsp_transport", "tcp", "-i", "rtsp://10.0.0.7/stream1"),
        *("-an", "-sn", "-dn", "-r", "12.5", "-c:v", "mjpeg", "-q:v", "2", "-f", "mjpeg", "pipe:1"),
    ]


def test_a_device_is_opened_as_a_video_device_and_nothing_else() -> None:
    arguments = camera_arguments("/dev/video0")
    assert arguments[4:8] == ["-f", "v4l2", "-i", "/dev/video0"]


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_no_scheme_lets_ffmpeg_read_a_local_file(scheme: str) -> None:
    arguments = camera_arguments(f"{scheme}://10.0.0.7:554/x")
    allowed = arguments[arguments.index("-protocol_whitelist") + 1].split(",")
    assert not {"file", "concat", "subfile", "pipe", "fd", "data", "crypto", "unix", "cache"} & set(allowed)
    assert arguments.index("-protocol_whitelist") < arguments.index("-i")


def test_a_scheme_may_be_written_in_capitals() -> None:
    assert "rtsp://Cam.local/Stream1" in camera_arguments("RTSP://Cam.local/Stream1")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "recording.mp4",
        "concat:/etc/passwd|/etc/group",
        "subfile,,start,0,end,9,,:/etc/passwd",
        "crypto:file:///etc/passwd",
        "pipe:0",
        "data:text/plain,x",
        "lavfi:testsrc",
        "http:/no-host",
        "/dev/video",
        "/dev/video0/../../etc/passwd",
        "/dev/sda",
        "gopher://10.0.0.7",
    ],
)
def test_what_is_no_camera_is_refused_with_what_is_one(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"rtsp://.*/dev/video0.*read_mjpeg_frames"):
        camera_arguments(url)


@pytest.mark.parametrize("url", ["-i", "-version", "--help"])
def test_a_url_that_looks_like_an_option_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must not start with '-'"):
        camera_arguments(url)


@pytest.mark.parametrize("url", ["", " rtsp://x", "rtsp://x\n-y", "rtsp://x\x00", None, 7, b"rtsp://x"])
def test_a_url_that_is_no_plain_text_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="camera's url"):
        camera_arguments(url)


@pytest.mark.parametrize("fps", [0, -1, 0.01, 121, True, "15", float("nan")])
def test_a_rate_that_cannot_be_is_refused(fps: float) -> None:
    with pytest.raises(ConfigurationError, match="fps"):
        camera_arguments("rtsp://x", fps=fps)


@pytest.mark.parametrize("quality", [0, 101, 8.5, True])
def test_a_quality_that_cannot_be_is_refused(quality: int) -> None:
    with pytest.raises(ConfigurationError, match="quality"):
        camera_arguments("rtsp://x", quality=quality)


def test_a_cameras_password_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        camera_arguments("ftp://admin:hunter2@10.0.0.7/x")
    assert "hunter2" not in str(caught.value)
    assert hide_user("cannot open rtsp://admin:hun@ter2@10.0.0.7/x twice") == "cannot open rtsp://…@10.0.0.7/x twice"
    assert hide_user("rtsp://10.0.0.7/user@home") == "rtsp://10.0.0.7/user@home"


# --- the stream ---------------------------------------------------------------------------------------------

ONE, TWO = jpeg(b"one"), jpeg(b"two")


class Rig:
    """Streams on real threads, with a time that stands still until the test lets it go by `step_s` a wait."""

    def __init__(self) -> None:
        self.frames: queue.Queue[bytes] = queue.Queue()
        self.waits: list[float] = []
        self.seconds = 0.0
        self.step_s = 0.0
        self.threads: list[threading.Thread] = []
        self.streams: list[CameraStream] = []
        self.restarts: Callable[[], bool] = lambda: len(self.launcher.calls) < 3
        self.launcher = MemoryLauncher()

    def stream(self, *reels: Reel, deliver: Callable[[bytes], None] | None = None) -> CameraStream:
        self.launcher = MemoryLauncher(*reels)
        return self.launch(self.launcher, ["-i", "camera"], deliver)

    def launch(
        self, launcher: CameraLauncher, arguments: list[str], deliver: Callable[[bytes], None] | None = None
    ) -> CameraStream:
        stream = CameraStream(
            launcher,
            arguments,
            deliver or self.frames.put,
            run=self.run,
            now=lambda: self.seconds,
            wait=self.wait,
            random=lambda: 0.5,
        )
        self.streams.append(stream)
        return stream

    def run(self, job: Callable[[], None]) -> None:
        self.threads.append(threading.Thread(target=job))
        self.threads[-1].start()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Waits for a reader in small steps of real time; a wait before a restart is noted and over at once."""
        if seconds == CHECK_S:
            self.seconds += self.step_s
            return event.wait(0.01)
        self.waits.append(seconds)
        if not self.restarts():
            event.set()
        return event.is_set()

    def close(self) -> None:
        for stream in self.streams:
            assert stream.stop(20)
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture(name="rig")
def _rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


def ended(stream: CameraStream) -> None:
    eventually(lambda: not stream.is_running, what="the end of the stream")


def test_frames_are_delivered_in_order(rig: Rig) -> None:
    rig.stream(Reel(ONE + TWO, endless=True))
    assert [rig.frames.get(timeout=10), rig.frames.get(timeout=10)] == [ONE, TWO]
    assert rig.launcher.calls == [["-i", "camera"]]


def test_a_stream_that_shows_frames_runs_without_error(rig: Rig) -> None:
    stream = rig.stream(Reel(ONE, endless=True))
    rig.frames.get(timeout=10)
    assert (stream.is_running, stream.is_set(), stream.error) == (True, False, None)


def test_stop_ends_the_process_and_the_stream(rig: Rig) -> None:
    stream = rig.stream(Reel(ONE, endless=True))
    rig.frames.get(timeout=10)
    assert stream.stop(10) is True
    assert (stream.is_running, stream.is_set()) == (False, True)
    assert rig.launcher.processes[0].stopped
    assert rig.launcher.processes[0].stdout.closed


def test_set_asks_for_the_end_without_waiting_as_0_5_2_has_it(rig: Rig) -> None:
    stream = rig.stream(Reel(ONE, endless=True))
    rig.frames.get(timeout=10)
    stream.set()
    ended(stream)
    assert rig.launcher.processes[0].stopped


def test_stopping_twice_is_fine(rig: Rig) -> None:
    stream = rig.stream(Reel(ONE, endless=True))
    assert stream.stop(10)
    assert stream.stop(10)


def test_a_camera_that_ends_is_started_again_after_growing_waits(rig: Rig) -> None:
    stream = rig.stream(Reel(error="connection refused"))
    ended(stream)
    assert len(rig.launcher.calls) == 3
    assert rig.waits == [1.0, 2.0, 4.0]
    assert stream.error == "connection refused"
    assert all(process.stdout.closed for process in rig.launcher.processes)


def test_a_frame_makes_the_waits_short_again(rig: Rig) -> None:
    rig.restarts = lambda: len(rig.launcher.calls) < 4
    stream = rig.stream(Reel(), Reel(), Reel(ONE), Reel())
    ended(stream)
    assert rig.waits == [1.0, 2.0, 1.0, 2.0]


def test_an_error_goes_away_with_the_first_frame(rig: Rig) -> None:
    stream = rig.stream(Reel(error="connection refused"), Reel(ONE, endless=True))
    rig.frames.get(timeout=10)
    eventually(lambda: stream.error is None)
    assert stream.is_running


def test_a_camera_that_ends_without_a_word_is_said_to_have_ended(rig: Rig) -> None:
    stream = rig.stream(Reel())
    ended(stream)
    assert stream.error == "the camera's stream ended"


def test_what_ffmpeg_says_is_told_without_password_and_addresses(rig: Rig) -> None:
    said = "[rtsp @ 0x55d0] method DESCRIBE failed: 401\nrtsp://admin:hunter2@10.0.0.7/x: Unauthorized"
    stream = rig.stream(Reel(error=said))
    ended(stream)
    assert stream.error == "[rtsp] method DESCRIBE failed: 401; rtsp://…@10.0.0.7/x: Unauthorized"


def test_a_camera_that_shows_nothing_for_long_is_started_again(rig: Rig) -> None:
    rig.step_s = 10.0
    stream = rig.stream(Reel(ONE, endless=True), Reel(TWO, endless=True))
    assert [rig.frames.get(timeout=10), rig.frames.get(timeout=10)] == [ONE, TWO]
    assert rig.launcher.processes[0].stopped
    assert rig.seconds > STALL_S
    assert rig.waits[0] == 1.0
    stream.stop(10)


def test_a_stall_is_told_as_such(rig: Rig) -> None:
    rig.restarts = lambda: False
    rig.step_s = 10.0
    stream = rig.stream(Reel(ONE, endless=True))
    ended(stream)
    assert stream.error == "no frame for 30 s"


def test_a_program_that_is_missing_is_an_error_of_the_call(rig: Rig) -> None:
    with pytest.raises(ConfigurationError, match="missing"):
        rig.launch(MemoryLauncher(installed=False), [])
    assert rig.threads == []


def test_a_start_that_fails_later_is_tried_again(rig: Rig) -> None:
    class Flaky(MemoryLauncher):
        def __call__(self, arguments):  # type: ignore[no-untyped-def]
            if len(self.calls) == 1:
                self.calls.append(list(arguments))
                raise DeliveryError("ffmpeg cannot be started now: out of memory")
            return super().__call__(arguments)

    rig.launcher = Flaky(Reel(), Reel(), Reel(ONE, endless=True))
    stream = rig.launch(rig.launcher, [])
    assert rig.frames.get(timeout=10) == ONE
    assert rig.waits == [1.0, 2.0]
    stream.stop(10)


def test_a_frame_that_cannot_be_sent_does_not_end_the_camera(rig: Rig) -> None:
    def deliver(frame: bytes) -> None:
        if frame == ONE:
            raise ValueError("no room")
        rig.frames.put(frame)

    stream = rig.stream(Reel(ONE + TWO, endless=True), deliver=deliver)
    assert rig.frames.get(timeout=10) == TWO
    assert len(rig.launcher.calls) == 1
    eventually(lambda: stream.error is None)


def test_a_frame_that_cannot_be_sent_is_told(rig: Rig) -> None:
    def deliver(frame: bytes) -> None:
        raise ValueError("no room")

    stream = rig.stream(Reel(ONE, endless=True), deliver=deliver)
    eventually(lambda: stream.error == "a frame could not be sent: ValueError: no room")


def test_a_system_without_threads_leaves_no_process_behind(rig: Rig) -> None:
    def refuse(job: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    launcher = MemoryLauncher(Reel(endless=True))
    with pytest.raises(RuntimeError, match="thread"):
        CameraStream(
            launcher,
            [],
            rig.frames.put,
            run=refuse,
            now=lambda: 0.0,
            wait=threading.Event.wait,
            random=lambda: 0.5,
        )
    assert launcher.processes[0].stopped


def test_a_real_process_is_read_restarted_and_ended(rig: Rig) -> None:
    rig.restarts = lambda: rig.frames.qsize() < 4
    stream = rig.launch(FfmpegLauncher(sys.executable), cameraprogram.ending())
    ended(stream)
    assert rig.frames.qsize() == 4
    assert stream.error == "the camera went away"


def test_a_real_process_that_goes_on_is_ended_by_stop(rig: Rig) -> None:
    stream = CameraStream(
        FfmpegLauncher(sys.executable),
        cameraprogram.endless(),
        rig.frames.put,
        run=rig.run,
        now=time.monotonic,
        wait=threading.Event.wait,
        random=lambda: 0.5,
    )
    rig.streams.append(stream)
    assert rig.frames.get(timeout=20).startswith(b"\xff\xd8")
    assert stream.stop(20)
