"""Devices whose clock is wrong by an hour or by fifty years, from the start or all at once, against a real gateway.

The date of this machine cannot be set by a test, so the device's clock is shifted where it is read: at the clock port.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from plexus import Plexus
from plexus.adapters.clock.synced import SyncedClock
from plexus.adapters.clock.system import SystemClock
from plexus.gateway import Gateway
from tests.faults.proxy import Proxy
from tests.support.gateway import KEY, gateway, http

__all__ = ["gateway"]

HOUR_S = 3_600.0
FIFTY_YEARS_S = 50 * 365.25 * 86_400.0
SHIFTS = [-FIFTY_YEARS_S, -HOUR_S, HOUR_S, FIFTY_YEARS_S]
NEAR_S = 5.0
"""What a busy machine may need between two lines of a test."""


class ShiftedClock(SystemClock):
    """The machine's clock, wrong by `shift_s`, which may change at any time as when somebody sets the date."""

    def __init__(self, shift_s: float) -> None:
        self.shift_s = shift_s
        super().__init__()

    def raw_wall_ms(self) -> float:
        return super().raw_wall_ms() + self.shift_s * 1e3


@pytest.fixture
def network(gateway: Gateway) -> Iterator[Proxy]:
    with Proxy(int(gateway.url.rpartition(":")[2])) as made:
        yield made


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXUS_QUIET", "1")


def device(network: Proxy, clock: ShiftedClock) -> Plexus:
    return Plexus(api_key=KEY, source_id="drone-01", ws_url=network.ws_url, clock=SyncedClock(clock))


def read(gateway: Gateway) -> tuple[list[Any], list[float]]:
    """Values of the metric by time, and their times in seconds since 1970."""
    with http(gateway) as client:
        query = {"metrics": "m", "start": "1900-01-01T00:00:00Z", "end": "2150-01-01T00:00:00Z", "interval": "raw"}
        answer = client.get("/v1/sources/drone-01/metrics/query", params=query)
    series = answer.raise_for_status().json()["series"]["m"]
    return series["value"], [ms / 1e3 for ms in series["timestamp_ms"]]


@pytest.mark.parametrize("shift_s", SHIFTS)
def test_what_a_wrong_clock_stamps_is_put_right(gateway: Gateway, network: Proxy, shift_s: float) -> None:
    began = time.time()
    with device(network, ShiftedClock(shift_s)) as px:
        for value in range(20):
            px.send("m", value)
        assert px.flush(20.0)
    values, times = read(gateway)
    assert values == list(range(20))
    assert began - NEAR_S < times[0] <= times[-1] < time.time() + NEAR_S


@pytest.mark.parametrize("shift_s", SHIFTS)
def test_what_waited_on_disk_for_the_first_time_that_was_told_is_put_right(
    gateway: Gateway, network: Proxy, shift_s: float
) -> None:
    network.be("down")
    began = time.time()
    with device(network, ShiftedClock(shift_s)) as px:
        for value in range(20):
            px.send("m", value)
        assert px.flush(20.0, durable=True)
        network.be("open")
        assert px.flush(30.0)
    values, times = read(gateway)
    assert values == list(range(20))
    assert began - NEAR_S < times[0] <= times[-1] < time.time() + NEAR_S


@pytest.mark.parametrize("shift_s", SHIFTS)
def test_a_step_of_the_clock_tears_no_recording(gateway: Gateway, network: Proxy, shift_s: float) -> None:
    clock = ShiftedClock(0.0)
    began = time.time()
    with device(network, clock) as px:
        for value in range(40):
            if value == 20:
                clock.shift_s = shift_s
            px.send("m", value)
        assert px.flush(20.0)
    values, times = read(gateway)
    assert values == list(range(40))
    assert began - NEAR_S < times[0] <= times[-1] < time.time() + NEAR_S


@pytest.mark.parametrize("shift_s", SHIFTS)
def test_a_stamp_of_the_programs_own_is_never_touched(gateway: Gateway, network: Proxy, shift_s: float) -> None:
    stamp = 1_746_969_660.0
    with device(network, ShiftedClock(shift_s)) as px:
        px.send("m", 1, timestamp=stamp)
        assert px.flush(20.0)
    assert read(gateway) == ([1], [stamp])


def test_what_a_process_of_the_same_boot_left_behind_is_put_right_by_the_next(gateway: Gateway, network: Proxy) -> None:
    network.be("down")
    began = time.time()
    px = device(network, ShiftedClock(-FIFTY_YEARS_S))
    px.send("m", 1)
    px.close(0.0)
    network.be("open")
    with device(network, ShiftedClock(HOUR_S)) as px:
        assert px.flush(20.0)
    values, times = read(gateway)
    assert values == [1]
    assert began - NEAR_S < times[0] < time.time() + NEAR_S
