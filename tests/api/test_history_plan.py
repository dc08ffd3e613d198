"""The plan of a whole history, against a data API in memory that cuts its answers as it likes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

import attrs
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from plexus.api.history.plan import Found, Piece, Plan, Span, TooDense

Point = tuple[int, str, int]
"""Microseconds, metric, number."""
Cut = Callable[[list[Point], int], list[Point]]

METRICS = ("a", "b", "c")
CUTS: dict[str, Cut] = {
    "the oldest": lambda points, limit: sorted(points)[:limit],
    "the newest": lambda points, limit: sorted(points)[-limit:],
    "metric by metric": lambda points, limit: sorted(points, key=lambda point: point[1])[:limit],
    "none of them": lambda _points, _limit: [],
}


@attrs.define
class Server:
    """A data API that holds `limit` rows in an answer."""

    points: list[Point]
    limit: int
    cut: Cut
    asked: int = 0

    def answer(self, piece: Piece) -> Found[list[Point]]:
        self.asked += 1
        assert piece.start_us < piece.end_us
        inside = [
            point
            for point in self.points
            if piece.start_us <= point[0] < piece.end_us and (piece.metrics is None or point[1] in piece.metrics)
        ]
        truncated = len(inside) > self.limit
        rows = self.cut(inside, self.limit) if truncated else inside
        times = [t for t, _, _ in rows]
        first, last = (min(times), max(times)) if times and truncated else (None, None)
        return Found(rows, len(rows), truncated, first, last)


def fetched(plan: Plan[list[Point]], server: Server, choose: Callable[[int], int], at_once: int) -> list[list[Point]]:
    """All pages in the order in which they are handed out; `choose` picks which request is answered next."""
    running: list[tuple[Piece, Found[list[Point]]]] = []
    pages: list[list[Point]] = []
    while not plan.finished:
        if plan.wants_names:
            plan.name(METRICS)
        while len(running) < at_once and (piece := plan.take()) is not None:
            running.append((piece, server.answer(piece)))
        assert running, "nothing is under way, and it is not finished"
        piece, found = running.pop(choose(len(running)))
        plan.put(piece, found)
        pages += plan.ready()
    return pages


def densest(points: Sequence[Point]) -> int:
    return max(Counter((t, metric) for t, metric, _ in points).values(), default=0)


bursts = st.lists(
    st.tuples(st.integers(0, 3_000), st.sampled_from(METRICS), st.integers(1, 12)),  # many of one stamp
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(
    bursts=bursts,
    limit=st.integers(1, 30),
    cut=st.sampled_from(sorted(CUTS)),
    metrics=st.sampled_from([None, METRICS, ("b",), ("c", "a")]),
    at_once=st.integers(1, 5),
    ahead=st.integers(1, 9),
    step_us=st.sampled_from([1, 1, 7, 1_000]),
    window=st.tuples(st.integers(-10, 3_000), st.integers(1, 3_100)),
    data=st.data(),
)
def test_every_point_is_there_once_in_order_or_the_reader_is_told(
    bursts: list[tuple[int, str, int]],
    limit: int,
    cut: str,
    metrics: tuple[str, ...] | None,
    at_once: int,
    ahead: int,
    step_us: int,
    window: tuple[int, int],
    data: st.DataObject,
) -> None:
    points = [(t, metric, n) for t, metric, count in bursts for n in range(count)]
    span = Span(window[0], window[0] + window[1], step_us)
    wanted = sorted(
        point
        for point in points
        if span.start_us <= point[0] < span.end_us and (metrics is None or point[1] in metrics)
    )
    server = Server(points, limit, CUTS[cut])
    plan: Plan[list[Point]] = Plan(span, metrics, rows=max(1, limit * 7 // 10), ahead=ahead)
    told: list[Piece] = []
    pages: list[list[Point]] = []
    try:
        pages = fetched(plan, server, lambda count: data.draw(st.integers(0, count - 1)), at_once)
    except TooDense as exc:
        told.append(exc.piece)
    for piece in told:
        event("told")
        assert piece.metrics is not None
        assert len(piece.metrics) == 1
        assert piece.length_us <= step_us
        assert sum(piece.start_us <= t < piece.end_us and metric in piece.metrics for t, metric, _ in wanted) > limit
        return
    assert sorted(point for page in pages for point in page) == wanted
    ends = [(min(t for t, _, _ in page), max(t for t, _, _ in page)) for page in pages if page]
    pairs = itertools.pairwise(ends)
    # Pages of one moment that was divided by metric share their stamps; else the next begins behind the one before.
    assert all(later[0] >= earlier[1] or earlier[1] - later[0] < step_us for earlier, later in pairs)
    assert plan.share == 1.0


@given(bursts=bursts, limit=st.integers(1, 30))
def test_no_answer_that_was_cut_is_used(bursts: list[tuple[int, str, int]], limit: int) -> None:
    points = [(t, metric, n) for t, metric, count in bursts for n in range(count)]
    server = Server(points, max(limit, densest(points)), CUTS["the newest"])
    plan: Plan[list[Point]] = Plan(Span(0, 3_001), METRICS, rows=max(1, limit), ahead=4)
    pages = fetched(plan, server, lambda _count: 0, 2)
    assert all(len(page) <= server.limit for page in pages)
    assert sum(map(len, pages)) == len(points)


def test_a_window_that_fits_is_one_request() -> None:
    server = Server([(5, "a", 0)], 10, CUTS["the oldest"])
    plan: Plan[list[Point]] = Plan(Span(0, 10**12), None, rows=7, ahead=4)
    assert fetched(plan, server, lambda _count: 0, 4) == [[(5, "a", 0)]]
    assert server.asked == 1


def test_years_of_nothing_before_the_points_are_crossed_in_few_steps() -> None:
    year = 365 * 86_400 * 10**6
    points = [(10 * year + n * 1_000, "a", n) for n in range(2_000)]
    server = Server(points, 100, CUTS["the oldest"])
    plan: Plan[list[Point]] = Plan(Span(0, 11 * year), None, rows=70, ahead=8)
    assert sum(map(len, fetched(plan, server, lambda _count: 0, 4))) == 2_000
    # 29 full answers at the least.
    assert server.asked < 130


def test_points_that_lie_evenly_cost_few_requests_more_than_needed() -> None:
    points = [(n * 100, "a", n) for n in range(10_000)]
    server = Server(points, 1_000, CUTS["the oldest"])
    plan: Plan[list[Point]] = Plan(Span(0, 1_000_000), None, rows=700, ahead=8)
    pages = fetched(plan, server, lambda _count: 0, 4)
    assert sum(map(len, pages)) == 10_000
    assert server.asked <= 17


@pytest.mark.parametrize("cut", ["the oldest", "the newest", "metric by metric"])
def test_a_limit_that_is_lower_than_was_thought_is_learned(cut: str) -> None:
    points = [(n * 100, "a", n) for n in range(10_000)]
    server = Server(points, 500, CUTS[cut])
    plan: Plan[list[Point]] = Plan(Span(0, 1_000_000), None, rows=7_000, ahead=8)
    assert sum(map(len, fetched(plan, server, lambda _count: 0, 4))) == 10_000
    assert server.asked <= 35


def test_one_metric_that_has_more_values_at_one_moment_than_an_answer_holds_is_told() -> None:
    points = [(500, "a", n) for n in range(11)] + [(500, "b", 0)]
    plan: Plan[list[Point]] = Plan(Span(0, 1_000), None, rows=7, ahead=8)
    with pytest.raises(TooDense) as caught:
        fetched(plan, Server(points, 10, CUTS["the oldest"]), lambda _count: 0, 3)
    assert (caught.value.piece.start_us, caught.value.piece.end_us) == (500, 501)
    assert caught.value.piece.metrics == ("a",)


def test_no_more_is_asked_ahead_of_the_reader_than_was_agreed() -> None:
    points = [(n, "a", n) for n in range(1_000)]
    server = Server(points, 10, CUTS["the oldest"])
    plan: Plan[list[Point]] = Plan(Span(0, 1_000), None, rows=7, ahead=3)
    while (piece := plan.take()) is not None:  # nobody takes the pages
        plan.put(piece, server.answer(piece))
    assert len(list(plan.ready())) == 3
    assert plan.take() is not None
