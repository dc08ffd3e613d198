"""A batch as one row of the spool: packed, with a checksum over all of it, and back.

Packings are marked by number in each row: a spool written with zstandard and one written without are of one layout.
"""

from __future__ import annotations

import zlib
from typing import Any

from plexus.domain.errors import BufferFault
from plexus.protocol.batch import Batch

PLAIN, ZLIB, ZSTD = 0, 1, 2
SMALL_BYTES = 128
"""A body under this is kept as it is: a compressor's own header would eat what it saves."""

COLUMNS = "stream, n, count, digest, needs, first_ms, last_ms, packing, checksum, body"

Record = tuple[str, int, int, str, str, float, float, int, int, bytes]
"""A row, in the order of COLUMNS."""


class RecordDamaged(Exception):  # noqa: N818 - it says what the record is, as SpoolDamaged does
    """The row is not what was written; its text says in which way."""


class Packer:
    """Packs bodies with zstandard where it is installed, with zlib where it is not."""

    def __init__(self) -> None:
        self._zstd = _zstandard()
        self._compressor = self._zstd.ZstdCompressor(level=1) if self._zstd else None
        self._decompressor = self._zstd.ZstdDecompressor() if self._zstd else None

    def pack(self, batch: Batch) -> Record:
        """The batch as a row."""
        packing, packed = self._packed(batch.body)
        needs = ",".join(sorted(batch.needs))
        facts = (batch.stream, batch.n, batch.count, batch.digest, needs, float(batch.first_ms), float(batch.last_ms))
        return (*facts, packing, _checksum(facts, packing, packed), packed)

    def unpack(self, record: Record) -> Batch:
        """The batch of a row; raises RecordDamaged, or BufferFault when zstandard is missing."""
        stream, n, count, digest, needs, first_ms, last_ms, packing, checksum, packed = record
        if not isinstance(packed, bytes) or _checksum(record[:7], packing, packed) != checksum:
            raise RecordDamaged("its checksum does not match")
        features = frozenset(needs.split(",")) if needs else frozenset()
        return Batch(stream, n, count, self._unpacked(packing, packed), digest, features, first_ms, last_ms)

    def _packed(self, body: bytes) -> tuple[int, bytes]:
        if len(body) < SMALL_BYTES:
            return PLAIN, body
        if self._compressor is not None:
            return ZSTD, self._compressor.compress(body)
        return ZLIB, zlib.compress(body, 1)

    def _unpacked(self, packing: int, packed: bytes) -> bytes:
        if packing == PLAIN:
            return packed
        if packing == ZLIB:
            return zlib.decompress(packed)
        if packing != ZSTD:
            raise RecordDamaged(f"its packing {packing} is unknown")
        if self._decompressor is None:
            raise BufferFault(
                "the spool was written with zstandard, which is not installed here: install the extra plexus[speed]; "
                "what is in the spool stays there until then"
            )
        body: bytes = self._decompressor.decompress(packed)
        return body


def _checksum(facts: tuple[Any, ...], packing: int, packed: bytes) -> int:
    # The facts count as much as the body: a flipped bit in `n` would store the same points twice.
    return zlib.crc32(packed, zlib.crc32(repr((facts, packing)).encode()))


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard
