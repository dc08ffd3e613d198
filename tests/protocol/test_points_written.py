"""Points as a device writes them, what they need of a link, and how they are made to suit one that has less."""

from __future__ import annotations

import sys
from array import array
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.domain.values import MAX_INT, MIN_INT
from plexus.protocol.block import Block, count_points
from plexus.protocol.extensions import ANY_METRIC, NON_FINITE, PRECISION
from plexus.protocol.points import decode_points, read_block, write_points
from plexus.protocol.suiting import fit, needs, part_of, span_ns
from plexus.testing.contracts.codec import rows_of, same
from tests.protocol.strategies import json_values, names, text

T = 1_746_969_660_000_000_000
NAN, INF = float("nan"), float("inf")
ALL = [ANY_METRIC, NON_FINITE, PRECISION]


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Blocks with columns that are one thing or one for each."""
    n = draw(st.integers(0, 6))

    def column(each: st.SearchStrategy[Any]) -> Any:
        return draw(each | st.lists(each, min_size=n, max_size=n))

    numbers = st.floats() | st.integers(MIN_INT, MAX_INT) | st.booleans() | text
    tags = st.none() | st.dictionaries(text, text, min_size=1, max_size=3)
    if draw(st.integers(0, 4)) == 0:
        values: Any = array("d", draw(st.lists(st.floats(), min_size=n, max_size=n)))
    else:
        values = draw(st.lists(numbers | st.lists(numbers, max_size=2), min_size=n, max_size=n))
    times = st.integers(-(10**18), 8 * 10**18)
    return Block(
        column(names),
        draw(st.lists(times, min_size=n, max_size=n)),
        values,
        column(st.booleans()),
        column(tags),
        column(st.none() | text),
    )


class TestWritten:
    def test_a_point_is_the_object_of_the_protocol_page(self) -> None:
        block = Block("motor.rpm", [T], [3200], tags={"motor_id": "A1"}, run_id="cycle-1")
        assert write_points(block) == [
            {
                "class": "metric",
                "metric": "motor.rpm",
                "value": 3200,
                "timestamp": T // 10**6,
                "tags": {"motor_id": "A1"},
                "run_id": "cycle-1",
            }
        ]

    @pytest.mark.parametrize(
        ("t_ns", "timestamp"),
        [
            (T, 1_746_969_660_000),
            (T + 125_000, 1_746_969_660_000.125),
            (T + 999, 1_746_969_660_000),
            (10**18, 10**12),
            (10**18 - 1_000, 999_999_999.999999),
            (5_001_000_000, 5.001),
            (0, 0),
            (-1_500_000, -1.5),
        ],
    )
    def test_times_are_milliseconds_and_seconds_before_2001(self, t_ns: int, timestamp: float) -> None:
        (item,) = write_points(Block("m", [t_ns], [1]))
        assert item["timestamp"] == timestamp
        assert type(item["timestamp"]) is type(timestamp)

    @pytest.mark.parametrize(("value", "name"), [(NAN, "NaN"), (INF, "Infinity"), (-INF, "-Infinity")])
    def test_a_number_that_is_not_finite_has_the_form_of_the_extension(self, value: float, name: str) -> None:
        (item,) = write_points(Block("m", [T], [value]))
        assert (item["value"], item["non_finite"]) == (name, True)

    def test_one_inside_an_array_has_no_form_and_is_refused_by_name(self) -> None:
        with pytest.raises(ProtocolError, match=r"metric 'lidar\.ranges'"):
            write_points(Block("lidar.ranges", [T], [[1.0, NAN]]))

    @settings(max_examples=80, deadline=None)
    @given(names, json_values, st.integers(-(10**15), 9 * 10**15), st.booleans())
    def test_a_gateway_reads_what_is_written(self, metric: str, value: Any, us: int, is_event: bool) -> None:
        block = Block(metric, [us * 1_000], [value if value is not None else 0], is_event)
        decoded = decode_points(write_points(block), source_id="s", arrival_ns=0)
        assert decoded.faults == ()
        assert same(decoded.columns.value, block.value)
        assert decoded.columns.is_event == [is_event]

    @pytest.mark.parametrize("item", [None, 1, {}, {"metric": "a"}, {"metric": "a", "value": 1, "class": "metric"}])
    def test_what_is_no_point_is_refused(self, item: Any) -> None:
        with pytest.raises(ProtocolError, match="not an encoded point"):
            read_block([item])

    @pytest.mark.parametrize("timestamp", ["1", True, 1e300, -1e13, 1e11, 10**400, None], ids=lambda t: repr(t)[:8])
    def test_a_time_that_is_none_is_refused(self, timestamp: Any) -> None:
        with pytest.raises(ProtocolError, match="timestamp must be"):
            read_block([{"class": "metric", "metric": "a", "value": 1, "timestamp": timestamp}])


class TestNeeds:
    @pytest.mark.parametrize(
        ("block", "needed"),
        [
            (Block("m", [T], [1.5]), []),
            (Block("m", [T, T], [1, 2.5]), []),
            (Block("m", [T + 1], [1.5]), [PRECISION]),
            (Block("m", range(T, T + 3_000_000, 1_000_000), [1, 2, 3]), []),
            (Block("m", range(T, T + 3_000, 1_000), [1, 2, 3]), [PRECISION]),
            (Block("m", range(T + 1, T + 2), [1]), [PRECISION]),
            (Block("m", array("q", [T, T + 1]), [1, 2]), [PRECISION]),
            (Block("m", [T], ["x"]), [ANY_METRIC]),
            (Block("m", [T], [True]), [ANY_METRIC]),
            (Block("m", [T], ["x"], True), []),
            (Block("m", [T, T], ["x", 1], [False, True]), [ANY_METRIC]),
            (Block("m", [T, T], ["x", 1], [True, False]), []),
            (Block("m", [T, T], [1.5, NAN]), [NON_FINITE]),
            (Block("m", [T, T], ["x", -INF]), [ANY_METRIC, NON_FINITE]),
            (Block("m", [T, T], [1e308, 1e308]), []),
            (Block("m", [T], array("d", [NAN])), [NON_FINITE]),
            (Block("m", [T, T], array("f", [0.5, -INF])), [NON_FINITE]),
            (Block("m", [T, T], array("d", [1.7e308, -1.7e308])), []),
            (Block("m", [T], array("f", [3e38])), []),
            (Block("m", [T], array("q", [-1])), []),
            (Block("m", [T, T], memoryview(array("d", [1.0, INF]))), [NON_FINITE]),
        ],
    )
    def test_each_thing_that_older_gateways_do_not_take_is_named(self, block: Block, needed: list[str]) -> None:
        assert needs([block]) == frozenset(needed)

    def test_blocks_need_together_what_each_needs(self) -> None:
        assert needs([Block("m", [T + 1], [1]), Block("m", [T], ["x"])]) == {PRECISION, ANY_METRIC}
        assert needs([]) == frozenset()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
    def test_samples_and_a_list_of_them_need_the_same(self, values: list[float]) -> None:
        finite = all(abs(value) < INF for value in values)
        for column in (values, array("d", values), memoryview(array("d", values))):
            assert (needs([Block("m", [T] * len(values), column)]) == frozenset()) == finite


class TestFit:
    def test_what_a_link_can_take_stays_as_it_is(self) -> None:
        block = Block("m", [T], array("d", [1.5]))
        assert fit([block], frozenset()) == ([block], 0)

    def test_what_has_no_form_goes_and_is_counted(self) -> None:
        fitted, lost = fit([Block(["a", "b"], [T, T], [NAN, 1.5]), Block("c", [T], [INF])], frozenset())
        assert [row[0] for row in rows_of(fitted)] == ["b"]
        assert lost == 2

    def test_what_json_never_has_a_form_for_goes_on_every_link(self) -> None:
        block = Block("m", [T + 1] * 3, [[1.0, NAN], NAN, {"a": 1}])
        fitted, lost = fit([block], frozenset(ALL))
        assert same([row[2] for row in rows_of(fitted)], [NAN, {"a": 1}])
        assert lost == 1

    def test_samples_are_fitted_too(self) -> None:
        block = Block("m", range(T, T + 3, 1), array("d", [0.5, NAN, 2.5]))
        fitted, lost = fit([block], frozenset())
        assert [row[1:3] for row in rows_of(fitted)] == [(T, 0.5), (T, 2.5)]
        assert lost == 1

    @settings(max_examples=80, deadline=None)
    @given(st.lists(blocks(), max_size=3), st.sets(st.sampled_from(ALL)))
    def test_fitted_points_need_no_more_and_fitting_again_changes_nothing(
        self, given: list[Block], has: set[str]
    ) -> None:
        fitted, lost = fit(given, frozenset(has))
        assert needs(fitted) <= has
        assert count_points(fitted) + lost == count_points(given)
        again, more = fit(fitted, frozenset(has))
        assert same(rows_of(again), rows_of(fitted))
        assert more == 0

    @settings(max_examples=60, deadline=None)
    @given(st.lists(blocks(), max_size=3))
    def test_fitting_leaves_the_blocks_as_they_were(self, given: list[Block]) -> None:
        before = rows_of(given)
        fit(given, frozenset())
        assert same(rows_of(given), before)


class TestParts:
    @settings(max_examples=60, deadline=None)
    @given(blocks(), st.integers(0, 7), st.integers(0, 7))
    def test_a_part_has_the_points_between(self, block: Block, start: int, stop: int) -> None:
        assert same(rows_of([part_of(block, start, stop)]), rows_of([block])[start:stop])

    def test_the_whole_is_the_block_itself(self) -> None:
        block = Block("m", [T], [1])
        assert part_of(block, 0, 5) is block

    def test_the_span_of_blocks_is_from_the_lowest_time_to_the_highest(self) -> None:
        rising, falling = Block("m", range(T, T + 30, 10), [1, 2, 3]), Block("m", [T + 7, T - 5], [1, 2])
        assert span_ns([rising]) == (T, T + 20)
        assert span_ns([rising, falling]) == (T - 5, T + 20)

    @pytest.mark.parametrize("count", [9, 1_000])
    def test_the_span_of_an_array_is_found_with_numpy_or_without(
        self, count: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        block = Block("m", array("q", numpy.arange(T, T + count)[::-1].tolist()), array("b", bytes(count)))
        assert span_ns([block]) == (T, T + count - 1)
        monkeypatch.delitem(sys.modules, "numpy")
        assert span_ns([block]) == (T, T + count - 1)
