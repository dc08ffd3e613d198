"""What callers pass to `send` is taken as it is at the call, or refused with the way out."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.device.taking import check_metric, take_reading, take_tags, take_time
from plexus.domain.errors import ConfigurationError, UnsupportedValueError
from plexus.domain.point import MAX_ABS_NS

T_NS = 1_746_969_660_123_456_000


class Colour(str, enum.Enum):
    RED = "red"


class TestTimes:
    @pytest.mark.parametrize(
        ("given", "t_ns"),
        [
            (1_746_969_660, 1_746_969_660_000_000_000),
            (1_746_969_660_123, 1_746_969_660_123_000_000),
            (1_746_969_660.123456, T_NS),
            (1_746_969_660_123.456, T_NS),
            (datetime.fromtimestamp(1_746_969_660, timezone.utc) + timedelta(microseconds=123_456), T_NS),
            (datetime(1969, 12, 31, 23, 59, 59, 999_999, timezone.utc), -1_000),
            (numpy.float64(1_746_969_660.123456), T_NS),
            (numpy.int64(1_746_969_660_123), 1_746_969_660_123_000_000),
            (numpy.datetime64(T_NS + 7, "ns"), T_NS + 7),
            (numpy.datetime64("2025-05-11T13:21:00"), 1_746_969_660_000_000_000),
            (0, 0),
            (-1.5, -1_500_000),
            (1e-6, 1_000),
        ],
    )
    def test_seconds_milliseconds_and_dates_become_whole_nanoseconds(self, given: Any, t_ns: int) -> None:
        taken = take_time(given, "m")
        assert taken == t_ns
        assert type(taken) is int

    def test_no_time_stays_none(self) -> None:
        assert take_time(None, "m") is None

    @pytest.mark.parametrize("given", [T_NS + 789, numpy.int64(T_NS + 789), -MAX_ABS_NS, MAX_ABS_NS, 0])
    def test_nanoseconds_are_taken_exactly(self, given: int) -> None:
        assert take_time(None, "m", given) == given

    @settings(max_examples=100, deadline=None)
    @given(st.integers(10**15, 8 * 10**15))
    def test_any_microsecond_is_the_same_in_every_form(self, us: int) -> None:
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=us)
        assert take_time(moment, "m") == take_time(us / 1e3, "m") == take_time(None, "m", us * 1_000) == us * 1_000

    @settings(max_examples=100, deadline=None)
    @given(st.one_of(st.floats(), st.integers()))
    def test_any_number_is_a_time_between_the_bounds_or_refused(self, number: float) -> None:
        try:
            taken = take_time(number, "m")
        except ConfigurationError as exc:
            assert "between the years 1678 and 2261" in str(exc)  # noqa: PT017 - either outcome is right
        else:
            assert taken is not None
            assert -MAX_ABS_NS <= taken <= MAX_ABS_NS

    @pytest.mark.parametrize("given", [float("nan"), float("inf"), 1e300, 10**400, 1e11, numpy.datetime64("NaT")])
    def test_what_is_no_time_of_our_age_is_refused(self, given: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"metric 'm': the timestamp .* is no time between"):
            take_time(given, "m")

    @pytest.mark.parametrize("given", ["2025-05-11", True, [1], {}, numpy.bool_(True), None.__class__])
    def test_what_is_no_number_and_no_date_is_a_type_error(self, given: Any) -> None:
        with pytest.raises(TypeError, match="metric 'm': the timestamp must be seconds or milliseconds"):
            take_time(given, "m")

    def test_a_date_without_a_time_zone_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(ConfigurationError, match=r"use datetime\.now\(timezone\.utc\)"):
            take_time(datetime(2025, 5, 11), "m")  # noqa: DTZ001 - that is the point

    def test_both_forms_at_once_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="timestamp or timestamp_ns, not both"):
            take_time(1.0, "m", 1)

    @pytest.mark.parametrize("given", [1.0, "1", True])
    def test_nanoseconds_must_be_whole(self, given: Any) -> None:
        with pytest.raises(UnsupportedValueError, match="timestamp_ns must be a whole number"):
            take_time(None, "m", given)

    def test_nanoseconds_out_of_our_age_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="is no time between"):
            take_time(None, "m", MAX_ABS_NS + 1)


class TestReadings:
    def test_a_reading_holds_nothing_that_the_caller_can_change(self) -> None:
        value, tags = {"a": [1]}, {"k": "v"}
        reading = take_reading("m", value, None, tags, "metric", "run-1", 5)
        value["a"].append(2)
        tags["k"] = "w"
        assert reading == ("m", {"a": [1]}, None, {"k": "v"}, "metric", "run-1", 5)

    def test_another_class_than_metric_and_event_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="must be 'metric' or 'event', not 'log'"):
            take_reading("m", 1, None, None, "log", None, 0)

    def test_the_name_of_an_enum_of_texts_is_its_text(self) -> None:
        assert take_reading(Colour.RED, Colour.RED, None, None, "metric", None, 0)[:2] == ("red", "red")


class TestNames:
    @pytest.mark.parametrize("name", [None, 1, b"m"])
    def test_a_name_that_is_no_text_is_a_type_error(self, name: Any) -> None:
        with pytest.raises(UnsupportedValueError, match="must be text such as"):
            check_metric(name)

    @pytest.mark.parametrize("name", ["", "x" * 513, "\ud800"])
    def test_a_name_that_cannot_be_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="metric "):
            check_metric(name)


class TestTags:
    def test_numbers_and_booleans_become_text_and_none_at_all_is_none(self) -> None:
        assert take_tags({"a": 1, "b": True, "c": 1.5}, "m") == {"a": "1", "b": "True", "c": "1.5"}
        assert take_tags({}, "m") is None
        assert take_tags(None, "m") is None

    @pytest.mark.parametrize("tags", [["a"], {"a": None}, {"a": [1]}])
    def test_what_is_no_dict_of_texts_is_a_type_error(self, tags: Any) -> None:
        with pytest.raises(UnsupportedValueError, match="metric 'm': tags must be"):
            take_tags(tags, "m")

    def test_more_than_sixteen_and_text_that_cannot_travel_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="at most 16, not 17"):
            take_tags({str(i): "v" for i in range(17)}, "m")
        with pytest.raises(ConfigurationError, match="lone surrogate"):
            take_tags({"k": "\ud800"}, "m")
