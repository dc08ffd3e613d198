"""Whatever the bytes are, a columnar body is read or refused with a ProtocolError, in bounded memory."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.domain.errors import ProtocolError
from plexus.protocol import columnar
from plexus.protocol.block import Block
from plexus.protocol.columnar.layout import Writer
from plexus.protocol.columnar.packing import MAX_UNPACKED, PLAIN, ZLIB, ZSTD
from tests.adapters.columnar_blocks import any_blocks

MiB = 1024 * 1024
MAX_POINTS = 100

RICH = [
    Block(["a", "b"] * 40, [10**18 + i * i for i in range(80)], [i / 8 for i in range(80)], tags={"k": "v"}),
    Block(["a", "b", "b"] * 5, range(15), [1, 1.5, True, "x", [1]] * 3, run_id="r"),
    Block("s", range(5), ["on", "off", "on", "on", "on"]),
]
PLAIN_BODY = ColumnarCodec(packing=PLAIN).encode(RICH)


def survives(read: Callable[[], Any]) -> bool:
    try:
        read()
    except ProtocolError:
        return False
    return True


def both_survive(body: bytes) -> bool:
    read = survives(lambda: ColumnarCodec().decode(body))
    return survives(lambda: columnar.decode_points(body, source_id="s", max_points=10_000)) and read


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"PXC1", b"PXC1\x00", b"PXC1\x01", b"PXC1\x02"]))
def test_any_bytes_are_refused_or_hold_nothing(body: bytes, head: bytes) -> None:
    if survives(lambda: ColumnarCodec().decode(head + body)):
        assert ColumnarCodec().decode(head + body) == []


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(8, len(PLAIN_BODY) - 1), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_flipped_body_is_read_or_refused(flips: list[tuple[int, int]]) -> None:
    body = bytearray(PLAIN_BODY)
    for at, value in flips:
        body[at] = value
    both_survive(bytes(body))


@settings(max_examples=150, deadline=None)
@given(any_blocks, st.data())
def test_a_body_with_a_piece_cut_out_or_doubled_is_read_or_refused(blocks: list[Block], data: st.DataObject) -> None:
    body = ColumnarCodec(packing=PLAIN).encode(blocks)
    start = data.draw(st.integers(4, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 8)))
    both_survive(body[:start] + body[start:end] * data.draw(st.sampled_from([0, 2, 3])) + body[end:])


@pytest.mark.parametrize("packing", [PLAIN, ZLIB, ZSTD])
def test_every_shorter_or_longer_body_is_refused(packing: int) -> None:
    body = ColumnarCodec(packing=packing).encode(RICH)
    assert both_survive(body)
    for length in range(len(body)):
        assert not both_survive(body[:length]), f"the first {length} of {len(body)} bytes were read"
    assert not both_survive(body + b"\0")


def around(packing: int, packed: bytes, length: int, raw: bytes = b"") -> bytes:
    """A body of any content, as one who means harm writes it."""
    head = Writer()
    head.packed += columnar.MAGIC
    head.byte(packing)
    head.uint(length)
    head.uint(len(packed))
    return bytes(head.packed) + packed + raw


LENGTH = 64 * MiB
BY_ZLIB, BY_ZSTD = zlib.compress(bytes(LENGTH), 1), zstandard.ZstdCompressor().compress(bytes(LENGTH))
NAMELESS = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(LENGTH))
BOMBS = {
    "zlib_true": around(ZLIB, BY_ZLIB, LENGTH),
    "zlib_lying": around(ZLIB, BY_ZLIB, 1_000),
    "zstd_true": around(ZSTD, BY_ZSTD, LENGTH),
    "zstd_lying": around(ZSTD, BY_ZSTD, 1_000),
    "zstd_without_size": around(ZSTD, NAMELESS, 1_000),
    "zstd_two_frames": around(ZSTD, zstandard.ZstdCompressor().compress(bytes(100)) * 2, 100),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_unpacked(name: str) -> None:
    body = BOMBS[name]
    tracemalloc.start()
    try:
        assert not both_survive(body)
        assert tracemalloc.get_traced_memory()[1] < 4 * MiB
    finally:
        tracemalloc.stop()


def constant_points(n: int) -> bytes:
    """A section that says of `n` points, in a few bytes, that they are all the same."""
    out = Writer()
    out.uint(1)
    out.uint(n)
    out.blob(b'{"m":["a"]}')
    for byte in (0, 0, 0, 0, 1, 1, 0, 0):  # in turn; even times from 0 by 0; grouped; integers, constant, 0
        out.byte(byte)
    return around(PLAIN, bytes(out.packed), len(out.packed))


def test_more_points_than_the_limit_are_refused_before_there_are_any() -> None:
    assert len(columnar.decode_points(constant_points(100), source_id="s", max_points=100).columns) == 100
    tracemalloc.start()
    try:
        for n in (101, 10**9, 2**69):
            with pytest.raises(columnar.TooManyPointsError, match="at most 100"):
                columnar.decode_points(constant_points(n), source_id="s", max_points=100)
        assert tracemalloc.get_traced_memory()[1] < MiB
    finally:
        tracemalloc.stop()


def test_the_limit_counts_over_all_sections() -> None:
    body = ColumnarCodec().encode([Block("a", range(60), [1] * 60), Block("b", range(41), [1] * 41)])
    with pytest.raises(columnar.TooManyPointsError):
        columnar.decode_points(body, source_id="s", max_points=100)
    assert columnar.decode_points(body, source_id="s", max_points=101).total == 101


def test_what_unpacks_to_the_limit_is_read_and_a_byte_more_is_not() -> None:
    out = Writer()
    out.uint(0)
    for length, fits in ((MAX_UNPACKED, "goes on"), (MAX_UNPACKED + 1, "at most")):
        content = bytes(out.packed) + bytes(length - 1)
        for packing, packed in ((ZLIB, zlib.compress(content)), (ZSTD, zstandard.ZstdCompressor().compress(content))):
            with pytest.raises(ProtocolError, match=fits):
                ColumnarCodec().decode(around(packing, packed, length))


def test_a_packing_of_a_later_release_is_refused() -> None:
    with pytest.raises(ProtocolError, match="does not know"):
        ColumnarCodec().decode(around(9, b"\0", 1))


def test_without_zstandard_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    body = ColumnarCodec(packing=ZSTD).encode(RICH)
    monkeypatch.setattr("plexus.protocol.columnar.packing.zstandard", None)
    with pytest.raises(ProtocolError, match="plexus-python\\[speed\\]"):
        ColumnarCodec().decode(body)
    with pytest.raises(ProtocolError, match="plexus-python\\[speed\\]"):
        ColumnarCodec(packing=ZSTD).encode(RICH)
