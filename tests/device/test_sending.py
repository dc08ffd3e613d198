"""`send` and its siblings: what is put into the intake, and what is refused before anything is."""

from __future__ import annotations

from array import array
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

from plexus.adapters.clock.manual import ManualClock
from plexus.client.sending import Sending
from plexus.device.counters import Counters
from plexus.device.intake import Intake, Samples
from plexus.domain.errors import AuthenticationError, ConfigurationError, UnsupportedValueError

T_NS = 1_746_969_660_000_000_000


class Taker(Sending):
    """The part of a client that takes, with nothing behind it."""

    def __init__(self) -> None:
        clock = ManualClock()
        self._runs: Any = SimpleNamespace(current="run-1")
        self._intake = Intake(clock, Counters())
        self._append = self._intake.readings.append
        self._tick = clock.tick
        self._known = set()

    @property
    def readings(self) -> list[Any]:
        return list(self._intake.readings)

    @property
    def series(self) -> list[Samples]:
        return list(self._intake.series)


class TestSend:
    def test_a_reading_is_taken_with_the_run_and_the_tick(self) -> None:
        px = Taker()
        assert px.send("m", 1.5) is True
        assert px.readings == [("m", 1.5, None, None, "metric", "run-1", 0)]

    def test_the_second_is_taken_as_the_first(self) -> None:
        px = Taker()
        for value in (1.5, 2, True, "on", 1.5, 2, True, "on"):
            px.send("m", value)
        assert px.readings[:4] == px.readings[4:]

    def test_nanoseconds_are_the_exact_form_of_the_time(self) -> None:
        px = Taker()
        for metric in ("m", "m"):
            px.send(metric, 1, timestamp_ns=T_NS + 789)
        px.event("e", "text", timestamp_ns=T_NS + 789)
        px.send("m", 1, T_NS / 1e9)
        assert [reading[2] for reading in px.readings] == [T_NS + 789] * 3 + [T_NS]

    def test_both_forms_of_the_time_are_refused_and_nothing_is_taken(self) -> None:
        px = Taker()
        for take in (px.send, px.event):
            with pytest.raises(ConfigurationError, match="not both"):
                take("m", 1, T_NS / 1e9, timestamp_ns=T_NS)
        assert px.readings == []

    @pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
    def test_an_integer_over_64_bits_is_refused_however_often(self, value: int) -> None:
        px = Taker()
        px.send("m", 1)
        with pytest.raises(TypeError, match="bits; send up to 64 bits"):
            px.send("m", value)

    @pytest.mark.parametrize("value", [2**53 + 1, 2**64 - 1, -(2**63)])
    def test_an_integer_of_64_bits_is_taken_exactly(self, value: int) -> None:
        px = Taker()
        px.send("m", value)
        px.send("m", value)
        assert [reading[1] for reading in px.readings] == [value, value]

    def test_an_error_that_waits_is_raised_after_the_reading_is_safe(self) -> None:
        px = Taker()
        px._intake.raise_once(AuthenticationError("no"))
        with pytest.raises(AuthenticationError):
            px.send("m", 1)
        assert len(px.readings) == 1
        assert px.send("m", 2)


class TestSendBatch:
    def test_the_own_time_of_a_point_wins_over_that_of_the_batch(self) -> None:
        px = Taker()
        px.send_batch([("a", 1), ("b", 2, T_NS / 1e9), ("c", 3, None)], timestamp_ns=T_NS + 5)
        assert [reading[2] for reading in px.readings] == [T_NS + 5, T_NS, T_NS + 5]

    def test_the_good_are_taken_and_then_the_first_error_is_raised(self) -> None:
        px = Taker()
        with pytest.raises(UnsupportedValueError, match="metric 'b'"):
            px.send_batch([("a", 1), ("b", object()), ("c", 3), ("d",), ("", 1)])  # type: ignore[list-item]
        assert [reading[0] for reading in px.readings] == ["a", "c"]


