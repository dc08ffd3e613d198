"""A batch as one row of the spool: packed, with a checksum over all of it, and back.

Packings are marked by number in each row: a spool written with zstandard and one written without are of one layout.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch, Unsynced
from plexus.protocol.extensions import COLUMNAR

PLAIN, ZLIB, ZSTD = 0, 1, 2
SMALL_BYTES = 128
"""A body under this is kept as it is: a compressor's own header would eat what it saves."""

COLUMNS = "stream, n, count, digest, needs, first_ms, last_ms, unsynced, losses, packing, checksum, body"

Record = tuple[str, int, int, str, str, float, float, str, str, int, int, bytes]
"""A row, in the order of COLUMNS."""

LossRecord = tuple[str, int, float | None, float | None, int]
"""A row of the losses: reason, count, first_ms, last_ms, checksum."""


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
        packing, packed = self._packed(batch)
        needs = ",".join(sorted(batch.needs))
        facts = (batch.stream, batch.n, batch.count, batch.digest, needs, float(batch.first_ms), float(batch.last_ms))
        notes = (_unsynced_text(batch.unsynced), _losses_text(batch.losses))
        return (*facts, *notes, packing, _checksum(facts, notes, packing, packed), packed)

    def unpack(self, record: Record) -> Batch:
        """The batch of a row; raises RecordDamaged, or BufferFault when zstandard is missing."""
        stream, n, count, digest, needs, first_ms, last_ms, unsynced, losses, packing, checksum, packed = record
        if not isinstance(packed, bytes) or _checksum(record[:7], record[7:9], packing, packed) != checksum:
            raise RecordDamaged("its checksum does not match")
        features = frozenset(needs.split(",")) if needs else frozenset()
        body = self._unpacked(packing, packed)
        notes = (_unsynced(unsynced), _losses(losses))
        return Batch(stream, n, count, body, digest, features, first_ms, last_ms, *notes)

    def _packed(self, batch: Batch) -> tuple[int, bytes]:
        body = batch.body
        if len(body) < SMALL_BYTES or COLUMNAR in batch.needs:
            return PLAIN, body  # columnar bodies are compressed as they are
        packing, packed = self._squeezed(body)
        return (packing, packed) if len(packed) < len(body) else (PLAIN, body)

    def _squeezed(self, body: bytes) -> tuple[int, bytes]:
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


def loss_record(loss: Loss) -> LossRecord:
    """The loss as a row."""
    facts = (loss.reason, loss.count, _float(loss.first_ms), _float(loss.last_ms))
    return (*facts, zlib.crc32(repr(facts).encode()))


def loss_of(record: LossRecord) -> Loss:
    """The loss of a row; raises RecordDamaged."""
    if zlib.crc32(repr(record[:4]).encode()) != record[4]:
        raise RecordDamaged("its checksum does not match")
    return Loss(*record[:4])


def _checksum(facts: tuple[Any, ...], notes: tuple[Any, ...], packing: int, packed: bytes) -> int:
    # The facts count as much as the body: a flipped bit in `n` would store the same points twice. Without notes it is
    # the checksum of layout 1, whose rows are read as they are.
    all_facts = (*facts, *notes) if any(notes) else facts
    return zlib.crc32(packed, zlib.crc32(repr((all_facts, packing)).encode()))


def _unsynced_text(unsynced: Unsynced | None) -> str:
    if unsynced is None:
        return ""
    made = None if unsynced.made is None else unsynced.made.hex()
    return json.dumps([unsynced.boot_id, float(unsynced.zero_ms), made])


def _unsynced(text: str) -> Unsynced | None:
    if not text:
        return None
    boot_id, zero_ms, made = json.loads(text)
    return Unsynced(boot_id, zero_ms, None if made is None else bytes.fromhex(made))


def _losses_text(losses: tuple[Loss, ...]) -> str:
    return json.dumps([[loss.reason, loss.count, loss.first_ms, loss.last_ms] for loss in losses]) if losses else ""


def _losses(text: str) -> tuple[Loss, ...]:
    return tuple(Loss(*fields) for fields in json.loads(text)) if text else ()


def _float(ms: float | None) -> float | None:
    # SQLite gives back a float for what went in as a whole number, and the checksum is over what it gives.
    return None if ms is None else float(ms)


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard
