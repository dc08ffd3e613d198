"""What fetching a whole history is made of, but for the waiting: calls to ask, what to make of their answers. Pure.

`threads` and `tasks` run it, one for each client.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import attrs

from plexus.api import requests
from plexus.api.calls import Call
from plexus.api.clock import now_ms
from plexus.api.history.plan import FULLNESS, Found, Piece, Plan, Span, TooDense
from plexus.api.history.span import US_PER_MS, iso, span_of
from plexus.api.refusals import Answer
from plexus.api.requests import MetricNames, Request
from plexus.api.tables import reading
from plexus.api.tables.columnar import ColumnarSeries
from plexus.api.tables.plain import AnySeries, JoinedSeries
from plexus.api.tables.results import QueryResult
from plexus.api.times import Instant, Length
from plexus.domain.errors import ApiError, QueryError
from plexus.domain.series import MAX_RAW_ROWS

MAX_LIMIT_HEADER = "x-plexus-max-limit"
"""How many rows `limit=` may ask a gateway for; the hosted service does not say it and has no `limit`."""

BATCH_ROWS, LOAD_ROWS = 50_000, 250_000
"""Rows of one answer at most where `limit=` may ask for so many: when iterating, and when everything is wanted."""

BUCKETS_AT_ONCE = 20_000
"""Buckets of one metric that one answer has at most."""

TOO_MUCH = frozenset({413, 504})
"""Refusals after which less is asked for at a time: too large an answer, or one that takes too long."""

_NOTHING = QueryResult("raw", auto_downsampled=False, series={})


@attrs.frozen
class Order:
    """What is wanted. `metrics` None: all of them; `rows_at_once`: rows of one answer at most."""

    source_id: str
    metrics: tuple[str, ...] | None
    span: Span
    interval: str
    rows_at_once: int

    @classmethod
    def of(cls, source_id: str, metrics: MetricNames, span: Span, interval: str, rows_at_once: int) -> Order:
        """An order that is checked; raises QueryError."""
        requests.query(source_id, metrics, (), interval)
        names = None if metrics is None else (metrics,) if isinstance(metrics, str) else tuple(dict.fromkeys(metrics))
        return cls(source_id, names, span, interval, rows_at_once)


@attrs.frozen
class Page:
    """One answer, and how many rows its gateway gives at most to who asks; 0 when it does not say."""

    result: QueryResult
    max_limit: int


class Gathering:
    """The course of one order; `at_once` requests are under way at most."""

    def __init__(self, order: Order, at_once: int) -> None:
        if isinstance(at_once, bool) or not isinstance(at_once, int) or not 1 <= at_once <= 32:
            raise QueryError(f"at_once must be a whole number from 1 to 32, not {at_once!r}")
        self.order = order
        self.at_once = at_once
        self.rows = 0
        self._limit: int | None = None
        raw = order.interval == "raw"
        self._plan: Plan[QueryResult] = Plan(
            order.span,
            order.metrics,
            rows=int(MAX_RAW_ROWS * FULLNESS) if raw else order.rows_at_once,
            ahead=2 * at_once,
            widest_us=None if raw else BUCKETS_AT_ONCE * order.span.step_us,
        )

    @property
    def finished(self) -> bool:
        """Whether every page was handed out."""
        return self._plan.finished

    @property
    def share(self) -> float:
        """How much of the time was handed out, from 0 to 1."""
        return self._plan.share

    @property
    def wants_names(self) -> bool:
        """Whether the source's metrics are to be asked for; give them to `name`."""
        return self._plan.wants_names

    def name(self, metrics: Sequence[str]) -> None:
        """The names of the source's metrics. Raises QueryError."""
        try:
            self._plan.name(metrics)
        except TooDense as exc:
            raise self._too_dense(exc) from exc

    def next(self) -> tuple[Piece, Call[Page]] | None:
        """The next piece and its call, None when nothing is to be asked now."""
        piece = self._plan.take()
        return None if piece is None else (piece, Call(self._request(piece), _read))

    def take(self, piece: Piece, answer: Callable[[], Page]) -> None:
        """Note what `answer` returns, or that the server finds it too much at once. Raises what it raises otherwise,
        and QueryError when one moment has more values than an answer holds.
        """
        try:
            page = answer()
        except ApiError as exc:
            if not self._is_too_much(exc, piece):
                raise
            self._plan.put(piece, Found(_NOTHING, 0, truncated=True))
        else:
            self._put(piece, page)

    def _is_too_much(self, error: ApiError, piece: Piece) -> bool:
        """Whether a shorter window may be answered. Our gateway refuses more buckets than it gives at once."""
        refused = TOO_MUCH if self.order.interval == "raw" else TOO_MUCH | {400}
        return error.status in refused and piece.length_us > self.order.span.step_us

    def _put(self, piece: Piece, page: Page) -> None:
        result = page.result
        if page.max_limit and self._limit is None and self.order.interval == "raw":
            self._limit = page.max_limit
            self._plan.told = True
            self._plan.rows = int(min(page.max_limit * FULLNESS, self.order.rows_at_once))
        try:
            self._plan.put(piece, _found(result))
        except TooDense as exc:
            raise self._too_dense(exc) from exc

    def ready(self) -> Iterator[QueryResult]:
        """The pages that are complete, in the order of time, but for empty ones."""
        for page in self._plan.ready():
            rows = len(page)
            self.rows += rows
            if rows:
                yield page

    def _request(self, piece: Piece) -> Request:
        window = (("start", iso(piece.start_us)), ("end", iso(piece.end_us)))
        request = requests.query(self.order.source_id, piece.metrics, window, self.order.interval)
        params = request.params if self._limit is None else (*request.params, ("limit", str(self._asked_rows())))
        return attrs.evolve(request, params=params, accept=reading.accepted())

    def _asked_rows(self) -> int:
        # Some room above what a piece is made to have; a moment that is fuller than all others needs more.
        return min(self._limit or MAX_RAW_ROWS, max(4 * self.order.rows_at_once, MAX_RAW_ROWS))

    def _too_dense(self, exc: TooDense) -> QueryError:
        (metric,) = exc.piece.metrics or ("?",)
        return QueryError(
            f"metric {metric!r} of {self.order.source_id!r} has more than {exc.rows:,} values between "
            f"{iso(exc.piece.start_us)} and {iso(exc.piece.end_us)}, more than one answer of this server holds; "
            "nothing was left out in silence: load what is before and after, and get these values by GET /v1/export"
        )


def gathering(
    source_id: str,
    metrics: MetricNames,
    *,
    last: Length | None,
    start: Instant | None,
    end: Instant | None,
    interval: str,
    at_once: int,
    rows_at_once: int,
) -> Gathering:
    """The course of what `metrics.load` and `metrics.iterate` are asked for; a window that has no end ends now."""
    span = span_of(last=last, start=start, end=end, interval=interval, now_ms=now_ms())
    return Gathering(Order.of(source_id, metrics, span, interval, rows_at_once), at_once)


def combined(order: Order, pages: Sequence[QueryResult]) -> QueryResult:
    """Pages behind each other, as one answer. A metric that was asked for by name is in it, with or without values."""
    whole = _arrow(order, pages) or _plain(order, pages)
    return QueryResult(order.interval, auto_downsampled=False, series=whole, truncated=False)


def _arrow(order: Order, pages: Sequence[QueryResult]) -> ColumnarSeries | None:
    """The pages' series, None unless all of them came as Arrow."""
    if not pages or not all(isinstance(page.series, ColumnarSeries) for page in pages):
        return None
    from plexus.api.tables import arrowbody  # it loads numpy and pyarrow

    return arrowbody.joined([cast("arrowbody.ArrowSeries", page.series) for page in pages], order.metrics)


def _plain(order: Order, pages: Sequence[QueryResult]) -> ColumnarSeries:
    parts: dict[str, list[AnySeries]] = {name: [] for name in order.metrics or ()}
    for page in pages:
        for name, part in page.series.items():
            parts.setdefault(name, []).append(part)
    ordered = parts if order.metrics is not None else {name: parts[name] for name in sorted(parts)}
    return JoinedSeries(ordered, raw=order.interval == "raw")


def _read(answer: Answer) -> Page:
    said = answer.headers.get(MAX_LIMIT_HEADER, "")
    return Page(reading.query(answer), int(said) if said.isascii() and said.isdigit() and len(said) < 12 else 0)


def _found(result: QueryResult) -> Found[QueryResult]:
    if not result.truncated:
        return Found(result, len(result), truncated=False)
    parts = [part.timestamp_ms for part in result.series.values() if len(part)]
    if not parts:
        return Found(result, 0, truncated=True)
    first, last = min(times[0] for times in parts), max(times[-1] for times in parts)
    return Found(
        result,
        len(result),
        truncated=True,
        first_us=math.floor(first * US_PER_MS),
        last_us=math.floor(last * US_PER_MS),
    )
