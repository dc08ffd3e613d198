"""Frames fitted to the gateway's limit, and the box in which they wait for the link."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plexus.device.pictures import Channels
from plexus.device.video import MAX_CAMERAS, VideoOutbox, fit_frame, jpeg_size
from plexus.domain.errors import ConfigurationError, ProtocolError, UnsupportedValueError
from plexus.domain.video import VideoFrame
from plexus.protocol.video import MAX_JPEG_BYTES, unpack
from tests.support.jpegs import SOI, frame_header, jpeg, scan, segment


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def noise(width: int, height: int) -> Image.Image:
    pixels = random.Random(1).randbytes(width * height * 3)
    return Image.frombytes("RGB", (width, height), pixels)


def encoded(image: Image.Image, quality: int = 95) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def half_red_half_blue() -> Any:
    array = np.zeros((16, 32, 3), dtype=np.uint8)
    array[:, :16, 0] = 255
    array[:, 16:, 2] = 255
    return array


def colour_at(data: bytes, x: int) -> tuple[bool, ...]:
    pixel = np.asarray(opened(data).convert("RGB"))[4, x]
    return tuple(bool(channel > 128) for channel in pixel)


# --- JPEGs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_jpeg_passes_through_as_it_is(kind: type) -> None:
    data = encoded(noise(32, 20))
    assert fit_frame(kind(data)) == (data, 32, 20)


def test_the_size_of_a_jpeg_is_read_past_thumbnails_fill_bytes_and_tables() -> None:
    thumbnail = segment(0xE1, b"Exif\x00\x00" + jpeg(size=(1, 1)))
    tables = segment(0xC4, b"\x00" * 5) + b"\xff\x01" + b"\xff\xff" + segment(0xDB, b"\x00")
    assert jpeg_size(SOI + thumbnail + tables + frame_header(640, 480, marker=0xC2) + scan(b"x")) == (640, 480)


@pytest.mark.parametrize("data", [SOI, SOI + b"\xff\xd9", SOI + b"zz\x00\x00", SOI + segment(0xE1, b"x" * 9)])
def test_a_jpeg_without_a_size_is_sent_with_none(data: bytes) -> None:
    assert fit_frame(data) == (data, 0, 0)


def test_a_jpeg_at_the_limit_passes_and_one_byte_more_is_made_smaller() -> None:
    data = encoded(noise(200, 100))
    assert fit_frame(data, max_bytes=len(data))[0] == data
    made, width, height = fit_frame(data, max_bytes=len(data) - 1)
    assert len(made) < len(data)
    assert (width, height) == opened(made).size == (200, 100)


def test_a_jpeg_over_the_gateways_limit_is_made_to_fit_it() -> None:
    data = encoded(noise(1400, 900))
    assert len(data) > MAX_JPEG_BYTES
    made, width, height = fit_frame(data)
    assert len(made) <= MAX_JPEG_BYTES
    assert opened(made).size == (width, height)


def test_a_picture_that_no_quality_makes_small_enough_loses_resolution() -> None:
    made, width, height = fit_frame(encoded(noise(400, 200)), max_bytes=4_000)
    assert len(made) <= 4_000
    assert opened(made).size == (width, height)
    assert width in (200, 100, 50)


def test_a_limit_that_nothing_fits_gives_what_is_smallest_without_a_size() -> None:
    made, width, height = fit_frame(encoded(noise(400, 200)), max_bytes=10)
    assert (width, height) == (0, 0)
    assert opened(made).size[0] < 400


def test_a_large_jpeg_that_cannot_be_read_is_left_to_the_gateway() -> None:
    broken = jpeg(b"x" * 2000)
    assert fit_frame(broken, max_bytes=1000) == (broken, 0, 0)


def test_a_large_jpeg_is_left_to_the_gateway_where_pillow_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(noise(200, 100))
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert fit_frame(data, max_bytes=1000) == (data, 0, 0)


def test_bytes_that_are_no_jpeg_are_refused() -> None:
    with pytest.raises(UnsupportedValueError, match="must be one complete JPEG"):
        fit_frame(b"\x89PNG")


# --- pixels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "left", "right"),
    [("rgb", (True, False, False), (False, False, True)), ("bgr", (False, False, True), (True, False, False))],
)
def test_an_arrays_colours_are_red_green_blue_unless_it_says_otherwise(
    channels: Channels, left: tuple[bool, bool, bool], right: tuple[bool, bool, bool]
) -> None:
    data, width, height = fit_frame(half_red_half_blue(), channels=channels)
    assert (width, height) == (32, 16)
    assert (colour_at(data, 4), colour_at(data, 28)) == (left, right)


def test_a_fourth_channel_is_left_out() -> None:
    array = np.dstack([half_red_half_blue(), np.zeros((16, 32), dtype=np.uint8)])
    assert colour_at(fit_frame(array)[0], 4) == (True, False, False)
    assert colour_at(fit_frame(array, channels="bgr")[0], 4) == (False, False, True)


@pytest.mark.parametrize("shape", [(16, 32), (16, 32, 1)])
def test_a_grey_array_becomes_a_grey_picture(shape: tuple[int, ...]) -> None:
    data, width, height = fit_frame(np.full(shape, 200, dtype=np.uint8))
    assert (width, height) == (32, 16)
    assert opened(data).mode == "L"


def test_an_array_that_is_a_view_is_taken_as_it_looks() -> None:
    data, width, height = fit_frame(half_red_half_blue()[::2, ::-1])
    assert (width, height) == (32, 8)
    assert opened(data).size == (32, 8)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK"])
def test_a_pillow_image_of_any_mode_is_sent(mode: str) -> None:
    data, width, height = fit_frame(Image.new(mode, (20, 10)))
    assert (width, height) == opened(data).size == (20, 10)


def test_a_higher_quality_makes_a_larger_picture() -> None:
    image = noise(100, 100)
    assert len(fit_frame(image, 95)[0]) > len(fit_frame(image, 85)[0]) > len(fit_frame(image, 20)[0])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), dtype=np.float32),
        np.zeros((4, 4, 2), dtype=np.uint8),
        np.zeros(4, dtype=np.uint8),
        np.zeros((0, 4), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.uint16),
    ],
)
def test_an_array_that_is_no_picture_is_refused_with_its_shape(array: Any) -> None:
    with pytest.raises(UnsupportedValueError, match="use uint8, height x width"):
        fit_frame(array)


@pytest.mark.parametrize("frame", [None, "frame.jpg", 7, [[0]]])
def test_what_is_no_frame_is_refused_by_its_type(frame: object) -> None:
    with pytest.raises(TypeError, match=type(frame).__name__):
        fit_frame(frame)


@pytest.mark.parametrize("quality", [0, 96, 85.5, "high"])
def test_a_quality_that_is_none_is_refused(quality: Any) -> None:
    with pytest.raises(ConfigurationError, match="quality"):
        fit_frame(jpeg(), quality)


def test_an_order_of_channels_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="use 'rgb' or 'bgr'"):
        fit_frame(half_red_half_blue(), channels="yuv")  # type: ignore[arg-type]


def test_pixels_without_pillow_are_refused_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ConfigurationError, match="the extra `video`"):
        fit_frame(half_red_half_blue())


class OpenCvInDisguise:
    """The part of OpenCV that is used, done by Pillow: the real one is 60 MB. Its channels are blue, green, red."""

    COLOR_RGB2BGR, IMWRITE_JPEG_QUALITY, IMREAD_UNCHANGED, INTER_AREA = 4, 1, -1, 3

    @staticmethod
    def cvtColor(array: Any, code: int) -> Any:  # noqa: N802 - OpenCV's name
        assert code == OpenCvInDisguise.COLOR_RGB2BGR
        return np.ascontiguousarray(array[:, :, ::-1])

    @staticmethod
    def imencode(kind: str, array: Any, options: list[int]) -> tuple[bool, Any]:
        assert (kind, options[0]) == (".jpg", OpenCvInDisguise.IMWRITE_JPEG_QUALITY)
        image = Image.fromarray(array if array.ndim == 2 else array[:, :, ::-1])
        return True, np.frombuffer(encoded(image, options[1]), dtype=np.uint8)

    @staticmethod
    def imdecode(raw: Any, _how: int) -> Any:
        try:
            pixels = np.asarray(opened(raw.tobytes()))
        except OSError:
            return None
        return pixels if pixels.ndim == 2 else pixels[:, :, ::-1]

    @staticmethod
    def resize(array: Any, size: tuple[int, int], interpolation: int) -> Any:
        assert interpolation == OpenCvInDisguise.INTER_AREA
        return np.asarray(Image.fromarray(array).resize(size))


@pytest.fixture
def only_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "cv2", OpenCvInDisguise)


@pytest.mark.usefixtures("only_opencv")
@pytest.mark.parametrize(
    ("channels", "left", "right"),
    [("rgb", (True, False, False), (False, False, True)), ("bgr", (False, False, True), (True, False, False))],
)
def test_opencv_encodes_arrays_where_pillow_is_missing(
    channels: Channels, left: tuple[bool, bool, bool], right: tuple[bool, bool, bool]
) -> None:
    made, width, height = fit_frame(half_red_half_blue(), channels=channels)
    assert (width, height) == (32, 16)
    assert (colour_at(made, 4), colour_at(made, 28)) == (left, right)


@pytest.mark.usefixtures("only_opencv")
def test_opencv_encodes_grey_arrays_where_pillow_is_missing() -> None:
    made, width, height = fit_frame(np.full((8, 12, 1), 200, dtype=np.uint8))
    assert (width, height, opened(made).mode) == (12, 8, "L")


@pytest.mark.usefixtures("only_opencv")
def test_opencv_makes_a_large_jpeg_fit_where_pillow_is_missing() -> None:
    made, width, height = fit_frame(encoded(noise(400, 200)), max_bytes=4_000)
    assert len(made) <= 4_000
    assert opened(made).size == (width, height)


@pytest.mark.usefixtures("only_opencv")
def test_a_large_jpeg_that_opencv_cannot_read_is_left_to_the_gateway() -> None:
    broken = jpeg(b"x" * 2000)
    assert fit_frame(broken, max_bytes=1000) == (broken, 0, 0)


@pytest.mark.usefixtures("only_opencv")
def test_a_pillow_image_needs_pillow() -> None:
    with pytest.raises(ConfigurationError, match="needs Pillow or OpenCV"):
        fit_frame(noise(4, 4))


def test_neither_pillow_nor_numpy_is_loaded_before_a_frame_needs_it() -> None:
    code = (
        "import sys; from plexus.device.video import fit_frame; fit_frame(bytes.fromhex('ffd8ffd9')); "
        "print(sorted({'PIL', 'numpy', 'cv2'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


# --- the box ------------------------------------------------------------------------------------------------


def frame(camera: str, content: bytes = b"jpeg") -> VideoFrame:
    return VideoFrame("rig-01", camera, content, 8, 6, 1_746_969_660_000)


def test_a_newer_frame_takes_the_place_of_one_that_waits() -> None:
    box = VideoOutbox()
    box.put(frame("front", b"old"))
    box.put(frame("front", b"new"))
    assert [unpack(message) for message in box.take()] == [frame("front", b"new")]
    assert box.replaced == 1


def test_frames_are_taken_once_and_cameras_keep_their_turn() -> None:
    box = VideoOutbox()
    for camera in ("front", "rear", "front"):
        box.put(frame(camera))
    assert len(box) == 2
    assert [unpack(message).camera_id for message in box.take()] == ["front", "rear"]
    assert (box.take(), len(box)) == ([], 0)


def test_more_cameras_than_the_box_holds_cost_the_oldest() -> None:
    box = VideoOutbox()
    for number in range(MAX_CAMERAS + 1):
        box.put(frame(f"camera:{number}"))
    taken = [unpack(message).camera_id for message in box.take()]
    assert (len(taken), taken[0], box.replaced) == (MAX_CAMERAS, "camera:1", 1)


def test_a_camera_name_that_does_not_fit_is_refused_at_the_call() -> None:
    box = VideoOutbox()
    with pytest.raises(ProtocolError, match="camera_id"):
        box.put(frame("x" * 256))
    assert len(box) == 0


def test_every_frame_is_taken_or_counted_when_threads_put_and_one_takes() -> None:
    box = VideoOutbox()
    taken: list[bytes] = []

    def film(camera: str) -> None:
        for _ in range(300):
            box.put(frame(camera))

    threads = [threading.Thread(target=film, args=(f"camera:{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += box.take()
    for thread in threads:
        thread.join()
    taken += box.take()
    assert len(taken) + box.replaced == 1200
