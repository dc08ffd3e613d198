"""Pictures that are no JPEG yet, or too large a one, through whichever library is there: Pillow, else OpenCV.

Neither is loaded before a frame needs it, and neither is needed by a program that sends JPEGs which fit.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any, Literal, Protocol

from plexus.domain.errors import ConfigurationError, UnsupportedValueError

Channels = Literal["rgb", "bgr"]


class Picture(Protocol):
    """A picture in memory."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    def jpeg(self, quality: int) -> bytes:
        """It as a JPEG."""
        ...

    def halved(self) -> Picture:
        """It with half the width and half the height."""
        ...


def read_jpeg(jpeg: bytes) -> Picture | None:
    """The picture of a JPEG, None where no library is there or it cannot be read."""
    pillow = _library("PIL.Image")
    if pillow is not None:
        return _PillowPicture.of_jpeg(pillow, jpeg)
    cv2 = _library("cv2")
    return None if cv2 is None else _OpenCvPicture.of_jpeg(cv2, jpeg)


def picture_of(frame: object, channels: Channels) -> Picture:
    """An array's picture, or a Pillow image's.

    Raises UnsupportedValueError for what is neither, ConfigurationError when no library is there that encodes it.
    """
    # A Pillow image calls itself an array as well.
    is_image = hasattr(frame, "convert")
    is_array = hasattr(frame, "__array_interface__") and not is_image
    if not is_array and not is_image:
        raise UnsupportedValueError(
            f"a video frame of type {type(frame).__name__} cannot be sent; pass JPEG bytes, an array or a Pillow image"
        )
    pillow, cv2 = _library("PIL.Image"), _library("cv2")
    if is_array:
        _check_pixels(frame)
    if pillow is not None:
        return _PillowPicture(pillow, pillow.fromarray(_in_rgb(frame, channels)) if is_array else _image(pillow, frame))
    if cv2 is not None and is_array:
        return _OpenCvPicture(cv2, _in_bgr(cv2, frame, channels))
    raise ConfigurationError(
        "encoding a frame that is no JPEG yet needs Pillow or OpenCV: install the extra `video` "
        "(pip install '.[video]' in the Plexus checkout), or send JPEG bytes"
    )


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


# --- arrays -------------------------------------------------------------------------------------------------


def _check_pixels(array: Any) -> None:
    interface = array.__array_interface__
    shape, kind = tuple(interface["shape"]), interface["typestr"]
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if kind not in ("|u1", "u1") or not fits or 0 in shape:
        raise UnsupportedValueError(
            f"a video frame of shape {shape} and type {kind} cannot be sent; "
            "use uint8, height x width, or height x width x 3"
        )


def _in_rgb(array: Any, channels: Channels) -> Any:
    """The array as Pillow takes it: height x width, or height x width x 3 in the order red, green, blue."""
    if _is_grey(array):
        return _grey(array)
    return array[:, :, 2::-1] if channels == "bgr" else array[:, :, :3]


def _in_bgr(cv2: Any, array: Any, channels: Channels) -> Any:
    """The array as OpenCV takes it: the same in the order blue, green, red."""
    if _is_grey(array):
        return _grey(array)
    plain = array[:, :, :3]
    return plain if channels == "bgr" else cv2.cvtColor(plain, cv2.COLOR_RGB2BGR)


def _is_grey(array: Any) -> bool:
    shape = array.__array_interface__["shape"]
    return len(shape) == 2 or shape[2] == 1


def _grey(array: Any) -> Any:
    return array if len(array.__array_interface__["shape"]) == 2 else array[:, :, 0]


# --- Pillow -------------------------------------------------------------------------------------------------


class _PillowPicture:
    def __init__(self, pillow: Any, image: Any) -> None:
        self._pillow = pillow
        self._image = image if image.mode in ("L", "RGB") else image.convert("RGB")

    @classmethod
    def of_jpeg(cls, pillow: Any, jpeg: bytes) -> _PillowPicture | None:
        try:
            image = pillow.open(io.BytesIO(jpeg))
            image.load()
        except (OSError, ValueError, pillow.DecompressionBombError):
            return None
        return cls(pillow, image)

    @property
    def size(self) -> tuple[int, int]:
        return self._image.width, self._image.height

    def jpeg(self, quality: int) -> bytes:
        out = io.BytesIO()
        self._image.save(out, "JPEG", quality=quality)
        return out.getvalue()

    def halved(self) -> _PillowPicture:
        return _PillowPicture(self._pillow, self._image.resize(_half(self.size)))


def _image(pillow: Any, frame: object) -> Any:
    if not isinstance(frame, pillow.Image):
        raise UnsupportedValueError(f"a video frame of type {type(frame).__name__} is no Pillow image")
    return frame


# --- OpenCV -------------------------------------------------------------------------------------------------


class _OpenCvPicture:
    def __init__(self, cv2: Any, array: Any) -> None:
        self._cv2 = cv2
        self._array = array

    @classmethod
    def of_jpeg(cls, cv2: Any, jpeg: bytes) -> _OpenCvPicture | None:
        numpy = import_module("numpy")  # OpenCV is never without it
        array = cv2.imdecode(numpy.frombuffer(jpeg, dtype=numpy.uint8), cv2.IMREAD_UNCHANGED)
        return None if array is None else cls(cv2, array)

    @property
    def size(self) -> tuple[int, int]:
        height, width = self._array.shape[:2]
        return int(width), int(height)

    def jpeg(self, quality: int) -> bytes:
        done, encoded = self._cv2.imencode(".jpg", self._array, [self._cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise UnsupportedValueError(f"OpenCV cannot encode a frame of shape {self._array.shape}")
        return bytes(encoded.tobytes())

    def halved(self) -> _OpenCvPicture:
        smaller = self._cv2.resize(self._array, _half(self.size), interpolation=self._cv2.INTER_AREA)
        return _OpenCvPicture(self._cv2, smaller)


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return max(size[0] // 2, 1), max(size[1] // 2, 1)
