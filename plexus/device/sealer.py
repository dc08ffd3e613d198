"""From readings to sealed batches: stamped, encoded, named. From here on a batch never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import attrs

from plexus.device import counters
from plexus.device.counters import Counters
from plexus.domain.errors import ProtocolError
from plexus.domain.point import Reading, Row
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.points import has_non_finite, needs

SEAL_POINTS = 1_000
SEAL_BYTES = 64 * 1024
"""What a batch should have at most; how many points that is, is learnt from the batches before."""

MAX_BODY_BYTES = 512 * 1024
"""Half of the 1 MB that the hosted service takes in one message; a batch over it is sealed as two."""

MAX_POINT_BYTES = 1_000_000 - 4_096
"""One point over this fits no message: sent, it would only end the connection, again and again."""


class Sealer:
    """Seals readings into batches of the current stream. `new_stream` makes 32 hex digits of fresh randomness."""

    def __init__(self, codec: Codec, clock: Clock, tally: Counters, new_stream: Callable[[], str]) -> None:
        self._codec = codec
        self._clock = clock
        self._counters = tally
        self._new_stream = new_stream
        self._n = 0
        self.stream = new_stream()
        self.chunk = SEAL_POINTS // 2
        """How many readings make a batch of the right size."""

    def renew(self) -> None:
        """Go on under a new stream, since fresh data is to overtake what waits."""
        if self._n:
            self.stream = self._new_stream()
            self._n = 0

    def seal(self, readings: Sequence[Reading], *, precise: bool) -> list[Batch]:
        """Stamp, encode and name these readings, in order. `precise` keeps microseconds in stamps made here."""
        rows = self._stamped(readings, precise)
        try:
            bodies = self._encode(rows)
        except ProtocolError:
            bodies = self._encode([row for row in rows if self._encodable(row)])
        batches = [self._named(chunk, body) for chunk, body in bodies]
        if batches:
            self._learn(batches)
        return batches

    def _stamped(self, readings: Sequence[Reading], precise: bool) -> list[Row]:
        wall_ms, digits = self._clock.wall_ms, 3 if precise else None
        return [
            (metric, value, round(wall_ms(tick), digits) if stamp is None else stamp, tags, point_class, run_id)
            for metric, value, stamp, tags, point_class, run_id, tick in readings
        ]

    def _encode(self, rows: list[Row]) -> list[tuple[list[Row], bytes]]:
        if not rows:
            return []
        body = self._codec.encode(rows)
        if len(rows) == 1:
            if len(body) <= MAX_POINT_BYTES:
                return [(rows, body)]
            self._counters.drop(counters.TOO_LARGE, 1, f"metric {rows[0][0]!r}: {len(body)} bytes, 1 MB is the limit")
            return []
        if len(body) <= MAX_BODY_BYTES:
            return [(rows, body)]
        half = len(rows) // 2
        return self._encode(rows[:half]) + self._encode(rows[half:])

    def _encodable(self, row: Row) -> bool:
        try:
            self._codec.encode([row])
        except ProtocolError as exc:
            reason = counters.NON_FINITE if has_non_finite(row[1]) else counters.UNREADABLE
            self._counters.drop(reason, 1, str(exc))
            return False
        return True

    def _named(self, rows: list[Row], body: bytes) -> Batch:
        self._n += 1
        times = [row[2] for row in rows]
        return Batch(
            stream=self.stream,
            n=self._n,
            count=len(rows),
            body=body,
            digest=digest_of(body),
            needs=needs(rows),
            first_ms=min(times),
            last_ms=max(times),
        )

    def _learn(self, batches: list[Batch]) -> None:
        size = sum(len(batch.body) for batch in batches) / sum(batch.count for batch in batches)
        self.chunk = max(1, min(SEAL_POINTS, int(SEAL_BYTES / size)))


def resealed(batch: Batch) -> Batch:
    """The same content under a name of its own, after its name was found to be taken by other content.

    The new name follows from the old one and the content, so that doing this again after a crash gives the same name,
    and a copy that went out before the crash is recognised as a repeat.
    """
    seed = f"{batch.stream}/{batch.n}/{batch.digest}".encode()
    return attrs.evolve(batch, stream=hashlib.blake2b(seed, digest_size=16).hexdigest(), n=1)