class TestSendSeries:
    def test_a_block_with_a_time_for_each_sample(self) -> None:
        px = Taker()
        assert px.send_series("vib.x", [T_NS / 1e9, T_NS / 1e9 + 1], [0.5, 1.5], tags={"axis": "x"}) is True
        (block,) = px.series
        assert (block.metric, block.values, list(block.t_ns)) == ("vib.x", array("d", [0.5, 1.5]), [T_NS, T_NS + 10**9])
        assert (block.is_made, block.tags, block.run_id) == (False, {"axis": "x"}, "run-1")

    def test_a_block_with_exact_times(self) -> None:
        px = Taker()
        px.send_series("vib.x", values=numpy.array([1, 2], "i2"), timestamps_ns=numpy.array([T_NS, T_NS + 7]))
        (block,) = px.series
        assert (block.values, list(block.t_ns)) == (array("h", [1, 2]), [T_NS, T_NS + 7])

    def test_a_block_from_a_start_on(self) -> None:
        px = Taker()
        start = datetime.fromtimestamp(T_NS / 1e9, timezone.utc)
        px.send_series("vib.x", values=numpy.arange(3.0), start=start, rate_hz=1_000)
        assert px.series[0].t_ns == range(T_NS, T_NS + 3_000_000, 1_000_000)

    def test_a_block_whose_last_sample_is_of_now(self) -> None:
        px = Taker()
        px.send_series("vib.x", values=[1, 2, 3], rate_hz=numpy.float32(1_000))
        assert px.series[0].is_made
        assert list(px.series[0].t_ns) == [-2_000_000, -1_000_000, 0]

    def test_an_empty_block_takes_nothing(self) -> None:
        px = Taker()
        assert px.send_series("vib.x", [], []) is True
        assert px.send_series("vib.x", values=numpy.array([]), rate_hz=5) is True
        assert px.series == []

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"start": 1.0},
            {"timestamps": [1.0], "rate_hz": 5.0},
            {"timestamps": [1.0], "timestamps_ns": [1]},
            {"timestamps": [1.0], "start": 1.0},
        ],
    )
    def test_it_must_be_clear_when_the_samples_were_taken(self, given: dict[str, Any]) -> None:
        px = Taker()
        with pytest.raises(ConfigurationError, match=r"metric 'vib\.x': say when the samples were taken by one of"):
            px.send_series("vib.x", values=[1.0], **given)
        assert px.series == []

    def test_a_fault_takes_nothing_of_the_block(self) -> None:
        px = Taker()
        with pytest.raises(UnsupportedValueError, match=r"values\[1\]"):
            px.send_series("vib.x", values=[1.0, "x"], rate_hz=5)
        with pytest.raises(ConfigurationError, match="must not be empty"):
            px.send_series("", values=[1.0], rate_hz=5)
        with pytest.raises(ConfigurationError, match="there are 1 timestamps for 2 values"):
            px.send_series("vib.x", [1.0], [1.0, 2.0])
        with pytest.raises(UnsupportedValueError, match="tags must be a dict"):
            px.send_series("vib.x", values=[1.0], rate_hz=5, tags="x")  # type: ignore[arg-type]
        assert px.series == []

    def test_values_that_were_forgotten_are_asked_for(self) -> None:
        with pytest.raises(UnsupportedValueError, match="values of type NoneType"):
            Taker().send_series("vib.x", [1.0, 2.0])

    def test_an_error_that_waits_is_raised_after_the_block_is_safe(self) -> None:
        px = Taker()
        px._intake.raise_once(AuthenticationError("no"))
        with pytest.raises(AuthenticationError):
            px.send_series("vib.x", values=[1.0], rate_hz=5)
        assert len(px.series) == 1


def test_a_batch_of_before_is_the_client_itself() -> None:
    px = Taker()
    with px.batch() as batch:
        assert batch is px
        batch.send("m", 1)
        assert len(px.readings) == 1
