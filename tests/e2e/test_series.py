"""A high-rate block from a device to a reader, in every form of time, and integers of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy

from plexus.testing.memory import MemoryHouse

START_MS = 1_746_969_660_000
START_NS = START_MS * 1_000_000


def stored(house: MemoryHouse, metric: str) -> Any:
    result = house.reader().metrics.query("drone-01", metric, start=START_MS, end=START_MS + 9_000, interval="raw")
    return result[metric]


def test_a_block_of_samples_is_stored_as_points() -> None:
    values = numpy.arange(2_500, dtype="i2")
    with MemoryHouse() as house:
        with house.device("drone-01") as px:
            px.send_series("vib.x", values=values, start=START_MS, rate_hz=1_000)
            assert px.flush_buffer()
            assert px.stats().delivered == 2_500
        series = stored(house, "vib.x")
    assert list(series.value) == values.tolist()
    assert list(series.timestamp_ms) == [START_MS + i for i in range(2_500)]


def test_readings_and_blocks_may_be_of_one_metric() -> None:
    with MemoryHouse() as house:
        with house.device("drone-01") as px:
            px.send("vib.x", 0.5, timestamp_ns=START_NS)
            px.send_series("vib.x", values=[1.5, 2.5], timestamps_ns=[START_NS + 10**6, START_NS + 2 * 10**6])
            with px.batch() as batch:
                batch.send("vib.x", 3.5, START_MS + 3)
            assert px.flush_buffer()
        assert list(stored(house, "vib.x").value) == [0.5, 1.5, 2.5, 3.5]


def test_integers_of_64_bits_arrive_exactly() -> None:
    with MemoryHouse() as house:
        with house.device("drone-01") as px:
            for number in (2**53 + 1, 2**63 - 1, -(2**63)):
                px.send("counter", number, timestamp=START_MS)
            px.send_series("counter", values=[2**60 + 1], timestamps=[START_MS + 1])
            assert px.flush_buffer()
        assert sorted(stored(house, "counter").value) == [-(2**63), 2**53 + 1, 2**60 + 1, 2**63 - 1]
