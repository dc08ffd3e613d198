"""Points as a receiver reads them: what is good becomes columns, what is bad becomes a fault with its index."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.protocol.columns import Decoded, PointFault
from plexus.protocol.points import decode_points
from tests.protocol.strategies import finite, json_values, names, text

ARRIVAL_NS = 1_746_100_800_000_000_000
MS = 1_746_969_660_000


def decode(*points: Any, source_id: str | None = "drone-01") -> Decoded:
    return decode_points(list(points), source_id=source_id, arrival_ns=ARRIVAL_NS)


def point(**changes: Any) -> dict[str, Any]:
    return {"class": "metric", "metric": "motor.rpm", "value": 3200, "timestamp": MS, **changes}


def fault_of(**changes: Any) -> str:
    (fault,) = decode(point(**changes)).faults
    assert fault.index == 0
    return fault.error


class TestGoodPoints:
    def test_a_point_becomes_a_row_of_columns(self) -> None:
        decoded = decode(point(tags={"motor_id": "A1"}, run_id="cycle-1", source_id="drone-02"))
        columns = decoded.columns
        assert decoded.faults == ()
        assert (columns.source_id, columns.metric, columns.value) == (["drone-02"], ["motor.rpm"], [3200])
        assert (columns.t_ns, columns.is_event) == ([MS * 1_000_000], [False])
        assert (columns.tags, columns.run_id) == ([{"motor_id": "A1"}], ["cycle-1"])

    def test_the_points_own_source_wins_over_the_envelopes(self) -> None:
        assert decode(point(source_id="b"), point()).columns.source_id == ["b", "drone-01"]

    @pytest.mark.parametrize("value", [0, -1.5, "RUNNING", True, {"a": [1]}, [1, "x", None], "", {}, []])
    def test_every_kind_of_value_is_kept_as_it_came(self, value: Any) -> None:
        (kept,) = decode(point(value=value)).columns.value
        assert kept == value
        assert type(kept) is type(value)

    @pytest.mark.parametrize(
        ("value", "is_event"), [(1, False), (1.5, False), ("x", True), (True, True), ({}, True), ([1], True)]
    )
    def test_a_point_without_a_class_is_a_metric_if_it_is_a_number(self, value: Any, is_event: bool) -> None:
        bare = {"metric": "m", "value": value}
        assert decode(bare).columns.is_event == [is_event]

    def test_the_class_that_is_named_counts_whatever_the_value(self) -> None:
        assert decode(point(value="RUNNING"), point(**{"class": "event"})).columns.is_event == [False, True]

    def test_unknown_fields_are_ignored(self) -> None:
        assert len(decode(point(unit="rpm", quality=3)).columns) == 1

    def test_no_tags_are_no_tags(self) -> None:
        assert decode(point(tags={}), point(tags=None)).columns.tags == [None, None]

    @pytest.mark.parametrize(("name", "value"), [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)])
    def test_a_non_finite_number_comes_by_its_name(self, name: str, value: float) -> None:
        (kept,) = decode(point(value=name, non_finite=True)).columns.value
        assert kept == value or (isinstance(kept, float) and math.isnan(kept) and math.isnan(value))

    def test_the_same_text_without_the_mark_is_text(self) -> None:
        assert decode(point(value="NaN")).columns.value == ["NaN"]

    def test_the_whole_range_of_64_bits_is_kept_exactly(self) -> None:
        values = [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]
        assert decode(*(point(value=value) for value in values)).columns.value == values

    def test_points_come_back_as_domain_points(self) -> None:
        (again,) = decode(point(value=1, tags={"a": "b"})).columns.points()
        assert (again.metric, again.value, again.timestamp_ms, again.tags) == ("motor.rpm", 1, MS, {"a": "b"})


class TestTimes:
    @pytest.mark.parametrize(
        ("stamp", "ns"),
        [
            (None, ARRIVAL_NS),
            (MS, MS * 1_000_000),
            (1_746_969_660, MS * 1_000_000),
            (1_746_969_660.5, MS * 1_000_000 + 500_000_000),
            (MS + 0.25, MS * 1_000_000 + 250_000),
            (0, 0),
            (-5, -5_000_000),
            (1, 1_000_000_000),
            (999_999_999_999, 999_999_999_999_000_000_000),
            (1_000_000_000_000, 1_000_000_000_000_000_000),
            (1e12, 1_000_000_000_000_000_000),
            (-1e12, -1_000_000_000_000_000_000),
        ],
    )
    def test_a_positive_number_under_1e12_is_seconds_else_milliseconds(self, stamp: Any, ns: int) -> None:
        decoded = decode(point(timestamp=stamp))
        if abs(ns) > 9.2e18:
            assert decoded.faults
        else:
            assert decoded.columns.t_ns == [ns]

    @given(st.integers(1_000_000_000_000, 9_000_000_000_000), st.integers(0, 999))
    def test_microseconds_survive(self, ms: int, us: int) -> None:
        wire = json.loads(json.dumps(ms + us / 1000))
        (t_ns,) = decode(point(timestamp=wire)).columns.t_ns
        # From 2**42 ms on (the year 2109) a float does not tell all microseconds apart.
        assert abs(t_ns - (ms * 1_000_000 + us * 1_000)) <= (0 if abs(ms) < 2**42 else 1_000)

    @pytest.mark.parametrize("stamp", ["now", "1746969660000", True, [], {}])
    def test_a_timestamp_that_is_no_number_is_a_fault(self, stamp: Any) -> None:
        assert fault_of(timestamp=stamp) == "timestamp must be a number"

    @pytest.mark.parametrize("stamp", [1e300, -1e300, 9.3e12, 10**400, math.nan, math.inf])
    def test_a_time_that_does_not_fit_64_bits_is_a_fault(self, stamp: Any) -> None:
        assert "between the years 1678 and 2261" in fault_of(timestamp=stamp)

    @given(finite | st.integers(-(10**20), 10**20))
    def test_every_time_that_is_taken_fits_64_bits(self, stamp: float) -> None:
        for t_ns in decode(point(timestamp=stamp)).columns.t_ns:
            assert isinstance(t_ns, int)
            assert -(2**63) <= t_ns < 2**63


class TestFaults:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"metric": None}, "metric must be a string"),
            ({"metric": 7}, "metric must be a string"),
            ({"metric": ""}, "metric must not be empty"),
            ({"metric": "m" * 513}, "metric must be at most 512 bytes"),
            ({"metric": "ä" * 257}, "metric must be at most 512 bytes"),
            ({"value": None}, "value must not be null"),
            ({"value": 2**64}, "value must fit 64 bits; send a larger integer as text"),
            ({"value": -(2**63) - 1}, "value must fit 64 bits; send a larger integer as text"),
            (
                {"value": {"a": [1, 2**64]}},
                "value cannot be kept: an integer inside it does not fit 64 bits; send it as text",
            ),
            ({"value": "nan", "non_finite": True}, "value must be NaN, Infinity or -Infinity when non_finite is set"),
            ({"class": "log"}, "class must be 'metric' or 'event'"),
            ({"class": []}, "class must be 'metric' or 'event'"),
            ({"tags": "a=b"}, "tags must be an object of strings"),
            ({"tags": {"a": 1}}, "tags must be an object of strings"),
            ({"tags": {str(i): "x" for i in range(17)}}, "tags must be at most 16, not 17"),
            ({"run_id": 7}, "run_id must be a string"),
            ({"source_id": ""}, "source_id is not a valid name"),
            ({"source_id": "../etc"}, "source_id is not a valid name"),
            ({"source_id": "a\n"}, "source_id is not a valid name"),
            ({"source_id": 7}, "source_id is not a valid name"),
        ],
    )
    def test_what_is_wrong_is_said_in_a_sentence(self, changes: dict[str, Any], error: str) -> None:
        assert fault_of(**changes) == error

    def test_a_missing_value_is_a_fault(self) -> None:
        assert decode({"metric": "m"}).faults == (PointFault(0, "value is required"),)

    def test_a_point_of_nobody_is_a_fault(self) -> None:
        (fault,) = decode(point(), source_id=None).faults
        assert fault.error == "source_id is required, in the point or in the envelope"

    def test_values_nested_without_end_are_a_fault(self) -> None:
        value: Any = 1
        for _ in range(64):
            value = [value]
        assert decode(point(value=value)).faults == ()
        assert fault_of(value=[value]) == "value cannot be kept: it is nested deeper than 64 levels"
        assert fault_of(value={"a": value}) == "value cannot be kept: it is nested deeper than 64 levels"

    def test_the_faults_name_the_points_by_their_place_in_the_message(self) -> None:
        decoded = decode(point(), 7, point(metric="ok"), {"metric": "m"}, point())
        assert [fault.index for fault in decoded.faults] == [1, 3]
        assert decoded.columns.metric == ["motor.rpm", "ok", "motor.rpm"]
        assert decoded.total == 5

    @pytest.mark.parametrize("points", [None, {}, "x", 7, True])
    def test_points_that_are_no_array_are_a_protocol_error(self, points: Any) -> None:
        with pytest.raises(ProtocolError, match="points must be an array"):
            decode_points(points, source_id="a", arrival_ns=0)


@given(
    st.lists(
        json_values
        | st.fixed_dictionaries(
            {},
            optional={
                "class": json_values | st.sampled_from(["metric", "event"]),
                "metric": json_values | names,
                "value": json_values | finite,
                "timestamp": json_values | finite,
                "tags": json_values | st.dictionaries(text, text),
                "run_id": json_values | text,
                "source_id": json_values | names,
                "non_finite": st.booleans(),
            },
        ),
        max_size=6,
    )
)
@settings(max_examples=150)
def test_every_point_is_either_a_row_or_a_fault(points: list[Any]) -> None:
    decoded = decode(*points)
    bad = {fault.index for fault in decoded.faults}
    assert decoded.total == len(points)
    assert len(bad) == len(decoded.faults)
    good = [item for index, item in enumerate(points) if index not in bad]
    assert decoded.columns.metric == [item["metric"] for item in good]
    lengths = {len(getattr(decoded.columns, name)) for name in ("source_id", "t_ns", "is_event", "value", "tags")}
    assert lengths == {len(good)}
