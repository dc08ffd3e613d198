"""`api.metrics`: what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from plexus.api import calls
from plexus.api.clock import now_ms
from plexus.api.requests import MetricNames
from plexus.api.tables import QueryResult
from plexus.api.times import Instant, Length, window
from plexus.domain.live import LivePoint, StreamNotice
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.source import Removal
from plexus.domain.values import Value

if TYPE_CHECKING:
    from plexus.api.link import Link
    from plexus.api.streams import Since, Stream, WhenFull


class Metrics:
    """What is measured: `api.metrics`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def names(self, source_id: str) -> list[str]:
        """Names of the source's metrics."""
        return self._link.ask(calls.metric_names(source_id))

    def details(self, source_id: str) -> list[MetricInfo]:
        """Unit, description and expected range of each metric, as far as they are known."""
        return self._link.ask(calls.metric_details(source_id))

    def describe(
        self,
        source_id: str,
        metric: str,
        *,
        unit: str | None = None,
        description: str | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> MetricInfo:
        """Say what a metric is, in place of what was known of it; what is left out is not known any more.

        `low` and `high` are the least and the greatest value that is expected, both included: outside of them a live
        point has `alert` 1. The metric need not have a value yet. Needs the scope `write`.
        """
        return self._link.ask(calls.describe(source_id, MetricInfo(metric, unit, description, low, high)))

    def forget(self, source_id: str, metric: str) -> None:
        """Let go of what `describe` said of a metric; its values stay. NotFoundError when nothing is known."""
        return self._link.ask(calls.forget(source_id, metric))

    def latest(self, source_id: str) -> dict[str, Value]:
        """The newest value of each metric, by name."""
        return self._link.ask(calls.latest(source_id))

    def query(
        self,
        source_id: str,
        metrics: MetricNames = None,
        *,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        interval: str | None = None,
    ) -> QueryResult:
        """Values over a window (the last hour if none is given), of one metric, several, or all.

        `last` is a timedelta or "90s", "15m", "1h", "7d"; `start` and `end` are aware datetimes, ISO text with an
        offset, or epoch seconds or milliseconds. `interval` is "raw", "1m", "10m", "1h" or "1d"; without it the server
        answers windows under ten minutes raw and longer ones in buckets. `truncated` in the answer says that a raw
        window held more than 10,000 rows: `load` gets all of them.
        """
        stretch = window(last=last, start=start, end=end, now_ms=now_ms())
        return self._link.ask(calls.query(source_id, metrics, stretch, interval))

    def load(
        self,
        source_id: str,
        metrics: MetricNames = None,
        *,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        interval: str = "raw",
        at_once: int = 4,
        progress: bool | None = None,
    ) -> QueryResult:
        """A whole window as one answer, however long it is and whatever the server's limit of rows.

        Arguments are those of `query`, but values are raw unless `interval` says otherwise. The window is fetched in
        pieces, `at_once` requests at a time (1 to 32); no value is missing where they meet, and none is there twice.
        Everything that was stored before the call is in the answer, once; of what arrives meanwhile, what is stamped in
        a piece that is not fetched yet. A window that has no `end` ends at the call, by this machine's clock.

        After a second a progress bar is shown where stderr is a terminal, or as `progress` says (needs rich). Raises
        QueryError when one microsecond of one metric has more values than an answer of the server holds.
        """
        from plexus.api.history import gathering, threads
        from plexus.api.history.progress import Progress

        course = gathering.gathering(
            source_id,
            metrics,
            last=last,
            start=start,
            end=end,
            interval=interval,
            at_once=at_once,
            rows_at_once=gathering.LOAD_ROWS,
        )
        return threads.load(self._link, course, Progress(source_id, progress))

    def iterate(
        self,
        source_id: str,
        metrics: MetricNames = None,
        *,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        interval: str = "raw",
        at_once: int = 4,
        progress: bool | None = None,
    ) -> Iterator[QueryResult]:
        """A whole window in batches, ascending in time, so that memory stays bounded; see `load` for the arguments.

        Each batch is an answer of its own (iterate it for rows, or make it a data frame); one that would be empty is
        left out. What comes later while this runs is promised as `load` does.
        """
        from plexus.api.history import gathering, threads
        from plexus.api.history.progress import Progress

        course = gathering.gathering(
            source_id,
            metrics,
            last=last,
            start=start,
            end=end,
            interval=interval,
            at_once=at_once,
            rows_at_once=gathering.BATCH_ROWS,
        )
        return threads.pages(self._link, course, Progress(source_id, progress))

    def remove(
        self,
        source_id: str,
        metrics: MetricNames = None,
        *,
        start: Instant | None = None,
        end: Instant | None = None,
        confirm: int | None = None,
    ) -> Removal:
        """Remove wrong data for ever: values and events of these names (all without any), from `start` up to `end`.

        Without `confirm` they are only counted. Then say so again with `confirm=` that count: what was removed cannot
        be had back, so a count that is another by then is an ApiError with `status` 409, and nothing is removed. Names,
        `start` or `end` are required. Needs the scope `admin`.
        """
        return self._link.ask(calls.remove(source_id, metrics, start, end, confirm))

    def stream(
        self,
        source_id: str | None = None,
        metrics: MetricNames = None,
        *,
        sources: Sequence[str] | None = None,
        since: Since | None = None,
        queue: int = 10_000,
        when_full: WhenFull = "block",
        on_notice: Callable[[StreamNotice], None] | None = None,
    ) -> Stream[LivePoint]:
        """Points as they are stored, of one metric, several, or all: a context manager that iterates.

        One source, several (`sources=[…]`), or all of them (neither; who comes later is followed too). After a loss of
        the connection what was stored meanwhile comes first: nothing twice, nothing missed, each metric in its order.
        `since` ("15m", a timedelta, or a moment) begins with what is stored from then on, and goes on live. At most
        `queue` points wait for the consumer: with `when_full="block"` a slow one is waited for, and gets what the
        server had to drop meanwhile afterwards; with "drop_oldest" the oldest go, and `stream.missed` counts them.
        `on_notice` is told how the connection is doing. Raises QueryError for what cannot be asked.
        """
        from plexus.api.streams import Stream, plans

        plan = plans.points(source_id, metrics, sources=sources, since=since, queue=queue, when_full=when_full)
        return Stream(self._link, plan, on_notice)
