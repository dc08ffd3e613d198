"""Cameras through a real ffmpeg (of the package imageio-ffmpeg): real bytes, and attacks that it must not fall for.

The attacks are shown to work where nothing forbids them: without that, a picture that stays away would prove nothing.
"""

from __future__ import annotations

import io
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio_ffmpeg
import pytest
from PIL import Image

from plexus import Plexus
from plexus.adapters.camera.ffmpeg import FfmpegLauncher
from plexus.adapters.status.memory import MemoryStatus
from plexus.device.camera import camera_arguments
from plexus.device.mjpeg import read_mjpeg_frames
from tests.support.peer import KEY, Gateway, serving
from tests.support.waiting import eventually

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SIZE = (64, 48)


class Camera:
    """An HTTP server that is a camera at `/stream.mjpg`, endless, and whoever poses as one at any other path."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        over = self._over = threading.Event()
        pages = self.pages
        picture = io.BytesIO()
        Image.new("RGB", SIZE, (200, 30, 30)).save(picture, "JPEG")
        part = b"--next\r\nContent-Type: image/jpeg\r\n\r\n" + picture.getvalue() + b"\r\n"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/stream.mjpg":
                    self.send_response(200)
                    self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                    self.end_headers()
                    try:
                        while not over.wait(0.02):
                            self.wfile.write(part)
                    except OSError:
                        pass  # whoever looked has left
                    return
                page = pages.get(self.path)
                self.send_response(200 if page is not None else 404)
                self.send_header("Content-Length", str(len(page or b"")))
                self.end_headers()
                self.wfile.write(page or b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server has
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="camera")
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10.0)


@pytest.fixture
def camera() -> Iterator[Camera]:
    made = Camera()
    yield made
    made.close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with serving(Gateway()) as served:
        yield served


@pytest.fixture
def in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ffmpeg by that name, as when it is installed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").symlink_to(FFMPEG)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def shown(arguments: list[str]) -> tuple[list[bytes], str]:
    """All frames of a run of ffmpeg with these arguments, and what it said."""
    process = FfmpegLauncher(FFMPEG)(arguments)
    with process.stdout as pipe:
        frames = list(read_mjpeg_frames(pipe))
    process.stop()
    return frames, process.error()


@pytest.mark.usefixtures("in_path")
def test_a_cameras_frames_come_out_of_ffmpeg_and_arrive_as_pictures(camera: Camera, gateway: Gateway) -> None:
    with Plexus(api_key=KEY, source_id="drone-01", transport=gateway.socket, status=MemoryStatus()) as px:
        eventually(lambda: px.stats().link)
        stream = px.stream_camera(f"{camera.url}/stream.mjpg", "front", fps=10)
        eventually(lambda: len(gateway.video) >= 3, 30.0, "three frames")
        assert (stream.is_running, stream.error) == (True, None)
        stream.set()
        assert stream.stop(10.0)
        assert not stream.is_running
    jpeg = gateway.video[0][gateway.video[0].index(b"\xff\xd8") :]
    image = Image.open(io.BytesIO(jpeg))
    assert image.size == SIZE
    red, green, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]  # a pixel of three
    assert red > 150 > 90 > green
    assert blue < 90


@pytest.mark.usefixtures("in_path")
def test_close_ends_ffmpeg_too(camera: Camera, gateway: Gateway) -> None:
    px = Plexus(api_key=KEY, source_id="drone-01", transport=gateway.socket, status=MemoryStatus())
    stream = px.stream_camera(f"{camera.url}/stream.mjpg")
    px.close()
    eventually(lambda: not stream.is_running)


@pytest.mark.usefixtures("in_path")
def test_a_camera_that_is_not_there_is_said_so_in_ffmpegs_words(camera: Camera, gateway: Gateway) -> None:
    with Plexus(api_key=KEY, source_id="drone-01", transport=gateway.socket, status=MemoryStatus()) as px:
        stream = px.stream_camera(f"{camera.url}/nowhere")
        eventually(lambda: stream.error, 30.0, "the error")
        assert stream.is_running
        assert "404" in str(stream.error)


# --- attacks ------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A film on the device's own disk, which is nobody's business."""
    film = tmp_path / "secret.ts"
    made = ["-f", "lavfi", "-i", "testsrc=duration=1:size=64x48:rate=5", "-f", "mpegts", str(film)]
    subprocess.run([FFMPEG, "-loglevel", "error", *made], check=True, stdin=subprocess.DEVNULL, timeout=60)
    return film


def playlist(film: Path) -> bytes:
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", film.as_uri(), "#EXT-X-ENDLIST", "")
    return "\n".join(lines).encode()


def concat(film: Path) -> bytes:
    return f"ffconcat version 1.0\nfile '{film.as_uri()}'\n".encode()


@pytest.mark.parametrize(("path", "attack"), [("/live.m3u8", playlist), ("/live.ffconcat", concat)])
def test_a_playlist_that_points_at_a_local_file_shows_nothing_of_it(
    camera: Camera, secret: Path, path: str, attack: object
) -> None:
    assert callable(attack)
    camera.pages[path] = attack(secret)
    frames, said = shown(camera_arguments(f"{camera.url}{path}"))
    assert frames == []
    assert said


@pytest.mark.parametrize(
    ("path", "attack", "allowing"),
    [
        ("/live.m3u8", playlist, ["-allowed_extensions", "ALL", "-extension_picky", "0"]),
        ("/live.ffconcat", concat, ["-f", "concat", "-safe", "0"]),
    ],
)
def test_the_same_playlist_shows_the_file_where_files_are_allowed(
    camera: Camera, secret: Path, path: str, attack: object, allowing: list[str]
) -> None:
    assert callable(attack)
    camera.pages[path] = attack(secret)
    arguments = camera_arguments(f"{camera.url}{path}")
    at = arguments.index("-protocol_whitelist") + 1
    arguments[at] += ",file"
    frames, _said = shown([*arguments[: at + 1], *allowing, *arguments[at + 1 :]])
    assert frames


@pytest.mark.parametrize(
    ("path", "attack", "allowing"),
    [
        ("/live.m3u8", playlist, ["-allowed_extensions", "ALL", "-extension_picky", "0"]),
        ("/live.ffconcat", concat, ["-f", "concat", "-safe", "0"]),
    ],
)
def test_it_is_the_list_of_protocols_that_keeps_the_file_from_being_read(
    camera: Camera, secret: Path, path: str, attack: object, allowing: list[str]
) -> None:
    assert callable(attack)
    camera.pages[path] = attack(secret)
    arguments = camera_arguments(f"{camera.url}{path}")
    at = arguments.index("-protocol_whitelist") + 1
    frames, said = shown([*arguments[: at + 1], *allowing, *arguments[at + 1 :]])
    assert frames == []
    assert "not on whitelist" in said
