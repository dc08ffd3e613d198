"""Frames out of a stream of JPEGs, however it is cut into pieces and whatever stands between."""

from __future__ import annotations

import io
import itertools
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plexus.device.mjpeg import JpegSplitter, read_mjpeg_frames
from tests.support.jpegs import EOI, SOI, jpeg, scan, segment

contents = st.binary(max_size=40) | st.sampled_from([EOI, SOI, SOI + EOI, jpeg(b"thumbnail"), b"\xff\xff", b"\xff"])
pictures = st.builds(
    jpeg,
    st.binary(max_size=60) | st.sampled_from([b"\xff", b"\xff\xd9", b"\xff\xd8\xff\xd9", b"\xff" * 9]),
    segments=st.lists(contents, max_size=3),
    scans=st.integers(1, 3),
)
garbage = st.binary(max_size=30).filter(lambda data: SOI not in data)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def split(*chunks: bytes, max_bytes: int = 10_000) -> list[bytes]:
    splitter = JpegSplitter(max_bytes)
    return [frame for chunk in chunks for frame in splitter.feed(chunk)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(garbage, pictures), max_size=5), garbage, st.lists(st.integers(0, 5000), max_size=30))
def test_every_frame_comes_out_whole_however_the_stream_is_cut(
    stream: list[tuple[bytes, bytes]], tail: bytes, cuts: list[int]
) -> None:
    data = b"".join(noise + picture for noise, picture in stream) + tail
    assert split(*pieces(data, cuts)) == [picture for _noise, picture in stream]


@settings(max_examples=50, deadline=None)
@given(st.lists(pictures, max_size=3))
def test_every_frame_comes_out_whole_byte_by_byte(stream: list[bytes]) -> None:
    data = b"".join(stream)
    assert split(*(data[at : at + 1] for at in range(len(data)))) == stream


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
def test_garbage_raises_nothing_and_how_it_is_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    assert split(*pieces(data, cuts)) == split(data)


def test_a_frame_comes_out_as_soon_as_its_last_byte_is_there() -> None:
    splitter = JpegSplitter()
    assert splitter.feed(jpeg()[:-1]) == []
    assert splitter.feed(jpeg()[-1:]) == [jpeg()]


def test_a_thumbnail_inside_a_frame_is_part_of_it() -> None:
    frame = jpeg(segments=[b"Exif\x00\x00" + jpeg(b"thumbnail")])
    assert split(frame, frame) == [frame, frame]


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_a_frame_that_was_cut_short_is_passed_over_and_the_next_one_is_found(lost: int) -> None:
    assert split(jpeg(b"x" * 50)[:-lost] + jpeg(b"next")) == [jpeg(b"next")]


def test_a_frame_cut_inside_a_segment_costs_no_more_than_itself() -> None:
    broken = SOI + segment(0xE1, b"y" * 600)[:50]
    frames = [jpeg(bytes([number]) * 150) for number in range(1, 9)]
    assert split(broken + b"".join(frames)) == frames


@pytest.mark.parametrize(
    "broken", [SOI + b"\xff\x00", SOI + b"\xff\xe1\x00\x01", SOI + b"zz", SOI + SOI, SOI + b"\xff\xff\xff\x00"]
)
def test_a_start_that_nothing_sensible_follows_is_passed_over(broken: bytes) -> None:
    assert split(broken + jpeg()) == [jpeg()]


def test_markers_without_a_length_and_fill_bytes_are_taken() -> None:
    frame = (
        SOI + b"\xff\x01" + b"\xff\xff\xff" + segment(0xE0, b"JFIF")[1:] + scan(b"x" * 5 + b"\xff") + b"\xff\xff\xd9"
    )
    restarts = SOI + segment(0xDA, b"") + b"ab\xff\xd0cd\xff\xd7" + EOI
    assert split(frame + restarts) == [frame, restarts]


def test_a_frame_over_the_limit_is_passed_over_and_the_next_one_comes() -> None:
    at_limit = jpeg(b"x" * (1000 - len(jpeg(b""))))
    assert len(at_limit) == 1000
    assert split(at_limit, max_bytes=1000) == [at_limit]
    assert split(jpeg(b"x" * 2000), jpeg(), max_bytes=1000) == [jpeg()]


def test_memory_is_bounded_whatever_comes() -> None:
    for endless in (b"noise", b"\xff", SOI + segment(0xDA, b""), SOI + b"\xff\xe1\xff\xff"):
        splitter = JpegSplitter(max_bytes=1000)
        for chunk in (endless, *[b"\xff" * 100] * 50, *[b"\x00" * 100] * 50):
            splitter.feed(chunk)
            assert len(splitter._data) <= 1200


@pytest.mark.parametrize("progressive", [False, True])
def test_real_pictures_come_out_as_they_went_in(progressive: bool) -> None:
    image = Image.effect_noise((160, 120), 80)
    made = io.BytesIO()
    image.save(made, "JPEG", progressive=progressive, restart_marker_rows=1)
    frame = made.getvalue()
    assert list(read_mjpeg_frames(io.BytesIO(frame * 3), chunk=1000)) == [frame] * 3


def test_an_unfinished_frame_at_the_end_is_left_out() -> None:
    assert list(read_mjpeg_frames(io.BytesIO(jpeg() + jpeg()[:-1]))) == [jpeg()]


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_frame_of_a_pipe_is_given_before_the_next_one_is_there(buffering: int) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=buffering) as pipe, open(writing, "wb", buffering=0) as camera:  # noqa: PTH123
        frames = read_mjpeg_frames(pipe)
        for number in range(3):
            camera.write(jpeg(bytes([number])))
            assert next(frames) == jpeg(bytes([number]))
        camera.close()
        assert list(frames) == []


def test_a_stream_that_is_read_by_its_own_thread_ends_with_it() -> None:
    reading, writing = os.pipe()
    seen: list[bytes] = []
    with open(reading, "rb") as pipe:  # noqa: PTH123
        thread = threading.Thread(target=lambda: seen.extend(read_mjpeg_frames(pipe)))
        thread.start()
        os.write(writing, jpeg())
        os.close(writing)
        thread.join(10)
    assert seen == [jpeg()]
