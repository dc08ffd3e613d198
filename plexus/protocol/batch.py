"""Batches and their names (extension `batch`): what makes a repeat recognisable, whatever link carried it.

A batch is named by (`stream`, `n`). `stream` is 128 random bits, new whenever a spool is opened, after a fork, and
for fresh data that overtakes a backlog; `n` counts from 1 in it. The name and the content never change.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.loss import Loss
from plexus.protocol.extensions import NO_FEATURES, Features
from plexus.protocol.hashing import blake2b

_stream = re.compile(r"[0-9a-f]{32}\Z")
_digest = re.compile(r"[0-9a-f]{1,128}\Z")
MAX_N = 2**53


@attrs.frozen
class BatchName:
    """The `batch` object of a telemetry frame. `base` is the lowest `n` of the stream not yet acknowledged."""

    stream: str
    n: int
    base: int
    digest: str

    def to_wire(self) -> dict[str, Any]:
        """As the JSON object."""
        return {"stream": self.stream, "n": self.n, "base": self.base, "digest": self.digest}


@attrs.frozen
class Unsynced:
    """Says that stamps in a batch were made before the clock was ever synchronised, so that they can be put right.

    Attributes:
        boot_id: the boot of the machine in which they were made; ticks of another boot mean nothing.
        zero_ms: the wall clock's time (milliseconds since 1970 UTC) at tick 0, by which they were made.
        made: which points have such a stamp, a bit for each (bit 0 of byte 0 is the first); None: all of them.
    """

    boot_id: str
    zero_ms: float
    made: bytes | None = None


@attrs.frozen(eq=False)
class Batch:
    """A sealed batch: `body` is the encoded JSON array (or another codec's bytes) of `count` points.

    `needs` names the extensions without which the body must be fitted before it is sent; `first_ms` and `last_ms`
    are the lowest and highest timestamp in it, milliseconds since 1970 UTC, for the record of a loss. `unsynced` is set
    until its stamps are put right, which is before it is sent for the first time and never after. A batch with `losses`
    declares what had to be dropped (extension `gaps`); it may have no points.
    """

    stream: str
    n: int
    count: int
    body: bytes
    digest: str
    needs: Features = NO_FEATURES
    first_ms: float = 0.0
    last_ms: float = 0.0
    unsynced: Unsynced | None = None
    losses: tuple[Loss, ...] = ()

    def name(self, base: int) -> BatchName:
        """The name to send, given the lowest unacknowledged `n` of its stream."""
        return BatchName(self.stream, self.n, min(base, self.n), self.digest)


def digest_of(body: bytes) -> str:
    """A 128-bit digest of a sealed body; made once, when the batch is sealed, and carried along from then on."""
    return blake2b(body, digest_size=16).hexdigest()


def is_stream_name(value: object) -> bool:
    """Whether this is 32 lower-case hex digits."""
    return isinstance(value, str) and bool(_stream.match(value))


def parse_batch_name(raw: Any) -> BatchName | None:
    """The `batch` object of a message, None if it has none; raises ProtocolError naming the field at fault."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise ProtocolError("batch must be an object", field="batch")
    if not is_stream_name(raw.get("stream")):
        raise ProtocolError("batch.stream must be 32 lower-case hex digits", field="batch.stream")
    digest = raw.get("digest")
    if not isinstance(digest, str) or not _digest.match(digest):
        raise ProtocolError("batch.digest must be lower-case hex digits", field="batch.digest")
    n, base = (_counter(raw, field) for field in ("n", "base"))
    if base > n:
        raise ProtocolError("batch.base must not be above batch.n", field="batch.base")
    return BatchName(raw["stream"], n, base, digest)


def _counter(raw: dict[str, Any], field: str) -> int:
    value = raw.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_N:
        raise ProtocolError(f"batch.{field} must be a whole number from 1", field=f"batch.{field}")
    return value
