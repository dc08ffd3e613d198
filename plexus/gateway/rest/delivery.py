"""The delivery ledger: what of a source was lost on the way, what came twice, and how far each of its streams is."""

from __future__ import annotations

from litestar import get
from litestar.params import FromPath

from plexus.domain.source import Delivery, Stream
from plexus.gateway.deliveries import dead_letters
from plexus.gateway.rest.caller import READ, Asking
from plexus.gateway.rest.faults import REFUSALS
from plexus.ports.store import StreamInfo

STREAMS_SHOWN = 100
"""A stream begins with every spool that is opened: the ones heard of last are shown."""


@get("/v1/sources/{source_id:str}/delivery", opt=READ, responses=REFUSALS)
async def get_delivery(caller: Asking, source_id: FromPath[str]) -> Delivery:
    """The delivery ledger of one source: what was lost on the way, and what came twice and was stored once."""
    source = await caller.source(source_id)
    store = caller.core.store
    gaps = list(await caller.ask(store.losses, caller.org, source.source_id))
    streams = await caller.ask(store.streams, caller.org, source.source_id)
    counted = caller.core.committer.deliveries.of(caller.org, source.source_id)
    return Delivery(
        source_id=source.source_id,
        lost=sum(gap.count for gap in gaps),
        gaps=gaps,
        batches=counted.batches,
        duplicates=counted.duplicates,
        gaps_refused=counted.gaps_refused,
        forks=counted.forks,
        dead_letters=dead_letters(gaps),
        streams=[_stream(info) for info in streams[:STREAMS_SHOWN]],
        clock=counted.clock,
    )


def _stream(info: StreamInfo) -> Stream:
    return Stream(info.stream, info.watermark, info.seen_ns // 1_000_000)
