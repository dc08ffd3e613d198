"""Whole histories for the client that blocks: several requests at once, in threads of a pool of the call's own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from plexus.api import calls
from plexus.api.history.gathering import Gathering, Page, combined
from plexus.api.history.plan import Piece
from plexus.api.history.progress import Progress
from plexus.api.tables.results import QueryResult

if TYPE_CHECKING:
    from plexus.api.link import Link


def pages(link: Link, gathering: Gathering, progress: Progress) -> Iterator[QueryResult]:
    """The pages of a history in the order of time, each complete. Nothing is asked before the first is taken."""
    with progress:
        # The first one is often all, and then no thread is made.
        first = gathering.next()
        assert first is not None  # a span has at least one piece
        piece, call = first
        gathering.take(piece, lambda: link.ask(call))
        yield from _told(gathering, progress)
        if not gathering.finished:
            yield from _several(link, gathering, progress)


def load(link: Link, gathering: Gathering, progress: Progress) -> QueryResult:
    """A whole history as one answer."""
    return combined(gathering.order, list(pages(link, gathering, progress)))


def _several(link: Link, gathering: Gathering, progress: Progress) -> Iterator[QueryResult]:
    pool = ThreadPoolExecutor(gathering.at_once, thread_name_prefix="plexus-history")
    running: dict[Future[Page], Piece] = {}
    try:
        while not gathering.finished:
            if gathering.wants_names:
                names = link.ask(calls.metric_names(gathering.order.source_id))
                gathering.name(names)
            while len(running) < gathering.at_once and (asked := gathering.next()) is not None:
                running[pool.submit(link.ask, asked[1])] = asked[0]
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                gathering.take(running.pop(future), future.result)
            yield from _told(gathering, progress)
    finally:
        # Answers that are under way are waited for: a thread that outlives the call would use a closed client.
        pool.shutdown(wait=True, cancel_futures=True)


def _told(gathering: Gathering, progress: Progress) -> Iterator[QueryResult]:
    for page in gathering.ready():
        progress.tell(gathering.share, gathering.rows)
        yield page
    progress.tell(gathering.share, gathering.rows)
