"""A whole body: sections behind the magic, packed where that gains something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plexus.domain.errors import ProtocolError
from plexus.protocol.block import Block
from plexus.protocol.columnar.layout import Reader, Writer
from plexus.protocol.columnar.packing import pack, unpack
from plexus.protocol.columnar.section import Section, read_section, write_section

MAGIC = b"PXC1"
"""The codec and its version; a JSON body begins with `[`."""


class TooManyPointsError(ProtocolError):
    """A body has more points than its reader takes in one message."""


def write_body(blocks: Sequence[Block], packing: int) -> bytes:
    """These blocks as one body; empty ones leave no trace. Raises ProtocolError naming the metric at fault."""
    full = [block for block in blocks if len(block)]
    out = Writer()
    out.uint(len(full))
    for block in full:
        out.uint(len(block))
        write_section(out, block)
    packing, packed = pack(bytes(out.packed), packing)
    head = Writer()
    head.packed += MAGIC
    head.byte(packing)
    head.uint(len(out.packed))
    head.uint(len(packed))
    return b"".join((head.packed, packed, *out.raw))


def read_body(body: bytes, max_points: int) -> list[Section]:
    """The sections of a body; raises ProtocolError, whatever the bytes are, and for more than `max_points` points.

    Memory is bounded by the body's own length, by 1 MiB of unpacked bytes, and by what so many points need.
    """
    source = open_body(body)
    sections = [read_section(source, n) for n in section_lengths(source, max_points)]
    source.check_ended()
    return sections


def open_body(body: bytes) -> Reader:
    """A reader at the beginning of a body's content, unpacked; raises ProtocolError."""
    if not body.startswith(MAGIC):
        raise ProtocolError("a columnar body must begin with PXC1")
    head = Reader(body[len(MAGIC) : len(MAGIC) + 32], b"")
    packing, length, packed_length = head.byte(), head.uint(), head.uint()
    start = len(MAGIC) + head.at
    packed = body[start : start + packed_length]
    if len(packed) != packed_length:
        raise ProtocolError("the columnar body ends too early")
    return Reader(unpack(packing, packed, length), body[start + packed_length :])


def section_lengths(source: Reader, max_points: int) -> Iterator[int]:
    """How many points each section has, in turn: read a section after each. Raises ProtocolError."""
    left = max_points
    for _ in range(source.uint()):
        n = source.uint()
        if n > left:
            raise TooManyPointsError(f"points must be at most {max_points} a message", field="points")
        left -= n
        yield n
