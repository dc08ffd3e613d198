"""What needs a look into a sealed batch: stamps that are put right, small batches put together, points for a person.

Only a batch that was never sent is changed; what was sent keeps its name and content for good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plexus.device.fitting import decoded, sealed_needs
from plexus.device.restamp import restamped
from plexus.device.sizing import json_bound
from plexus.domain.errors import ProtocolError
from plexus.domain.point import Point
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.block import Block, count_points
from plexus.protocol.extensions import Features

MERGED_POINTS = 1_000
MERGED_POINTS_OVER_REQUESTS = 5_000
"""How large a batch becomes where one at a time is under way: fewer answers to wait for."""
MERGED_BYTES = 512 * 1024
"""The same in bytes of JSON, which it may have to travel as; half of what the hosted service takes in one message."""


class Rework:
    """Reads batches that `wire` (JSON) or `compact` (None: there is no other) sealed."""

    def __init__(self, clock: Clock, wire: Codec, compact: Codec | None, new_stream: Callable[[], str]) -> None:
        self._clock = clock
        self._wire = wire
        self._compact = compact
        self._codecs = [codec for codec in (wire, compact) if codec is not None]
        self._new_stream = new_stream

    def put_right(self, batch: Batch) -> Batch:
        """The batch with its stamps put right, under its name; raises ProtocolError when it cannot be read."""
        return restamped(batch, self._clock, self._codecs)

    def merged(self, batches: Sequence[Batch], features: Features) -> Batch | None:
        """All as one batch of a stream of its own, for a link with these features; None when that cannot be.

        It cannot where one of them cannot be read, or all together are more than a message should have.
        """
        compact = self._compact
        codec = compact if compact is not None and compact.name in features else self._wire
        try:
            blocks = [block for batch in batches for block in decoded(batch.body, self._codecs)[1]]
            body = codec.encode(blocks) if sum(map(json_bound, blocks)) <= MERGED_BYTES else None
        except ProtocolError:
            return None
        if body is None:
            return None
        return Batch(
            stream=self._new_stream(),
            n=1,
            count=count_points(blocks),
            body=body,
            digest=digest_of(body),
            needs=sealed_needs(blocks, codec),
            first_ms=min(batch.first_ms for batch in batches),
            last_ms=max(batch.last_ms for batch in batches),
        )

    def points(self, batch: Batch) -> list[Point]:
        """Its points, for a person to look at; raises ProtocolError when it cannot be read."""
        return [point for block in decoded(batch.body, self._codecs)[1] for point in _points(block)]


def _points(block: Block) -> list[Point]:
    columns = zip(
        block.metrics(), block.t_ns, block.value, block.events(), block.tag_list(), block.run_ids(), strict=True
    )
    return [
        Point(metric, value, t_ns / 1e6, tags, "event" if is_event else "metric", run_id)
        for metric, t_ns, value, is_event, tags, run_id in columns
    ]
