"""The binary video frame: what is packed is unpacked, what is cut short is refused by name."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.domain.video import VideoFrame
from plexus.protocol.video import pack, unpack
from tests.protocol.strategies import int64

name = st.text(st.characters(exclude_categories=["Cs"]), max_size=255).filter(lambda text: len(text.encode()) <= 255)
video_frames = st.builds(
    VideoFrame, name, name, st.binary(max_size=100), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), int64
)
FRAME = VideoFrame("drone-01", "camera:0", b"\xff\xd8jpeg\xff\xd9", 640, 480, 1_746_969_660_000)


@given(video_frames)
def test_what_is_packed_is_unpacked(frame: VideoFrame) -> None:
    assert unpack(pack(frame)) == frame


def test_the_layout_is_the_contracts() -> None:
    assert pack(FRAME) == (
        b"\x01\x08drone-01\x08camera:0"
        + (640).to_bytes(4, "big")
        + (480).to_bytes(4, "big")
        + (1_746_969_660_000).to_bytes(8, "big")
        + FRAME.jpeg
    )


@given(video_frames, st.data())
def test_a_frame_that_is_cut_before_its_picture_is_refused(frame: VideoFrame, data: st.DataObject) -> None:
    message = pack(frame)
    cut = data.draw(st.integers(0, len(message) - len(frame.jpeg) - 1))
    with pytest.raises(ProtocolError):
        unpack(message[:cut])


@given(st.binary(max_size=300))
def test_garbage_is_a_protocol_error_and_nothing_else(message: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        unpack(message)
    with contextlib.suppress(ProtocolError):
        unpack(b"\x01" + message)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (b"", "version"),
        (b"\x02", "version"),
        (b"\x01", "source_id"),
        (b"\x01\x05abc", "source_id"),
        (b"\x01\x01\xff", "source_id"),
        (b"\x01\x01a", "camera_id"),
        (b"\x01\x01a\x01b" + bytes(15), "timestamp_ms"),
    ],
)
def test_the_error_names_what_is_missing(message: bytes, field: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        unpack(message)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (VideoFrame("x" * 256, "c", b"", 0, 0, 0), "source_id"),
        (VideoFrame("a", "ä" * 128, b"", 0, 0, 0), "camera_id"),
        (VideoFrame("a", "\ud800", b"", 0, 0, 0), "camera_id"),
        (VideoFrame("a", "c", b"", -1, 0, 0), ""),
        (VideoFrame("a", "c", b"", 0, 2**32, 0), ""),
        (VideoFrame("a", "c", b"", 0, 0, 2**63), ""),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_packed(frame: VideoFrame, field: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        pack(frame)
    assert refused.value.field == field
