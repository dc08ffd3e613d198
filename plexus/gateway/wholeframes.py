"""A WebSocket message that arrives as one whole frame, read without the library's parser: what small devices send.

The parser takes a frame in a dozen steps of generators, because any of its bytes may be late: 4 µs of the 60 that a
frame costs the gateway. What came whole needs none of it. Only the plainest is read here: one masked text frame, below
64 KiB and within the limit, and nothing before or behind it. All else is left to the library untouched, so this can
only be right or absent; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from websockets.protocol import OPEN, Protocol
from websockets.streams import StreamReader

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without a wheel of it
    from websockets.utils import apply_mask

TEXT_FRAME, MASKED = 0x81, 0x80
"""The first byte of a whole text message, and the bit of the second one that says it is masked (RFC 6455, 5.2)."""

LONG, LONGER = 126, 127
"""What stands for a length that follows in two bytes, as any from 126 on, and in eight."""

MASK_BYTES = 4

PORTION = 32 * 1024
"""Bytes that the library is given at once: so much more of a flood is read, at the most, than is needed to end it."""


def whole_text(data: bytes, limit: int) -> bytes | None:
    """The message of at most `limit` bytes that `data` is as one text frame; None when it is anything else."""
    if len(data) < 2 or data[0] != TEXT_FRAME or data[1] < MASKED:
        return None
    size, start = data[1] & ~MASKED, 2
    if size == LONGER:
        return None
    if size == LONG:
        size, start = int.from_bytes(data[2:4], "big"), 4
    if size > limit or len(data) != start + MASK_BYTES + size:
        return None
    return apply_mask(data[start + MASK_BYTES :], data[start : start + MASK_BYTES])


def portions(data: bytes) -> Sequence[bytes]:
    """What one read brought, in pieces of at most `PORTION` bytes.

    The library makes all frames of what it is given before we see one: of the 256 KiB of a read 40,000, in 0.2 s.
    """
    if len(data) <= PORTION:
        return (data,)
    return [data[start : start + PORTION] for start in range(0, len(data), PORTION)]


def between_messages(conn: Protocol) -> bool:
    """Whether what comes next begins a message. False when the library is not built as it is known to be."""
    if conn.state is not OPEN or conn.current_size is not None or conn.parser_exc is not None:
        return False
    # It waits for a frame's first byte nowhere else than there.
    return _waits_in(conn) is StreamReader.at_eof.__code__ and not conn.reader.buffer


def within_message(conn: Protocol) -> bool:
    """Whether a message or a frame has begun and is not whole. Neither is true of a library that is built otherwise."""
    if conn.state is not OPEN or conn.parser_exc is not None:
        return False
    return conn.current_size is not None or _waits_in(conn) is StreamReader.read_exact.__code__


def _waits_in(conn: Protocol) -> object:
    """The code that the parser stands in; None when it is not known."""
    waits_in: object = conn.parser
    while (deeper := getattr(waits_in, "gi_yieldfrom", None)) is not None:
        waits_in = deeper
    return getattr(waits_in, "gi_code", None)
