"""Single turns of a stream's core, on a model of a gateway: what must be asked, dropped, waited for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import pytest

from plexus.api.streams import Since, follower, kinds, plans, seams, steps
from plexus.api.streams.clocks import Clocks
from plexus.api.streams.follower import OVERLAP_S, READY_S, SETTLE_S
from plexus.api.streams.seams import Pager, Recent, Seam
from plexus.api.streams.shelf import Item, Shelf
from plexus.api.streams.watcher import SKEW_MS, watch
from plexus.domain.errors import ApiError, AuthenticationError, ProtocolError, RateLimitedError, TransportError
from plexus.domain.live import LivePoint, StreamNotice
from plexus.domain.source import Source
from tests.api.gatewaymodel import START_S, Consumer, ModelGateway, Row

START_MS = START_S * 1e3
NOW_MS = START_MS + 100_000.0


def row(value: int, *, at_ms: float | None = None, metric: str = "m0") -> Row:
    return metric, START_MS + value if at_ms is None else at_ms, value


def values(consumer: Consumer) -> list[int]:
    return [found[2] for found in consumer.got]


def pass_time(consumer: Consumer, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        consumer.gateway.pass_time(0.1)
        consumer.run()


def arrive(consumer: Consumer) -> None:
    """Everything that is on its way."""
    connection = consumer.gateway.connection
    while connection is not None and connection.way:
        connection.arrive()
    consumer.run()


def lost_after(*rows: Row, cursors: bool) -> Consumer:
    """A consumer that got these, and has just lost its connection."""
    gateway = ModelGateway(cursors=cursors)
    consumer = Consumer(gateway)
    assert gateway.connection is not None
    gateway.connection.listens = True
    gateway.commit(*rows)
    arrive(consumer)
    assert values(consumer) == [found[2] for found in rows]
    gateway.cut()
    consumer.run()
    return consumer


# --- without cursors ----------------------------------------------------------------------------------------


def test_what_is_stored_before_the_gateway_listens_is_found_when_the_first_frame_comes() -> None:
    consumer = lost_after(row(1), cursors=False)
    gateway = consumer.gateway
    pass_time(consumer, 1.0 + READY_S + 0.5)
    gateway.commit(row(2))
    consumer.run()
    assert values(consumer) == [1]
    assert gateway.connection is not None
    gateway.connection.listens = True
    gateway.commit(row(3))
    arrive(consumer)
    assert values(consumer) == [1, 2, 3]


def test_what_is_stored_before_the_gateway_listens_is_found_without_a_frame_too() -> None:
    consumer = lost_after(row(1), cursors=False)
    pass_time(consumer, 1.0 + READY_S + 0.5)
    consumer.gateway.commit(row(2))
    pass_time(consumer, SETTLE_S + 0.5)
    assert values(consumer) == [1, 2]


def test_a_frame_that_is_long_on_its_way_is_dropped_when_the_history_had_it() -> None:
    consumer = lost_after(row(1), cursors=False)
    gateway = consumer.gateway
    pass_time(consumer, 1.0 + READY_S / 2)
    assert gateway.connection is not None
    gateway.connection.listens = True
    gateway.commit(row(2))
    pass_time(consumer, READY_S)
    assert values(consumer) == [1, 2]
    arrive(consumer)
    assert values(consumer) == [1, 2]


def test_a_point_that_comes_late_while_the_connection_is_away_is_found() -> None:
    consumer = lost_after(row(1), row(9_000), cursors=False)
    consumer.gateway.commit(row(5_000))
    consumer.settle()
    assert values(consumer) == [1, 9_000, 5_000]


def test_twins_are_counted_and_not_merged() -> None:
    twin = row(2)
    consumer = lost_after(row(1), twin, cursors=False)
    consumer.gateway.commit(row(3), row(3))
    consumer.settle()
    assert values(consumer) == [1, 2, 3, 3]


def test_after_the_overlap_equal_points_are_points_again() -> None:
    consumer = lost_after(row(1), cursors=False)
    gateway = consumer.gateway
    gateway.commit(row(2))
    pass_time(consumer, 1.0 + READY_S + SETTLE_S + OVERLAP_S + 1.0)
    assert values(consumer) == [1, 2]
    gateway.commit(row(2))
    arrive(consumer)
    assert values(consumer) == [1, 2, 2]


@pytest.mark.parametrize(("most", "closed"), [(3, True), (1_000, False)])
def test_where_so_much_comes_that_it_is_never_dry_the_overlap_ends_too(
    monkeypatch: pytest.MonkeyPatch, most: int, closed: bool
) -> None:
    monkeypatch.setattr(follower, "MOST_BEHIND", most)
    consumer = lost_after(row(1), cursors=False)
    gateway = consumer.gateway
    gateway.commit(row(2))
    pass_time(consumer, 1.0 + READY_S + SETTLE_S + 0.5)
    assert values(consumer) == [1, 2]
    # All of these are there when it looks again; the last one is the twin of one that came from the history.
    gateway.commit(*[row(number) for number in range(3, 8)])
    gateway.commit(row(2))
    assert gateway.connection is not None
    gateway.connection.arrive()
    gateway.connection.arrive()
    gateway.now_s += 2 * OVERLAP_S
    consumer.run()
    assert values(consumer) == [1, 2, 3, 4, 5, 6, 7, *([2] if closed else [])]


def test_a_wrong_clock_that_is_years_ahead_does_not_hide_the_gap() -> None:
    consumer = lost_after(row(1), row(2, at_ms=START_MS + 1e11), cursors=False)
    consumer.gateway.commit(row(3))
    consumer.settle()
    assert values(consumer) == [1, 2, 3]


# --- with cursors -------------------------------------------------------------------------------------------


def test_what_a_slow_reader_missed_is_fetched_with_the_last_cursor() -> None:
    gateway = ModelGateway(cursors=True)
    consumer = Consumer(gateway)
    arrive(consumer)
    gateway.commit(row(1))
    arrive(consumer)
    gateway.commit(row(2))
    gateway.overflow()
    gateway.commit(row(3))
    arrive(consumer)
    arrive(consumer)
    assert values(consumer) == [1, 2, 3]
    assert "missed" not in consumer.told


def test_who_wants_only_what_is_new_is_told_what_was_missed() -> None:
    gateway = ModelGateway(cursors=True)
    consumer = Consumer(gateway, lossless=False)
    arrive(consumer)
    gateway.commit(row(1))
    gateway.overflow()
    gateway.commit(row(2))
    arrive(consumer)
    assert values(consumer) == [2]
    assert consumer.told == ["connected", "missed"]


def test_a_frame_of_what_the_history_had_is_dropped_when_it_comes_seconds_later() -> None:
    gateway = ModelGateway(cursors=True)
    consumer = Consumer(gateway, since_ms=START_MS, first=[lambda: gateway.commit(row(1))])
    assert gateway.connection is not None
    gateway.connection.arrive()
    consumer.run()
    assert values(consumer) == [1]
    pass_time(consumer, OVERLAP_S / 2)
    arrive(consumer)
    assert values(consumer) == [1]


def test_a_backfill_that_was_interrupted_goes_on_where_it_was() -> None:
    gateway = ModelGateway(cursors=True, rows=2)
    gateway.commit(*[row(number * 1_000) for number in range(8)])
    gateway.now_s += 100.0
    third = [lambda: None, lambda: None, lambda: gateway.stop(0.5)]
    consumer = Consumer(gateway, since_ms=START_MS, first=third)
    consumer.settle()
    assert values(consumer) == [number * 1_000 for number in range(8)]
    assert "lost" in consumer.told


# --- the parts ----------------------------------------------------------------------------------------------


def point(value: int, at_ms: float) -> LivePoint:
    return LivePoint("a1", "m", value, at_ms)


def test_what_was_forgotten_for_room_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seams, "MAX_RECENT", 3)
    recent = Recent(kinds.points(None))
    for number in range(6):
        recent.add([point(number, NOW_MS + number)], NOW_MS)
    assert [item.value for item in recent.items()] == [3, 4, 5]
    assert recent.floor_ms == pytest.approx(NOW_MS + 2.001)


def test_a_seam_keeps_a_bounded_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seams, "MAX_KEYS", 10)
    seam = Seam(kinds.points(None))
    seam.stored([point(number, number) for number in range(100)])
    assert seam.live([point(99, 99)]) == []
    assert seam.live([point(1, 1)]) == [point(1, 1)]


def test_windows_follow_each_other_without_a_hole_and_fit_what_is_there() -> None:
    pager, asked = Pager(0.0, 100_000.0), list[tuple[float, float]]()
    while pager.window is not None:
        start, end = pager.window
        if end - start > 30_000.0:
            assert pager.narrow()
            continue
        asked.append((start, end))
        pager.advance(9_999)
    assert asked[0][0] == 0.0
    assert asked[-1][1] == 100_000.0
    assert [end for _start, end in asked[:-1]] == [start for start, _end in asked[1:]]


def test_a_microsecond_is_the_narrowest_window() -> None:
    pager = Pager(0.0, 1.0)
    while pager.narrow():
        pass
    assert pager.window == (0.0, 0.002)


def shelf(*, drop_oldest: bool = False) -> Shelf[LivePoint]:
    kind = kinds.points(None)
    return Shelf(3, drop_oldest=drop_oldest, source=kind.source, name=kind.name, time_ms=kind.time_ms)


def taken(made: Shelf[LivePoint]) -> Sequence[object]:
    found = []
    while not made.empty:
        entry = made.take()
        found.append(entry.what.value if isinstance(entry, Item) else entry)
    return found


def test_a_full_shelf_makes_what_comes_wait() -> None:
    made = shelf()
    assert [item.value for item in made.offer([point(number, 1) for number in range(5)], keep=False)] == [3, 4]
    assert taken(made) == [0, 1, 2]
    assert made.missed == 0


def test_a_full_shelf_drops_the_oldest_where_that_is_wanted_and_counts_them() -> None:
    made = shelf(drop_oldest=True)
    assert not made.offer([point(number, 1) for number in range(5)], keep=False)
    assert made.missed == 2
    assert [item.value for item in made.offer([point(5, 1)], keep=True)] == [5]
    assert taken(made) == [2, 3, 4]


def test_words_keep_their_place_between_the_items_that_stay() -> None:
    made = shelf(drop_oldest=True)
    made.offer([point(0, 1)], keep=False)
    notice, fault = StreamNotice("missed", count=7), ProtocolError("broken")
    made.say(notice)
    made.offer([point(1, 1), point(2, 1)], keep=False)
    made.say(fault)
    made.offer([point(3, 1)], keep=False)
    assert taken(made) == [notice, 1, 2, fault, 3]
    assert made.missed == 8


# --- all sources --------------------------------------------------------------------------------------------


def found(*names: str) -> list[Source]:
    return [Source(name, online=True, last_seen_ms=5) for name in names]


def until_pause(core: steps.Steps[None], answer: object) -> list[steps.Step]:
    """What the core does with an answer to its question."""
    done: list[steps.Step] = []
    step = core.throw(answer) if isinstance(answer, Exception) else core.send(answer)
    while not isinstance(step, steps.Pause):
        done.append(step)
        step = core.send(None)
    assert isinstance(core.send(None), steps.Ask)
    return done


def test_who_is_there_is_followed_and_who_comes_later_from_its_beginning() -> None:
    core = watch(None, lambda: NOW_MS)
    next(core)
    assert until_pause(core, found("a1", "a2")) == [steps.Follow("a1", None), steps.Follow("a2", None)]
    assert until_pause(core, found("a2", "a3")) == [steps.Follow("a3", NOW_MS - SKEW_MS), steps.Leave("a1")]
    assert until_pause(core, found("a2", "a3")) == []


def test_a_backfill_is_of_all_of_them() -> None:
    core = watch(7.0, lambda: NOW_MS)
    next(core)
    assert until_pause(core, found("a1")) == [steps.Follow("a1", 7.0)]
    assert until_pause(core, found("a1", "a2")) == [steps.Follow("a2", 7.0)]


@pytest.mark.parametrize("error", [TransportError("cut"), RateLimitedError("later"), ApiError("ill", status=503)])
def test_a_list_that_cannot_be_had_for_a_moment_changes_nothing(error: Exception) -> None:
    core = watch(None, lambda: NOW_MS)
    next(core)
    until_pause(core, found("a1"))
    (told,) = until_pause(core, error)
    assert isinstance(told, steps.Tell)
    assert told.notice.state == "lost"
    assert until_pause(core, found("a1")) == []


@pytest.mark.parametrize("error", [TransportError("cut"), ApiError("ill", status=503), AuthenticationError("no")])
def test_a_first_list_that_cannot_be_had_is_an_error_at_once(error: Exception) -> None:
    core = watch(None, lambda: NOW_MS)
    next(core)
    with pytest.raises(type(error)):
        core.throw(error)


def test_a_list_that_is_refused_later_ends_the_stream() -> None:
    core = watch(None, lambda: NOW_MS)
    next(core)
    until_pause(core, found("a1"))
    with pytest.raises(ApiError):
        core.throw(ApiError("access is off", status=402))


# --- since when ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "expected_ms"),
    [
        (None, None),
        ("15m", NOW_MS - 900_000.0),
        (" 90s ", NOW_MS - 90_000.0),
        (timedelta(hours=1), NOW_MS - 3_600_000.0),
        (datetime(2026, 5, 1, 10, tzinfo=timezone.utc), 1_777_629_600_000.0),
        ("2026-05-01T12:00:00+02:00", 1_777_629_600_000.0),
        (1_777_629_600, 1_777_629_600_000.0),
        (1_777_629_600_000.5, 1_777_629_600_000.5),
    ],
)
def test_since_is_a_length_of_time_or_a_moment(since: Since | None, expected_ms: float | None) -> None:
    clocks = Clocks(wall_ms=lambda: NOW_MS)
    plan = plans.points("a1", None, sources=None, since=since, queue=1, when_full="block", clocks=clocks)
    assert plan.since_ms == expected_ms
