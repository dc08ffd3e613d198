"""Compressing the part of a body that it is worth for, and unpacking it without trust.

zstandard where it is installed (extra `plexus[speed]`), zlib otherwise. What is packed is at most `MAX_UNPACKED` long
before; a writer that has more leaves it plain, so that the length of a body tells a sealer the truth about it.
"""

from __future__ import annotations

import zlib
from typing import Any

from plexus.domain.errors import ProtocolError

zstandard: Any
try:
    import zstandard
except ImportError:
    # The extra `plexus[speed]`; correct without it.
    zstandard = None

PLAIN, ZLIB, ZSTD = 0, 1, 2
BEST = ZLIB if zstandard is None else ZSTD
MAX_UNPACKED = 1024 * 1024
MIN_PACKED = 64
"""Less than this is not worth a compressor's own header."""

_compressors: list[Any] = []
"""zstd compressors that nobody uses just now; making one costs more than packing a batch. A list's own methods are
atomic, so threads never get the same one."""


def pack(content: bytes, packing: int) -> tuple[int, bytes]:
    """`content` packed that way, or plain where it gains nothing; returns which of both, and the bytes."""
    if packing == PLAIN or not MIN_PACKED <= len(content) <= MAX_UNPACKED:
        return PLAIN, content
    packed = _zstd(content) if packing == ZSTD else zlib.compress(content, 1)
    return (packing, packed) if len(packed) < len(content) else (PLAIN, content)


def unpack(packing: int, content: bytes, length: int) -> bytes:
    """The `length` bytes that were packed; raises ProtocolError for anything else, whatever the bytes are."""
    if packing == PLAIN:
        unpacked = content
    elif length > MAX_UNPACKED:
        raise ProtocolError(f"a packed columnar body must unpack to at most {MAX_UNPACKED} bytes, not {length}")
    elif packing == ZLIB:
        unpacked = _from_zlib(content, length)
    elif packing == ZSTD:
        unpacked = _from_zstd(content, length)
    else:
        raise ProtocolError(f"the columnar body is packed in a way that this release does not know ({packing})")
    if len(unpacked) != length:
        raise ProtocolError(f"the columnar body unpacks to {len(unpacked)} bytes, not to the {length} that it says")
    return unpacked


def _zstd(content: bytes) -> bytes:
    if zstandard is None:
        raise ProtocolError("packing with zstd needs the package zstandard: pip install 'plexus-python[speed]'")
    compressor = _compressors.pop() if _compressors else zstandard.ZstdCompressor(level=1)
    packed: bytes = compressor.compress(content)
    _compressors.append(compressor)
    return packed


def _from_zlib(content: bytes, length: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(content, length + 1)
    except zlib.error as exc:
        raise ProtocolError(f"the columnar body cannot be unpacked: {exc}") from exc
    if not unpacker.eof or unpacker.unused_data:
        raise ProtocolError("the columnar body is not one whole zlib stream of the length that it says")
    return unpacked


def _from_zstd(content: bytes, length: int) -> bytes:
    if zstandard is None:
        raise ProtocolError("this body is packed with zstd: pip install 'plexus-python[speed]' to read it")
    try:
        # The frame says what will be allocated for it: looked at before anything is.
        if zstandard.frame_content_size(content) != length:
            raise ProtocolError("the columnar body is not one zstd frame of the length that it says")
        unpacked: bytes = zstandard.ZstdDecompressor().decompress(content, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise ProtocolError(f"the columnar body cannot be unpacked: {exc}") from exc
    return unpacked
