from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.api.times import instant_ms, length_s, window
from plexus.domain.errors import PlexusError, QueryError

NOW_MS = 1_777_636_800_000.0  # 2026-05-01T12:00:00Z


def _window(**asked: Any) -> dict[str, str]:
    return dict(window(**asked, now_ms=NOW_MS))


@pytest.mark.parametrize(
    ("last", "sent"),
    [
        ("90m", "90m"),
        ("1h", "1h"),
        ("60m", "1h"),
        ("7d", "7d"),
        ("48h", "2d"),
        (timedelta(hours=1), "1h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(days=2), "2d"),
        ("120s", "2m"),
    ],
)
def test_whole_minutes_travel_as_last(last: Any, sent: str) -> None:
    assert _window(last=last) == {"last": sent}


@pytest.mark.parametrize("last", ["90s", timedelta(seconds=90), timedelta(milliseconds=90_000)])
def test_seconds_travel_as_a_window_that_ends_now(last: Any) -> None:
    assert _window(last=last) == {"start": "2026-05-01T11:58:30.000000Z", "end": "2026-05-01T12:00:00.000000Z"}


def test_nothing_asked_is_the_last_hour() -> None:
    assert _window() == {"last": "1h"}


@pytest.mark.parametrize(
    "start",
    [
        "2026-05-01T10:00:00Z",
        "2026-05-01T12:00:00+02:00",
        datetime(2026, 5, 1, 10, tzinfo=timezone.utc),
        datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        1_777_629_600,
        1_777_629_600.0,
        1_777_629_600_000,
    ],
)
def test_one_moment_may_be_said_in_many_ways(start: Any) -> None:
    assert instant_ms(start, "start") == 1_777_629_600_000
    assert _window(start=start)["start"] == "2026-05-01T10:00:00.000000Z"


def test_a_window_without_an_end_ends_now() -> None:
    assert _window(start="2026-05-01T10:00:00Z")["end"] == "2026-05-01T12:00:00.000000Z"


def test_microseconds_are_kept() -> None:
    start = datetime(2026, 5, 1, 10, 0, 0, 123_456, tzinfo=timezone.utc)
    assert _window(start=start)["start"] == "2026-05-01T10:00:00.123456Z"


@pytest.mark.parametrize("field", ["start", "end"])
def test_a_naive_datetime_is_refused_with_the_fix(field: str) -> None:
    asked = {"start": "2026-05-01T10:00:00Z", field: datetime(2026, 5, 1, 11)}  # noqa: DTZ001 - what is tested
    with pytest.raises(QueryError, match=rf"{field} has no time zone.*{field}\.astimezone\(\)") as caught:
        _window(**asked)
    assert "timezone.utc" in str(caught.value)


def test_text_without_an_offset_is_refused_with_the_fix() -> None:
    with pytest.raises(QueryError, match="add Z or an offset"):
        _window(start="2026-05-01T10:00:00")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"last": "1h", "start": 0}, "not both"),
        ({"end": "2026-05-01T10:00:00Z"}, "end= needs start="),
        ({"last": "an hour"}, '"15m", "1h", "7d"'),
        ({"last": "1w"}, "not a length"),
        ({"last": "0m"}, "longer than nothing"),
        ({"last": timedelta(0)}, "longer than nothing"),
        ({"last": timedelta(hours=-1)}, "longer than nothing"),
        ({"last": "999999999d"}, "292 years"),
        ({"last": 3600}, "not a length"),
        ({"start": "yesterday"}, "not ISO 8601"),
        ({"start": True}, "not bool"),
        ({"start": [1]}, "not list"),
        ({"start": float("nan")}, "1678 and 2261"),
        ({"start": 10**30}, "1678 and 2261"),
        ({"start": "2026-05-01T10:00:00Z", "end": "2026-05-01T10:00:00Z"}, "before end"),
        ({"start": "2026-05-01T13:00:00Z"}, r"before end \(now\)"),
    ],
)
def test_what_is_no_window_is_refused_saying_what_is(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(QueryError, match=words):
        _window(**asked)


@given(st.text(max_size=30))
def test_no_text_makes_a_length_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(PlexusError):
        assert length_s(text) > 0


@given(st.one_of(st.text(max_size=40), st.floats(), st.integers(), st.datetimes(), st.none()))
def test_nothing_makes_a_moment_fail_in_another_way(value: Any) -> None:
    with contextlib.suppress(PlexusError):
        instant_ms(value, "start")
