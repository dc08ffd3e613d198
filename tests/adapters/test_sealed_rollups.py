"""Buckets from roll-ups, points and hot tables together are what the points give, to the last digit."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.store.embedded import queries
from plexus.adapters.store.embedded.files import merging, sums, without, writing
from plexus.adapters.store.embedded.files.sealedfile import ROLLUP_NS
from plexus.ports.store import Question, Window
from tests.support.history import DAY_NS, T0_NS, History, Point, rows_of

MS = 1_000_000
MINUTE, HOUR = 60_000 * MS, 3_600_000 * MS

_numbers = st.one_of(
    st.floats(-50, 50).map(lambda number: round(number, 3)),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e300, -1e300, 1.7e308, 5e-324, 1, -3, 2**53 + 1, 2**64 - 1, True, "RUNNING", [1]]),
)
_times = st.one_of(
    st.integers(-2 * HOUR, DAY_NS + 2 * HOUR),
    st.integers(0, 300).map(lambda n: n * 20_000 * MS),  # times that meet, and ends of buckets
)
_points = st.tuples(st.integers(1, 3), _times.map(lambda t: T0_NS + t), _numbers)
_pieces = st.lists(st.tuples(st.lists(_points, min_size=1, max_size=40), st.booleans()), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    pieces=_pieces,
    merged=st.booleans(),
    start=_times,
    length=st.integers(1, 30 * HOUR),
    bucket_ms=st.sampled_from([1_000, 60_000, 300_000, 600_000, 3_600_000, 86_400_000]),
)
def test_buckets_are_what_the_points_give(
    pieces: list[tuple[list[Point], bool]], merged: bool, start: int, length: int, bucket_ms: int
) -> None:
    window = Window(T0_NS + start, T0_NS + start + length)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(writing, "WORTH", 1):
        history = History(Path(folder))
        sealed = [points for points, hot in pieces if not hot]
        heated = [points for points, hot in pieces if hot]
        for points in sealed:
            history.seal(rows_of(points))
        if merged:
            for day in sorted({file.day for file in history.files}):
                history.merge([file for file in history.files if file.day == day])
        for points in heated:
            history.heat(rows_of(points))
        with closing(history.connection):
            found = queries.buckets(history.reader, history.cut(), history.picked, window, bucket_ms)
    rows = {}
    for metric, series in found.get("rig-01", {}).items():
        columns = (series.timestamp_ms, _unsigned(series.min), _unsigned(series.max), series.count, series.last)
        rows[int(metric[1:])] = repr(list(zip(*columns, strict=True)))
    expected = _expected([point for points in (*sealed, *heated) for point in points], window, bucket_ms)
    assert rows == {
        series: repr([(float(bucket * bucket_ms), *_ends(values)) for bucket, values in own.items()])
        for series, own in expected.items()
    }
    for metric, series in found.get("rig-01", {}).items():
        for mean, values in zip(series.avg, expected[int(metric[1:])].values(), strict=True):
            _check_mean(mean, _finite(values))


def _expected(points: list[Point], window: Window, bucket_ms: int) -> dict[int, dict[int, list[Any]]]:
    """Values by series and bucket."""
    buckets: dict[int, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for series, t_ns, value in sorted(points, key=lambda point: point[1]):
        if window.start_ns <= t_ns < window.end_ns:
            buckets[series][t_ns // (bucket_ms * MS)].append(value)
    return buckets


def _finite(values: list[Any]) -> list[float]:
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return [number for number in numbers if math.isfinite(number)]


def _ends(values: list[Any]) -> tuple[Any, ...]:
    finite = _finite(values)
    low, high = _unsigned([min(finite, default=None), max(finite, default=None)])
    return low, high, len(values), values[-1]


def _unsigned(column: Sequence[float | None]) -> list[float | None]:
    """Zero without its sign: 0.0 and -0.0 are equal, and so either may be the least of the two."""
    return [None if number is None else number + 0.0 for number in column]


def _check_mean(mean: float | None, finite: list[float]) -> None:
    """The exact mean, rounded once; where numbers are more than 106 bits apart it may be the float beside it."""
    if not finite:
        assert mean is None
        return
    exact = float(sum(map(Fraction, finite)) / len(finite))
    exact = min(max(exact, min(finite)), max(finite))
    assert mean is not None
    if all(number == 0 or 1e-9 <= abs(number) <= 1e9 for number in finite):
        assert mean == exact
    else:
        assert abs(mean - exact) <= max(math.ulp(exact), max(map(abs, finite)) * 2.0**-100)


def test_a_long_window_is_answered_from_roll_ups_and_reads_points_at_its_ends_only(tmp_path: Path) -> None:
    history = History(tmp_path)
    (file,) = history.seal(rows_of((1, T0_NS + i * 1_000 * MS, i % 7) for i in range(20_000)))
    assert file.levels == ("1m", "10m", "1h")
    question = Question()
    window = Window(T0_NS + 30_000 * MS, T0_NS + 4 * HOUR + 5_000 * MS)
    found = queries.buckets(history.reader, history.cut(), history.picked, window, 3_600_000, question)
    assert found["rig-01"]["m1"].count == [3_570, 3_600, 3_600, 3_600, 5]
    assert question.rows == 3 + 3_570 + 5
    history.connection.close()


def test_a_series_with_few_points_a_bucket_has_no_roll_up_and_others_have_theirs(tmp_path: Path) -> None:
    history = History(tmp_path)
    dense = [(1, T0_NS + i * 1_000 * MS, i) for i in range(7_200)]
    sparse = [(2, T0_NS + i * 240_000 * MS, i) for i in range(30)]
    (file,) = history.seal(rows_of([*dense, *sparse]))
    both = np.array([1, 2], np.int32)
    assert [history.reader.index(file, level).holds(both).tolist() for level in file.levels] == [[True, False]] * 3
    window = Window(T0_NS, T0_NS + 2 * HOUR)
    found = queries.buckets(history.reader, history.cut(), history.picked, window, 3_600_000)["rig-01"]
    assert (found["m1"].count, found["m2"].count) == ([3_600, 3_600], [15, 15])
    history.connection.close()


def test_a_large_series_that_is_merged_hour_by_hour_keeps_its_roll_ups(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(merging, "AT_ONCE", 1_000)
    history = History(tmp_path)
    for part in range(3):
        history.seal(rows_of((1, T0_NS + (3 * i + part) * 500 * MS, 0.1 * i) for i in range(7_200)))
    window = Window(T0_NS + 1, T0_NS + 5 * HOUR)
    before = queries.buckets(history.reader, history.cut(), history.picked, window, 600_000)
    merged = history.merge(history.files)
    assert (merged.points, merged.rollups) == (21_600, "1m,10m,1h")
    assert queries.buckets(history.reader, history.cut(), history.picked, window, 600_000) == before
    history.connection.close()


@pytest.mark.parametrize("at_once", [1_000, 10**6])
def test_a_series_of_numbers_too_large_to_add_has_no_roll_up_and_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    history = History(tmp_path)
    for series, number in ((1, 1.7976931348623157e308), (2, 1.5)):
        history.seal(rows_of((series, T0_NS + i * 1_000 * MS, number) for i in range(7_200)))
        history.seal(rows_of([(series, T0_NS - 1 + 2 * HOUR, 2.0)]))
    monkeypatch.setattr(merging, "AT_ONCE", at_once)
    merged = history.merge(history.files)
    both = np.array([1, 2], np.int32)
    assert [history.reader.index(merged, level).holds(both).tolist() for level in merged.levels] == [[False, True]] * 3
    found = queries.buckets(history.reader, history.cut(), history.picked, Window(T0_NS, T0_NS + DAY_NS), 3_600_000)
    first, second = found["rig-01"]["m1"], found["rig-01"]["m2"]
    assert (first.max, first.count, first.last) == ([1.7976931348623157e308] * 2, [3_600, 3_601], [first.max[0], 2.0])
    assert first.avg[0] == 1.7976931348623157e308
    assert second.avg == [1.5, (3_600 * 1.5 + 2.0) / 3_601]
    history.connection.close()


@pytest.mark.parametrize("at_once", [1_000, 10**6])
def test_roll_ups_are_right_after_a_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    history = History(tmp_path)
    (file,) = history.seal(rows_of((1, T0_NS + i * 1_000 * MS, i) for i in range(10_800)))
    monkeypatch.setattr(merging, "AT_ONCE", at_once)
    gone = Window(T0_NS + HOUR + 3_000 * MS, T0_NS + 2 * HOUR)
    left = without(history.folder, file, [1], gone, history.names)
    assert left.file is not None
    history.files = [left.file]
    found = queries.buckets(history.reader, history.cut(), history.picked, Window(T0_NS, T0_NS + DAY_NS), 3_600_000)
    assert (found["rig-01"]["m1"].count, found["rig-01"]["m1"].last) == ([3_600, 3, 3_600], [3_599, 3_602, 10_799])
    history.connection.close()


_readings = st.integers(-(10**9), 10**9).map(lambda n: n / 1000)


@settings(max_examples=200, deadline=None)
@given(numbers=st.lists(_readings, min_size=1, max_size=60), cuts=st.sets(st.integers(0, 59)))
def test_sums_are_correctly_rounded_whatever_the_order(numbers: list[float], cuts: set[int]) -> None:
    starts, exact = _groups(numbers, cuts)
    high, low = sums.sums(np.array(numbers), starts)
    assert high.tolist() == [float(one) for one in exact]
    assert low.tolist() == [float(one - Fraction(rounded)) for one, rounded in zip(exact, high.tolist(), strict=True)]
    backwards, _ = sums.sums(np.array(numbers[::-1]), np.array([0]))
    assert backwards.tolist() == sums.sums(np.array(numbers), np.array([0]))[0].tolist()


@settings(max_examples=200, deadline=None)
@given(numbers=st.lists(st.floats(-1e200, 1e200), min_size=1, max_size=60), cuts=st.sets(st.integers(0, 59)))
def test_sums_of_any_numbers_are_right_to_106_bits_of_the_largest(numbers: list[float], cuts: set[int]) -> None:
    starts, exact = _groups(numbers, cuts)
    high, low = sums.sums(np.array(numbers), starts)
    largest = Fraction(max(map(abs, numbers))) * len(numbers)
    for one, *found in zip(exact, high.tolist(), low.tolist(), strict=True):
        assert abs(sum(map(Fraction, found)) - one) <= largest / 2**104


def _groups(numbers: list[float], cuts: set[int]) -> tuple[Any, list[Fraction]]:
    starts = sorted({0, *(cut for cut in cuts if cut < len(numbers))})
    parts = zip(starts, [*starts[1:], len(numbers)], strict=True)
    return np.array(starts), [sum(map(Fraction, numbers[start:end]), Fraction(0)) for start, end in parts]


def test_levels_divide_a_day_and_each_other() -> None:
    lengths = [*ROLLUP_NS.values(), DAY_NS]
    assert all(longer % shorter == 0 for shorter, longer in itertools.pairwise(lengths))
