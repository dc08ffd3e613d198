from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import QueryError
from plexus.domain.series import INTERVAL_MS
from plexus.gateway.rest.windows import (
    Asked,
    format_instant,
    parse_instant,
    parse_last,
    parse_window,
    pick_fleet_interval,
    pick_interval,
)
from plexus.ports.store import Window

NOW = 1_746_969_660_000_000_000
MINUTE_MS = 60_000


@pytest.mark.parametrize(("text", "ms"), [("1m", 60_000), ("90m", 5_400_000), ("6h", 21_600_000), ("7d", 604_800_000)])
def test_last_takes_minutes_hours_and_days(text: str, ms: int) -> None:
    assert parse_last(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "m", "0m", "-1h", "1", "30s", "1w", "1.5h", "1 h", "1H", "h1", "1h\n", "٣h", "999999999d", "1" * 99 + "m"],
)
def test_any_other_last_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(QueryError, match="write a number and m, h or d"):
        parse_last(text)


def test_a_last_window_takes_in_what_is_stamped_now() -> None:
    assert parse_window("1m", None, None, NOW) == Asked(Window(NOW - 60_000_000_000, NOW + 1), 60_000)


def test_last_wins_over_start_and_end_whatever_they_say() -> None:
    assert parse_window("1m", "nonsense", "2026", NOW) == parse_window("1m", None, None, NOW)


def test_no_window_is_the_last_hour() -> None:
    assert parse_window(None, None, None, NOW) == parse_window("1h", None, None, NOW)


def test_start_and_end_are_half_open_and_exact() -> None:
    asked = parse_window(None, "2026-05-01T12:00:00.000001Z", "2026-05-01T14:10:00+02:00", NOW)
    assert asked.window == Window(1_777_636_800_000_001_000, 1_777_637_400_000_000_000)
    assert asked.length_ms == pytest.approx(10 * MINUTE_MS - 0.001)


def test_without_an_end_the_window_goes_on_until_now() -> None:
    asked = parse_window(None, "2025-05-11T13:00:00Z", None, NOW)
    assert asked.window.end_ns == NOW + 1


def test_an_end_without_a_start_is_refused() -> None:
    with pytest.raises(QueryError, match="end needs start"):
        parse_window(None, None, "2026-05-01T12:00:00Z", NOW)


@pytest.mark.parametrize("end", ["2026-05-01T12:00:00Z", "2026-05-01T13:59:59+02:00"])
def test_a_start_that_is_not_before_the_end_is_refused(end: str) -> None:
    with pytest.raises(QueryError, match="must be before end"):
        parse_window(None, "2026-05-01T12:00:00Z", end, NOW)


def test_a_start_in_the_future_is_refused_when_the_end_is_now() -> None:
    with pytest.raises(QueryError, match="must be before end"):
        parse_window(None, "2030-01-01T00:00:00Z", None, NOW)


@pytest.mark.parametrize("text", ["2026-05-01T12:00:00", "2026-05-01", "2026-05-01 12:00"])
def test_a_time_without_an_offset_is_refused_with_the_fix(text: str) -> None:
    with pytest.raises(QueryError, match=r"start='2026.*' has no offset: add Z for UTC"):
        parse_instant(text, "start")


@pytest.mark.parametrize("text", ["", "now", "1746969660", "2026-13-01T00:00:00Z", "12:00Z", "2026-05-01T25:00Z"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(QueryError, match=r"is not ISO 8601: write for example 2026-05-01T12:00:00Z"):
        parse_instant(text, "start")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "1600-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_no_store_can_keep_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="between the years 1678 and 2261"):
        parse_instant(text, "end")


def test_a_plus_that_a_url_turned_into_a_space_is_understood() -> None:
    assert parse_instant("2026-05-01T14:00:00 02:00", "start") == parse_instant("2026-05-01T12:00:00Z", "start")


@settings(max_examples=100)
@given(
    st.integers(-(8 * 10**15), 8 * 10**15),
    st.integers(-14 * 60, 14 * 60),
)
def test_every_moment_is_read_to_the_microsecond(us: int, offset_min: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=us)
    local = moment.astimezone(timezone(timedelta(minutes=offset_min)))
    assert parse_instant(local.isoformat(), "start") == us * 1_000


@settings(max_examples=100)
@given(st.integers(-(9 * 10**15), 9 * 10**15))
def test_a_time_that_was_written_is_read_back(us: int) -> None:
    assert abs(parse_instant(format_instant(us / 1_000), "start") - us * 1_000) <= 2_000


@settings(max_examples=200)
@given(st.text(max_size=40), st.sampled_from(["last", "start", "end"]))
def test_any_text_is_a_window_or_a_query_error(text: str, field: str) -> None:
    asked: dict[str, str | None] = {"last": None, "start": None, "end": None, field: text}
    try:
        window = parse_window(asked["last"], asked["start"], asked["end"], NOW).window
    except QueryError:
        return
    assert window.start_ns < window.end_ns


def _asked(length_ms: float) -> Asked:
    return Asked(Window(0, 1), length_ms)


def test_a_window_under_ten_minutes_is_raw() -> None:
    assert pick_interval(_asked(10 * MINUTE_MS - 1), None) == ("raw", False)


@pytest.mark.parametrize(
    ("length_ms", "interval"),
    [
        (10 * MINUTE_MS, "1m"),
        (24 * 60 * MINUTE_MS, "1m"),
        (7 * 24 * 60 * MINUTE_MS, "10m"),
        (30 * 24 * 60 * MINUTE_MS, "1h"),
        (10 * 365 * 24 * 60 * MINUTE_MS, "1d"),
    ],
)
def test_a_longer_window_is_downsampled_to_about_a_thousand_buckets(length_ms: float, interval: str) -> None:
    assert pick_interval(_asked(length_ms), None) == (interval, True)


@pytest.mark.parametrize("interval", ["raw", *INTERVAL_MS])
def test_an_interval_that_is_named_is_taken(interval: str) -> None:
    assert pick_interval(_asked(1e9), interval) == (interval, False)


@pytest.mark.parametrize("interval", ["", "2m", "RAW", "1M"])
def test_an_unknown_interval_is_refused_with_those_that_are_known(interval: str) -> None:
    with pytest.raises(QueryError, match="use one of raw, 1m, 10m, 1h, 1d"):
        pick_interval(_asked(1), interval)


def test_the_fleet_is_never_raw() -> None:
    assert pick_fleet_interval(_asked(1_000), None) == "1m"
    assert pick_fleet_interval(_asked(1_000), "1d") == "1d"
    with pytest.raises(QueryError, match="for the fleet; use one of 1m, 10m, 1h, 1d"):
        pick_fleet_interval(_asked(1_000), "raw")
