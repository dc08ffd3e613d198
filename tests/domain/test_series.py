"""Series and the interval that a window is answered in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.domain.errors import QueryError
from plexus.domain.series import (
    INTERVAL_MS,
    RAW_UNDER_MS,
    BucketSeries,
    QueryResult,
    Series,
    check_interval,
    choose_interval,
)

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("length", "interval"),
    [
        (0, "raw"),
        (RAW_UNDER_MS - 1, "raw"),
        (RAW_UNDER_MS, "1m"),
        (HOUR, "1m"),
        (DAY, "1m"),
        (7 * DAY, "10m"),
        (30 * DAY, "1h"),
        (365 * DAY, "1d"),
        (30 * 365 * DAY, "1d"),
    ],
)
def test_a_window_is_answered_in_about_a_thousand_points(length: int, interval: str) -> None:
    assert choose_interval(1e12, 1e12 + length) == interval


@given(st.integers(RAW_UNDER_MS, 1_500 * DAY))
def test_there_are_never_more_than_1500_buckets_and_never_a_coarser_one_than_needed(length: int) -> None:
    interval = choose_interval(0, length)
    assert length / INTERVAL_MS[interval] <= 1_500
    finer = [ms for ms in INTERVAL_MS.values() if ms < INTERVAL_MS[interval]]
    assert all(length / ms > 1_500 for ms in finer)


@given(st.integers(0, 10_000 * DAY), st.integers(0, 10_000 * DAY))
def test_a_longer_window_is_never_answered_finer(one: int, other: int) -> None:
    order = ["raw", *INTERVAL_MS]
    short, long = sorted((one, other))
    assert order.index(choose_interval(0, short)) <= order.index(choose_interval(0, long))


@pytest.mark.parametrize("interval", ["raw", "1m", "10m", "1h", "1d"])
def test_the_intervals_that_there_are(interval: str) -> None:
    assert check_interval(interval) == interval


@pytest.mark.parametrize("interval", ["", "5m", "1H", "raw ", "60000"])
def test_any_other_interval_is_refused_with_those_that_there_are(interval: str) -> None:
    with pytest.raises(QueryError, match="use one of raw, 1m, 10m, 1h, 1d"):
        check_interval(interval)


def test_a_series_iterates_as_pairs() -> None:
    series = Series([1.0, 2.0], [10, "x"])
    assert list(series) == [(1.0, 10), (2.0, "x")]
    assert len(series) == 2


def test_columns_of_different_lengths_are_not_a_series() -> None:
    with pytest.raises(ValueError, match="zip"):
        list(Series([1.0], []))


def test_an_empty_series_is_empty() -> None:
    assert list(Series()) == []
    assert len(BucketSeries()) == 0


def test_a_result_gives_its_series_by_name() -> None:
    series = Series([1.0], [2])
    assert QueryResult("raw", auto_downsampled=False, series={"m": series})["m"] is series
