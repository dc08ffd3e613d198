"""High-rate blocks are taken as they are at the call, in any usual form, or refused with the way out."""

from __future__ import annotations

import sys
from array import array
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.device.intake import SERIES_AT_ONCE, Samples
from plexus.device.sampling import (
    MAX_SAMPLES,
    even_blocks,
    take_samples,
    take_times,
    take_times_ns,
    timed_blocks,
)
from plexus.domain.errors import ConfigurationError, UnsupportedValueError

T_NS = 1_746_969_660_000_000_000
T_S = 1_746_969_660
FOREIGN = ">" if sys.byteorder == "little" else "<"


class OfTable:
    """A column that can become an array, as pandas and torch have them."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self._column


class TestSamples:
    @pytest.mark.parametrize(
        ("given", "code", "values"),
        [
            ([1.5, 2.5], "d", [1.5, 2.5]),
            ((1.5,), "d", [1.5]),
            ([1, -2], "q", [1, -2]),
            ([1, 2**64 - 1], "Q", [1, 2**64 - 1]),
            ([numpy.float64(1.5), 2.5], "d", [1.5, 2.5]),
            (array("h", [1, -2]), "h", [1, -2]),
            (memoryview(array("i", [1, -2])), "i", [1, -2]),
            (memoryview(b"\x01\x00\xff\xff").cast("h"), "h", [1, -1] if sys.byteorder == "little" else [256, -1]),
            (numpy.array([1.5, 2.5]), "d", [1.5, 2.5]),
            (numpy.array([1.5, 2.5], "f4"), "f", [1.5, 2.5]),
            (numpy.array([1, 255], "u1"), "B", [1, 255]),
            (numpy.array([1, -1], "i8"), "q", [1, -1]),
            (numpy.array([1, 2**64 - 1], "u8"), "Q", [1, 2**64 - 1]),
            (OfTable(numpy.array([1, 2], "i2")), "h", [1, 2]),
            ([], "d", []),
            (numpy.array([]), "d", []),
        ],
    )
    def test_lists_arrays_and_buffers_are_taken_in_their_own_type(
        self, given: Any, code: str, values: list[float]
    ) -> None:
        samples = take_samples(given, "m")
        assert (samples.typecode, samples.tolist()) == (code, values)

    @pytest.mark.parametrize("code", "bBhHiIlLqQfd")
    def test_every_type_of_an_array_comes_back_with_its_values(self, code: str) -> None:
        assert take_samples(array(code, [1, 2, 100]), "m").tolist() == [1, 2, 100]

    @pytest.mark.parametrize("kind", ["i2", "u4", "f4", "f8", "i8"])
    def test_another_byte_order_is_converted(self, kind: str) -> None:
        assert take_samples(numpy.array([1, 2, 300], FOREIGN + kind), "m").tolist() == [1, 2, 300]

    def test_a_view_that_is_not_contiguous_is_copied_in_its_order(self) -> None:
        table = numpy.arange(12.0).reshape(4, 3)
        assert take_samples(table[:, 1], "m").tolist() == [1.0, 4.0, 7.0, 10.0]
        assert take_samples(table[::-1, 0], "m").tolist() == [9.0, 6.0, 3.0, 0.0]

    @pytest.mark.parametrize("given", [[1.0, 2.0], array("d", [1.0, 2.0]), numpy.array([1.0, 2.0])])
    def test_a_later_change_by_the_caller_does_not_reach_them(self, given: Any) -> None:
        samples = take_samples(given, "m")
        given[0] = 9.0
        assert samples.tolist() == [1.0, 2.0]

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ([1.0, 2], r"values\[1\] is of type int"),
            ([1, 2, 2.5], r"values\[2\] is of type float"),
            ([1.0, None], r"values\[1\] is of type NoneType"),
            ([1.0, True], r"values\[1\] is a bool, and a series is of numbers; use send\(\)"),
            ([1, True], r"values\[1\] is a bool"),
            ([True, False], r"values\[0\] is a bool"),
            (["a"], r"values\[0\] is a str"),
            ([1.0, [2.0]], r"values\[1\] is of type list"),
            ([0, 2**64], r"values\[1\] is 18446744073709551616"),
            ([-1, 2**63], r"values\[1\] is 9223372036854775808.*send floats"),
            ("text", "the values are a text"),
            (b"\x00\x01", r"bytes do not say what they hold; .*memoryview\(data\)\.cast\('h'\)"),
            (numpy.array([True]), "the values are booleans"),
            (numpy.zeros((2, 2)), r"have the shape \(2, 2\); send each channel"),
            (numpy.array(1.5), r"have the shape \(\)"),
            (numpy.array([1.5], "f2"), r"samples of the format 'e' cannot be sent; .*astype\('float64'\)"),
            (numpy.array([1j]), "samples of the format 'Zd'"),
            (numpy.array(["a"]), "cannot be sent|are no series"),
            (numpy.array([T_NS], "datetime64[ns]"), "type ndarray are no series of numbers"),
            (numpy.array([object()]), "cannot be sent|are no series"),
            (None, "values of type NoneType are no series"),
            (1.5, "values of type float are no series"),
            ({1.0}, "values of type set are no series"),
        ],
    )
    def test_what_is_no_series_of_numbers_is_a_type_error_with_the_way_out(self, given: Any, says: str) -> None:
        with pytest.raises(UnsupportedValueError, match="metric 'vib.x': .*" + says):
            take_samples(given, "vib.x")

    def test_too_many_for_one_call_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="1000001 samples are too many"):
            take_samples(numpy.zeros(MAX_SAMPLES + 1, "u1"), "m")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(), max_size=20) | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
    def test_a_list_an_array_and_numpy_give_the_same(self, values: list[Any]) -> None:
        code = "q" if values and type(values[0]) is int else "d"
        taken = [take_samples(form, "m") for form in (values, array(code, values), numpy.array(values, code))]
        assert {samples.tobytes() for samples in taken} == {array(code, values).tobytes()}


class TestTimes:
    @pytest.mark.parametrize(
        "given",
        [
            [T_S, T_S + 1],
            [float(T_S), T_S + 1.0],
            [T_S * 1_000, (T_S + 1) * 1_000],
            [T_S * 1e3, (T_S + 1) * 1_000],
            (T_S, T_S + 1.0),
            array("d", [T_S, T_S + 1]),
            memoryview(array("q", [T_S, T_S + 1])),
            numpy.array([T_S, T_S + 1]),
            numpy.array([T_S, T_S + 1], "u4"),
            numpy.array([T_S, T_S + 1], "f8"),
            numpy.array([T_S * 1_000, (T_S + 1) * 1_000]),
            numpy.array([T_S * 1e3, (T_S + 1) * 1e3]),
            numpy.array([T_S, T_S + 1], "datetime64[s]"),
            numpy.array([T_NS, T_NS + 10**9], "datetime64[ns]"),
            OfTable(numpy.array([T_NS, T_NS + 10**9], "datetime64[ns]")),
            [datetime.fromtimestamp(T_S, timezone.utc), datetime.fromtimestamp(T_S + 1, timezone.utc)],
            [numpy.datetime64(T_S, "s"), numpy.datetime64(T_S + 1, "s")],
            [numpy.float64(T_S), numpy.float64(T_S + 1)],
        ],
    )
    def test_every_form_gives_the_same_nanoseconds(self, given: Any) -> None:
        assert list(take_times(given, 2, "m")) == [T_NS, T_NS + 10**9]

    @pytest.mark.parametrize("form", [list, numpy.array])
    def test_the_first_that_is_not_zero_says_whether_all_are_seconds(self, form: Any) -> None:
        assert list(take_times(form([0.0, 0.5]), 2, "m")) == [0, 500_000_000]
        assert list(take_times(form([-1_000.0, 500.0]), 2, "m")) == [-1_000_000_000, 500_000_000]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(10**15, 8 * 10**15), min_size=1, max_size=9))
    def test_floats_are_kept_to_the_microsecond_in_lists_and_in_numpy(self, stamps_us: list[int]) -> None:
        expected = [us * 1_000 for us in stamps_us]
        for unit in (1e3, 1e6):
            stamps = [us / unit for us in stamps_us]
            assert list(take_times(stamps, len(stamps), "m")) == expected
            assert list(take_times(numpy.array(stamps), len(stamps), "m")) == expected

    @pytest.mark.parametrize("form", [list, numpy.array])
    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e11, 1e300])
    def test_one_that_is_no_time_is_refused_with_its_index(self, form: Any, bad: float) -> None:
        with pytest.raises(ConfigurationError, match=r"vib\.x: timestamps\[1\].* is no time between"):
            take_times(form([float(T_S), bad, T_S + 1.0]), 3, "vib.x")

    def test_a_date_that_is_not_a_time_is_refused_with_its_index(self) -> None:
        with pytest.raises(ConfigurationError, match=r"timestamps\[1\]"):
            take_times(numpy.array(["2025-05-11", "NaT"], "datetime64[ns]"), 2, "m")

    def test_other_things_are_refused_with_their_index(self) -> None:
        for bad, kind in (("now", UnsupportedValueError), (None, ConfigurationError), (True, UnsupportedValueError)):
            with pytest.raises(kind, match=r"timestamps\[1\]"):
                take_times([T_S, bad], 2, "m")

    def test_as_many_as_values_are_needed(self) -> None:
        with pytest.raises(ConfigurationError, match="there are 2 timestamps for 3 values"):
            take_times([1, 2], 3, "m")
        with pytest.raises(UnsupportedValueError, match="use start= and rate_hz="):
            take_times(T_S, 3, "m")

    @pytest.mark.parametrize("form", [list, lambda column: array("q", column), numpy.array])
    def test_nanoseconds_are_taken_exactly(self, form: Any) -> None:
        assert list(take_times_ns(form([T_NS + 1, T_NS + 7]), 2, "m")) == [T_NS + 1, T_NS + 7]

    def test_nanoseconds_must_be_whole_and_of_our_age(self) -> None:
        with pytest.raises(UnsupportedValueError, match="timestamps_ns must be whole"):
            take_times_ns([1.0], 1, "m")
        with pytest.raises(ConfigurationError, match="between the years 1678 and 2261"):
            take_times_ns([2**63 - 1], 1, "m")
        with pytest.raises(ConfigurationError, match="there are 1 timestamps_ns for 2 values"):
            take_times_ns([1], 2, "m")


class TestBlocks:
    def blocks(self, count: int, **given: Any) -> list[Samples]:
        told = {"start": None, "rate_hz": 1_000.0, "tags": None, "run_id": None, "tick": 5, **given}
        return even_blocks("m", array("q", range(count)), **told)

    def test_times_of_the_caller_go_with_their_samples(self) -> None:
        count = 2 * SERIES_AT_ONCE + 1
        blocks = timed_blocks("m", array("q", range(count)), array("q", range(count)), {"k": "v"}, "run-1", 5)
        assert [len(block) for block in blocks] == [SERIES_AT_ONCE, SERIES_AT_ONCE, 1]
        assert all(block.values == block.t_ns for block in blocks)
        assert (blocks[1].tags, blocks[1].run_id, blocks[1].tick, blocks[1].is_made) == ({"k": "v"}, "run-1", 5, False)

    def test_evenly_spaced_from_a_start(self) -> None:
        (block,) = self.blocks(3, start=T_S, rate_hz=4)
        assert (block.t_ns, block.is_made) == (range(T_NS, T_NS + 750_000_000, 250_000_000), False)

    def test_without_a_start_the_last_was_taken_at_the_call(self) -> None:
        (block,) = self.blocks(3)
        assert (list(block.t_ns), block.is_made) == ([-2_000_000, -1_000_000, 0], True)

    @settings(max_examples=60, deadline=None)
    @given(st.floats(0.1, 1e6), st.integers(1, 12_000), st.booleans())
    def test_no_time_is_more_than_a_microsecond_from_its_place(self, rate: float, count: int, started: bool) -> None:
        blocks = self.blocks(count, rate_hz=rate, start=T_S if started else None)
        times = [t_ns for block in blocks for t_ns in block.t_ns]
        begin = T_NS if started else -(count - 1) * 1e9 / rate
        assert len(times) == count
        assert all(abs(t_ns - begin - i * 1e9 / rate) <= 1_000 for i, t_ns in enumerate(times))
        assert [value for block in blocks for value in block.values] == list(range(count))
        assert max(map(len, blocks)) <= SERIES_AT_ONCE

    @pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 2e9, "fast", True])
    def test_a_rate_that_is_none_is_refused(self, rate: Any) -> None:
        with pytest.raises(ConfigurationError, match="metric 'm': rate_hz must be samples a second"):
            self.blocks(3, rate_hz=rate)

    def test_a_start_that_is_no_time_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="no time zone"):
            self.blocks(3, start=datetime(2025, 5, 11) + timedelta(0))  # noqa: DTZ001 - that is the point
