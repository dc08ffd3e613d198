from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from plexus.cli.demo_audience import Audience
from plexus.cli.demo_device import SAMPLE_METRIC
from plexus.domain.errors import TransportError
from plexus.domain.live import LivePoint, StreamNotice
from plexus.domain.series import QueryResult, Series


class FakeStream:
    """Delivers these; None stands for a wait in vain."""

    def __init__(self, *points: LivePoint | None) -> None:
        self._points = list(points)

    def receive(self, _timeout: float | None = None) -> LivePoint | None:
        return self._points.pop(0) if self._points else None


class FakeHistory:
    """Answers queries in turn with these looks (time by number), or raises."""

    def __init__(self, *answers: Mapping[float, int] | Exception, limit: int = 10_000) -> None:
        self._answers = list(answers)
        self._limit = limit
        self.starts: list[float] = []
        self.metrics = self

    def query(self, _source: str, *, start: float, end: float, interval: str) -> QueryResult:
        self.starts.append(start)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        rows = sorted((at, look) for at, look in answer.items() if start <= at < end)
        kept = rows[: self._limit]
        series = Series([at for at, _ in kept], [look for _, look in kept])
        return QueryResult(interval, False, {SAMPLE_METRIC: series}, truncated=len(rows) > len(kept))


class FakeView:
    def __init__(self) -> None:
        self.looks: list[Any] = []
        self.states: list[str] = []

    def show(self, point: LivePoint) -> None:
        self.looks.append(point.value)

    def notice(self, notice: StreamNotice) -> None:
        self.states.append(notice.state)

    def tick(self) -> None: ...


def _look(number: int, at_ms: float) -> LivePoint:
    return LivePoint("a1", SAMPLE_METRIC, number, at_ms)


def _seen(history: FakeHistory, looks: int, *streams: Sequence[LivePoint | None]) -> list[Any]:
    """What is shown of these streams, each after a new connection."""
    view = FakeView()
    audience = Audience(history, "a1", view, since_ms=1000.0)  # type: ignore[arg-type]
    for points in streams:
        audience.notice(StreamNotice("connected"))
        stream: Any = FakeStream(*points)
        for _ in points:
            audience._take(stream, 0.0)
    audience.see_the_last(FakeStream(), looks) if looks else None  # type: ignore[arg-type]
    return view.looks


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plexus.cli.demo_audience.LAST_WORDS_S", 0.01)


def test_what_was_stored_before_the_stream_was_heard_is_shown_too_in_order() -> None:
    history = FakeHistory({1001.0: 1, 1002.0: 2, 1003.0: 3})
    assert _seen(history, 0, [_look(3, 1003.0), _look(4, 1004.0)]) == [1, 2, 3, 4]


def test_what_both_bring_is_shown_once() -> None:
    history = FakeHistory({1001.0: 1, 1002.0: 2, 1003.0: 3})
    assert _seen(history, 0, [_look(1, 1001.0), _look(2, 1002.0), _look(3, 1003.0)]) == [1, 2, 3]


def test_former_runs_are_not_shown() -> None:
    assert _seen(FakeHistory({999.0: 77, 1001.0: 1}), 0, [_look(1, 1001.0)]) == [1]


def test_history_is_asked_for_once_a_connection() -> None:
    history = FakeHistory({1001.0: 1})
    _seen(history, 0, [_look(1, 1001.0), _look(2, 1002.0)], [_look(3, 1003.0), _look(4, 1004.0)])
    assert len(history.starts) == 2


def test_what_was_stored_while_the_connection_was_away_is_shown_too() -> None:
    history = FakeHistory({1001.0: 1}, {1001.0: 1, 2001.0: 2, 3001.0: 3})
    assert _seen(history, 0, [_look(1, 1001.0)], [_look(4, 4001.0)]) == [1, 2, 3, 4]


def test_more_than_one_answer_holds_is_asked_for_bit_by_bit() -> None:
    history = FakeHistory({1000.0 + look: look for look in range(1, 8)}, limit=3)
    assert _seen(history, 0, [_look(8, 1008.0)]) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_history_that_fails_is_asked_again_with_the_next_reading() -> None:
    history = FakeHistory(TransportError("away"), {1001.0: 1, 1002.0: 2, 1003.0: 3})
    assert sorted(_seen(history, 0, [_look(2, 1002.0), _look(3, 1003.0)])) == [1, 2, 3]


def test_at_the_end_history_shows_what_no_stream_brought() -> None:
    assert _seen(FakeHistory({1001.0: 1, 1002.0: 2}), 2, [None]) == [1, 2]


def test_at_the_end_nothing_is_asked_when_all_was_seen() -> None:
    history = FakeHistory({1001.0: 1})
    assert _seen(history, 1, [_look(1, 1001.0)]) == [1]
    assert len(history.starts) == 1
