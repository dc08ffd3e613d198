"""From readings to sealed batches: stamped, encoded, named. From here on a batch never changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plexus.device.counters import Counters
from plexus.domain.errors import ProtocolError
from plexus.domain.point import Point, Reading, to_milliseconds
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.points import needs

SEAL_AFTER_S = 0.05
SEAL_POINTS = 1_000
MAX_BODY_BYTES = 512 * 1024
"""Half of the 1 MB that the hosted service takes in one message; a batch over it is sealed as two."""


class Sealer:
    """Seals readings into batches of the current stream. `new_stream` makes 32 hex digits of fresh randomness."""

    def __init__(self, codec: Codec, clock: Clock, counters: Counters, new_stream: Callable[[], str]) -> None:
        self._codec = codec
        self._clock = clock
        self._counters = counters
        self._new_stream = new_stream
        self.stream = new_stream()
        self._n = 0

    def renew(self) -> None:
        """Go on under a new stream: after a fork, or when fresh data is to overtake what waits."""
        if self._n:
            self.stream = self._new_stream()
            self._n = 0

    def seal(self, readings: Sequence[Reading], *, precise: bool) -> list[Batch]:
        """Stamp, encode and name these readings, in order. `precise` keeps microseconds in stamps made here."""
        points = [self._point(reading, precise) for reading in readings]
        try:
            bodies = self._encode(points)
        except ProtocolError:
            points = [point for point in points if self._encodable(point)]
            bodies = self._encode(points)
        return [self._name(chunk, body) for chunk, body in bodies]

    def reseal(self, batch: Batch) -> Batch:
        """The same content under the current stream, after its name was found to be taken."""
        self._n += 1
        return Batch(
            self.stream, self._n, batch.count, batch.body, batch.digest, batch.needs, batch.first_ms, batch.last_ms
        )

    def _point(self, reading: Reading, precise: bool) -> Point:
        metric, value, timestamp, tags, point_class, run_id, tick = reading
        if timestamp is not None:
            stamp = to_milliseconds(timestamp)
        else:
            made = self._clock.wall_ms(tick)
            stamp = round(made, 3) if precise else round(made)
        return Point(metric, value, stamp, tags, point_class, run_id)  # type: ignore[arg-type]

    def _encode(self, points: list[Point]) -> list[tuple[list[Point], bytes]]:
        if not points:
            return []
        body = self._codec.encode(points)
        if len(body) <= MAX_BODY_BYTES or len(points) == 1:
            return [(points, body)]
        half = len(points) // 2
        return self._encode(points[:half]) + self._encode(points[half:])

    def _encodable(self, point: Point) -> bool:
        try:
            self._codec.encode([point])
        except ProtocolError as exc:
            self._counters.drop("unencodable", 1, f"metric {point.metric!r}: {exc}")
            return False
        return True

    def _name(self, points: list[Point], body: bytes) -> Batch:
        self._n += 1
        times = [point.timestamp_ms for point in points if point.timestamp_ms is not None]
        return Batch(
            stream=self.stream,
            n=self._n,
            count=len(points),
            body=body,
            digest=digest_of(body),
            needs=needs(points),
            first_ms=min(times),
            last_ms=max(times),
        )
