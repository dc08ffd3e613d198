"""From readings to sealed batches: stamped, encoded, named.

A batch is sealed by the codec that suits the link: compact where both ends have that, JSON else, and compactly while
there is no link, since it is on the disk that it waits then. From here on its content changes once at most, before it
is sent for the first time (`plexus.device.restamp`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from plexus.device import counters
from plexus.device.counters import Counters
from plexus.device.fitting import sealed_needs
from plexus.device.intake import SERIES_AT_ONCE, Taken
from plexus.device.restamp import mask_of
from plexus.device.sizing import json_bound
from plexus.device.stamping import MICROSECOND_NS, MILLISECOND_NS, Stamped, Stamper
from plexus.domain.errors import ProtocolError
from plexus.domain.loss import Loss
from plexus.domain.point import milliseconds_of
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.protocol import jsontext
from plexus.protocol.batch import Batch, Unsynced, digest_of
from plexus.protocol.extensions import GAPS, PRECISION, Features
from plexus.protocol.hashing import blake2b
from plexus.protocol.points import has_non_finite
from plexus.protocol.suiting import span_ns

SEAL_POINTS = 1_000
SEAL_BYTES = 64 * 1024
"""What a batch should have at most; how many points that is, is learnt from the batches before."""

MAX_BODY_BYTES = 512 * 1024
"""Half of the 1 MB that the hosted service takes in one message; a batch over it is sealed as two."""

MAX_POINT_BYTES = 1_000_000 - 4_096
"""What is over this as JSON fits no message: sent, it would only end the connection, again and again."""


class Sealer:
    """Seals readings into batches of the current stream. `new_stream` makes 32 hex digits of fresh randomness.

    `wire` is JSON, `compact` the codec for links that have an extension of its name (None: there is no other).
    """

    def __init__(
        self,
        wire: Codec,
        clock: Clock,
        tally: Counters,
        new_stream: Callable[[], str],
        compact: Codec | None = None,
    ) -> None:
        self._wire = wire
        self._compact = compact
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

    def seal(self, taken: Taken, features: Features | None) -> list[Batch]:
        """Stamp, encode and name all that was taken, for a link with these features; None: there is no link.

        Readings come first, then high-rate blocks; each in order.
        """
        codec = self._codec_for(features)
        is_precise = features is None or PRECISION in features or codec is not self._wire
        stamper = Stamper(self._clock, MICROSECOND_NS if is_precise else MILLISECOND_NS)
        batches: list[Batch] = []
        if taken.readings:
            batches = self._seal([stamper.readings(taken.readings)], codec, stamper)
            self._learn(batches)
        if taken.series:
            most = SEAL_POINTS if codec is self._wire else SERIES_AT_ONCE
            for group in _grouped([stamper.samples(samples) for samples in taken.series], most):
                batches += self._seal(group, codec, stamper)
        return batches

    def declare(self, losses: Sequence[Loss]) -> Batch:
        """A batch, of a stream of its own, that holds nothing but the word that these were lost."""
        body = self._wire.encode([])
        said = jsontext.dumps([attrs.astuple(loss) for loss in losses]).encode()
        return Batch(
            stream=self._new_stream(),
            n=1,
            count=0,
            body=body,
            digest=digest_of(body + said),
            needs=frozenset({GAPS}),
            first_ms=min((loss.first_ms for loss in losses if loss.first_ms is not None), default=0.0),
            last_ms=max((loss.last_ms for loss in losses if loss.last_ms is not None), default=0.0),
            losses=tuple(losses),
        )

    def _codec_for(self, features: Features | None) -> Codec:
        if self._compact is not None and (features is None or self._compact.name in features):
            return self._compact
        return self._wire

    # --- encoding -------------------------------------------------------------------------------------------

    def _seal(self, parts: list[Stamped], codec: Codec, stamper: Stamper) -> list[Batch]:
        try:
            bodies = self._encode(parts, codec)
        except ProtocolError:
            bodies = self._encode(self._encodable(parts, codec), codec)
        return [self._named(batch, body, codec, stamper) for batch, body in bodies]

    def _encode(self, parts: list[Stamped], codec: Codec) -> list[tuple[list[Stamped], bytes]]:
        """Bodies of the right size; raises ProtocolError when something in it has no form."""
        count = sum(map(len, parts))
        if not count:
            return []
        if count == 1:
            return self._encode_one(parts, codec)
        if codec is self._wire or sum(json_bound(part.block) for part in parts) <= MAX_POINT_BYTES:
            body = codec.encode([part.block for part in parts])
            if len(body) <= MAX_BODY_BYTES:
                return [(parts, body)]
        first, second = _halves(parts, count // 2)
        return self._encode(first, codec) + self._encode(second, codec)

    def _encode_one(self, parts: list[Stamped], codec: Codec) -> list[tuple[list[Stamped], bytes]]:
        block = parts[0].block
        body = codec.encode([block])
        size = len(body)
        if codec is not self._wire and json_bound(block) > MAX_POINT_BYTES:
            size = max(size, len(self._wire.encode([block])))
        if size <= MAX_POINT_BYTES:
            return [(parts, body)]
        self._drop(counters.TOO_LARGE, parts[0], f"metric {block.metrics()[0]!r}: {size} bytes, 1 MB is the limit")
        return []

    def _encodable(self, parts: list[Stamped], codec: Codec) -> list[Stamped]:
        """The points that have a form, found by halving; the others are counted by reason."""
        try:
            codec.encode([part.block for part in parts])
        except ProtocolError as exc:
            count = sum(map(len, parts))
            if count > 1:
                first, second = _halves(parts, count // 2)
                return self._encodable(first, codec) + self._encodable(second, codec)
            nested = has_non_finite(parts[0].block.value[0])
            self._drop(counters.NON_FINITE if nested else counters.UNREADABLE, parts[0], str(exc))
            return []
        return parts

    def _drop(self, reason: str, point: Stamped, detail: str) -> None:
        at_ms = milliseconds_of(point.block.t_ns[0])
        self._counters.drop(reason, 1, detail, first_ms=at_ms, last_ms=at_ms)

    # --- naming ---------------------------------------------------------------------------------------------

    def _named(self, parts: list[Stamped], body: bytes, codec: Codec, stamper: Stamper) -> Batch:
        self._n += 1
        blocks = [part.block for part in parts]
        first_ns, last_ns = span_ns(blocks)
        return Batch(
            stream=self.stream,
            n=self._n,
            count=sum(map(len, blocks)),
            body=body,
            digest=digest_of(body),
            needs=sealed_needs(blocks, codec),
            first_ms=milliseconds_of(first_ns),
            last_ms=milliseconds_of(last_ns),
            unsynced=None if self._clock.synced else self._unsynced(parts, stamper),
        )

    def _unsynced(self, parts: list[Stamped], stamper: Stamper) -> Unsynced | None:
        made = [is_made for part in parts for is_made in part.made_list()]
        return Unsynced(self._clock.boot_id, stamper.zero_ms, mask_of(made)) if any(made) else None

    def _learn(self, batches: list[Batch]) -> None:
        if batches:
            size = sum(len(batch.body) for batch in batches) / sum(batch.count for batch in batches)
            self.chunk = max(1, min(SEAL_POINTS, int(SEAL_BYTES / size)))


def _grouped(parts: Sequence[Stamped], most: int) -> list[list[Stamped]]:
    """High-rate blocks as batches of at most `most` points that are no more than a message as JSON."""
    groups: list[list[Stamped]] = []
    points, room = 0, 0
    for part in parts:
        each = json_bound(part.block) // len(part) + 1
        at = 0
        while at < len(part):
            fitting = min(points, room // each)
            if fitting < min(len(part) - at, most // 4):
                groups.append([])
                points, room = most, MAX_POINT_BYTES
                fitting = max(1, min(points, room // each))
            piece = part.part(at, at + fitting)
            groups[-1].append(piece)
            at += len(piece)
            points, room = points - len(piece), room - each * len(piece)
    return groups


def _halves(parts: list[Stamped], first: int) -> tuple[list[Stamped], list[Stamped]]:
    """The first so many points, and the others."""
    left: list[Stamped] = []
    for index, part in enumerate(parts):
        if len(part) > first:
            if first:
                left.append(part.part(0, first))
            return left, [part.part(first, len(part)), *parts[index + 1 :]]
        left.append(part)
        first -= len(part)
    return left, []


def resealed(batch: Batch) -> Batch:
    """The same content under a name of its own, after its name was found to be taken by other content.

    The new name follows from the old one and the content, so that doing this again after a crash gives the same name,
    and a copy that went out before the crash is recognised as a repeat.
    """
    seed = f"{batch.stream}/{batch.n}/{batch.digest}".encode()
    return attrs.evolve(batch, stream=blake2b(seed, digest_size=16).hexdigest(), n=1)
