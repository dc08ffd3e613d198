"""Whole histories for the client that is awaited: several requests at once, each a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from plexus.api import calls
from plexus.api.history.gathering import Gathering, Page, combined
from plexus.api.history.plan import Piece
from plexus.api.history.progress import Progress
from plexus.api.tables.results import QueryResult

if TYPE_CHECKING:
    from plexus.api.asynclink import AsyncLink


async def pages(link: AsyncLink, gathering: Gathering, progress: Progress) -> AsyncIterator[QueryResult]:
    """The pages of a history in the order of time, each complete. Nothing is asked before the first is taken."""
    running: dict[asyncio.Future[Page], Piece] = {}
    try:
        with progress:
            while not gathering.finished:
                if gathering.wants_names:
                    names = await link.ask(calls.metric_names(gathering.order.source_id))
                    gathering.name(names)
                while len(running) < gathering.at_once and (asked := gathering.next()) is not None:
                    running[asyncio.ensure_future(link.ask(asked[1]))] = asked[0]
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for future in done:
                    gathering.take(running.pop(future), future.result)
                for page in _told(gathering, progress):
                    yield page
    finally:
        for future in running:
            future.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def load(link: AsyncLink, gathering: Gathering, progress: Progress) -> QueryResult:
    """A whole history as one answer."""
    return combined(gathering.order, [page async for page in pages(link, gathering, progress)])


def _told(gathering: Gathering, progress: Progress) -> Iterator[QueryResult]:
    for page in gathering.ready():
        progress.tell(gathering.share, gathering.rows)
        yield page
    progress.tell(gathering.share, gathering.rows)
