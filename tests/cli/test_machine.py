from __future__ import annotations

import platform
import re
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from plexus.cli.machine import Happening, Machine, source_name
from plexus.domain.names import SOURCE_ID_RULE


class FakePsutil:
    """A machine that is what a test says."""

    def __init__(self) -> None:
        self.cpu = 10.0
        self.processes = 100
        self.up = {"lo": True, "eth0": True}
        self.battery: Any = SimpleNamespace(percent=80.123, power_plugged=True)
        self.received = 0

    def cpu_percent(self) -> float:
        return self.cpu

    def getloadavg(self) -> tuple[float, float, float]:
        return (0.5, 0.4, 0.3)

    def virtual_memory(self) -> Any:
        return SimpleNamespace(percent=25, available=1024 * 1024 * 512, total=1024 * 1024 * 2048)

    def disk_usage(self, _path: str) -> Any:
        return SimpleNamespace(percent=50)

    def disk_io_counters(self) -> Any:
        return None

    def net_io_counters(self) -> Any:
        return SimpleNamespace(bytes_recv=self.received, bytes_sent=0)

    def sensors_battery(self) -> Any:
        return self.battery

    def sensors_temperatures(self) -> Any:
        return {"coretemp": [SimpleNamespace(label="Core 0", current=41.0), SimpleNamespace(label="", current=None)]}

    def pids(self) -> list[int]:
        return list(range(self.processes))

    def net_if_stats(self) -> Any:
        return {name: SimpleNamespace(isup=up) for name, up in self.up.items()}

    def boot_time(self) -> float:
        return 5.0

    def cpu_count(self) -> int:
        return 4


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def fake() -> FakePsutil:
    return FakePsutil()


def _happened(this: Machine) -> list[Happening]:
    return this.happenings(this.readings())


def test_a_look_reads_everything_that_is_there(fake: FakePsutil) -> None:
    assert dict(Machine(fake).readings()) == {
        "cpu.percent": 10.0,
        "cpu.load_1m": 0.5,
        "memory.percent": 25.0,
        "memory.available_mib": 512.0,
        "disk.percent": 50.0,
        "battery.percent": 80.12,
        "temperature.coretemp.core_0_c": 41.0,
        "process.count": 100,
    }


def test_rates_are_those_since_the_last_look(fake: FakePsutil) -> None:
    clock = Seconds()
    this = Machine(fake, clock)
    this.readings()
    clock.now, fake.received = 2.0, 4096
    assert dict(this.readings())["network.received_kib_s"] == 2.0


def test_a_counter_that_goes_back_is_left_out(fake: FakePsutil) -> None:
    clock = Seconds()
    fake.received = 4096
    this = Machine(fake, clock)
    this.readings()
    clock.now, fake.received = 2.0, 0
    assert "network.received_kib_s" not in dict(this.readings())


def test_what_a_machine_has_not_is_left_out(fake: FakePsutil, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise OSError("the driver is not in the mood")

    def hidden(_path: str) -> Any:
        raise PermissionError("no")

    fake.battery = None
    monkeypatch.setattr(fake, "sensors_temperatures", broken)
    monkeypatch.setattr(fake, "disk_usage", hidden)
    monkeypatch.delattr(FakePsutil, "getloadavg")
    assert set(dict(Machine(fake).readings())) == {
        "cpu.percent",
        "memory.percent",
        "memory.available_mib",
        "process.count",
    }


def test_nothing_happens_while_nothing_changes(fake: FakePsutil) -> None:
    this = Machine(fake)
    assert _happened(this) == []
    assert _happened(this) == []


def test_the_cpu_gets_busy_once_and_calm_once(fake: FakePsutil) -> None:
    this = Machine(fake)
    names = []
    for percent in (95.0, 96.0, 70.0, 90.0, 30.0, 20.0):
        fake.cpu = percent
        names += [happening.name for happening in _happened(this)]
    assert names == ["cpu.busy", "cpu.calm"]


def test_a_jump_of_the_processes_is_noticed_and_a_drift_is_not(fake: FakePsutil) -> None:
    this = Machine(fake)
    _happened(this)
    fake.processes = 105
    assert _happened(this) == []
    fake.processes = 115
    assert _happened(this) == [Happening("process.count_jumped", {"from": 100, "to": 115})]


def test_interfaces_come_and_go(fake: FakePsutil) -> None:
    this = Machine(fake)
    _happened(this)
    fake.up = {"lo": True, "eth0": False, "wlan0": True}
    assert _happened(this) == [
        Happening("network.up", {"interface": "wlan0"}),
        Happening("network.down", {"interface": "eth0"}),
    ]


def test_the_plug_is_pulled_and_put_back(fake: FakePsutil) -> None:
    this = Machine(fake)
    _happened(this)
    fake.battery = SimpleNamespace(percent=79, power_plugged=False)
    assert _happened(this) == [Happening("battery.unplugged", {"percent": 79})]
    fake.battery = SimpleNamespace(percent=79, power_plugged=True)
    assert _happened(this) == [Happening("battery.plugged", {"percent": 79})]


def test_its_birth_tells_what_it_is(fake: FakePsutil) -> None:
    birth = Machine(fake).birth()
    assert birth.name == "demo.started"
    assert (birth.data["cpus"], birth.data["memory_mib"], birth.data["machine_booted_ms"]) == (4, 2048, 5000)


def test_this_very_machine_can_be_read() -> None:
    this = Machine(psutil)
    readings = dict(this.readings())
    assert 0.0 <= readings["memory.percent"] <= 100.0  # type: ignore[operator]
    assert readings["process.count"] > 0  # type: ignore[operator]
    assert isinstance(this.happenings(this.readings()), list)


@pytest.mark.parametrize("name", ["", "a", "Büro-PC.local", "_x_", "x" * 80, "192.168.0.1", "ALICE's Mac"])
def test_any_host_name_becomes_a_source_s_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: name)
    assert re.match(SOURCE_ID_RULE, source_name())
