"""This machine as a device: what it measures of itself, and what it notices. Reads through psutil; sends nothing.

`Machine.readings` gives (metric, value) pairs, `Machine.happenings` what changed since the last call. What a machine
has not (a battery, thermometers, a load average on Windows) it leaves out.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from plexus.domain.errors import ConfigurationError
from plexus.domain.values import Value

MIB = 1024.0 * 1024.0
BUSY_PERCENT, CALM_PERCENT = 85.0, 60.0
"""The cpu is busy above the first and calm again below the second; in between it stays what it was."""

PROCESS_JUMP = 0.1
MIN_PROCESS_JUMP = 10

_unnamed = re.compile(r"[^a-z0-9_-]+")


@attrs.frozen
class Happening:
    """Something that changed: an event's name and its data."""

    name: str
    data: Mapping[str, Value]


@attrs.frozen
class _Counters:
    """Totals since the machine started, in bytes, and when they were read (monotonic seconds)."""

    at: float
    totals: Mapping[str, int]


@attrs.define
class _Seen:
    """What the last look saw, to tell what changed. None: not looked yet, or not there."""

    processes: int | None = None
    interfaces: frozenset[str] | None = None
    plugged: bool | None = None
    busy: bool = False


def source_name() -> str:
    """This machine's name in the form that a source may have."""
    name = _unnamed.sub("-", platform.node().split(".")[0].lower()).strip("-_")
    return name[:63] if len(name) >= 2 else "this-machine"


def load_psutil() -> Any:
    """psutil, or a ConfigurationError that says how to get it."""
    try:
        import psutil
    except ImportError as exc:
        raise ConfigurationError(
            'the demo needs psutil, of the extra gateway: in this checkout, run pip install -e ".[gateway]"'
        ) from exc
    return psutil


class Machine:
    """This machine. `psutil` is the module, `monotonic` a clock in seconds; both can be replaced by a test's."""

    def __init__(self, psutil: Any, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._psutil = psutil
        self._monotonic = monotonic
        self._before: _Counters | None = None
        self._seen = _Seen()
        # The first answer of cpu_percent is 0 by definition: it measures from one call to the next.
        psutil.cpu_percent()

    def readings(self) -> list[tuple[str, Value]]:
        """One look at everything that is a number; rates are those since the last look."""
        readings = [*self._cpu(), *self._memory(), *self._disk(), *self._rates(), *self._battery()]
        return [*readings, *self._temperatures(), ("process.count", len(self._psutil.pids()))]

    def happenings(self, readings: list[tuple[str, Value]]) -> list[Happening]:
        """What changed since the last call; `readings` are those just taken."""
        values = dict(readings)
        return [
            *self._busy(values["cpu.percent"]),
            *self._processes(values["process.count"]),
            *self._interfaces(),
            *self._plugged(),
        ]

    def birth(self) -> Happening:
        """That the demo began, and on what."""
        booted = round(self._psutil.boot_time() * 1000)
        facts: dict[str, Value] = {
            "host": platform.node(),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "cpus": self._psutil.cpu_count() or 1,
            "memory_mib": round(self._psutil.virtual_memory().total / MIB),
            "machine_booted_ms": booted,
        }
        return Happening("demo.started", facts)

    # --- numbers --------------------------------------------------------------------------------------------

    def _cpu(self) -> Iterator[tuple[str, Value]]:
        yield "cpu.percent", float(self._psutil.cpu_percent())
        if hasattr(self._psutil, "getloadavg"):
            yield "cpu.load_1m", round(self._psutil.getloadavg()[0], 3)

    def _memory(self) -> Iterator[tuple[str, Value]]:
        memory = self._psutil.virtual_memory()
        yield "memory.percent", float(memory.percent)
        yield "memory.available_mib", round(memory.available / MIB, 1)

    def _disk(self) -> Iterator[tuple[str, Value]]:
        try:
            yield "disk.percent", float(self._psutil.disk_usage("/").percent)
        except OSError:
            # A sandbox may hide the root; the other readings are still good.
            return

    def _rates(self) -> Iterator[tuple[str, Value]]:
        before, now = self._before, _Counters(self._monotonic(), self._totals())
        self._before = now
        if before is None or now.at <= before.at:
            return
        for name, total in now.totals.items():
            # A counter that went back belongs to an interface or a disk that was taken out.
            if total >= before.totals.get(name, total + 1):
                yield name, round((total - before.totals[name]) / (now.at - before.at) / 1024.0, 3)

    def _totals(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        disk, network = self._psutil.disk_io_counters(), self._psutil.net_io_counters()
        if disk is not None:
            totals.update({"disk.read_kib_s": disk.read_bytes, "disk.written_kib_s": disk.write_bytes})
        if network is not None:
            totals.update({"network.received_kib_s": network.bytes_recv, "network.sent_kib_s": network.bytes_sent})
        return totals

    def _battery(self) -> Iterator[tuple[str, Value]]:
        battery = self._sensor("sensors_battery")
        if battery is not None:
            yield "battery.percent", round(float(battery.percent), 2)

    def _temperatures(self) -> Iterator[tuple[str, Value]]:
        for chip, sensors in (self._sensor("sensors_temperatures") or {}).items():
            for index, sensor in enumerate(sensors):
                if sensor.current:
                    label = _unnamed.sub("_", (sensor.label or str(index)).lower())
                    yield f"temperature.{_unnamed.sub('_', chip.lower())}.{label}_c", round(float(sensor.current), 2)

    def _sensor(self, name: str) -> Any:
        # psutil has these functions only on systems that have such sensors, and some drivers fail when read.
        read = getattr(self._psutil, name, None)
        try:
            return read() if read is not None else None
        except (OSError, RuntimeError, ValueError, NotImplementedError):
            return None

    # --- changes --------------------------------------------------------------------------------------------

    def _busy(self, percent: Value) -> Iterator[Happening]:
        assert isinstance(percent, float)
        if not self._seen.busy and percent > BUSY_PERCENT:
            self._seen.busy = True
            yield Happening("cpu.busy", {"percent": percent, "above": BUSY_PERCENT})
        elif self._seen.busy and percent < CALM_PERCENT:
            self._seen.busy = False
            yield Happening("cpu.calm", {"percent": percent, "below": CALM_PERCENT})

    def _processes(self, count: Value) -> Iterator[Happening]:
        assert isinstance(count, int)
        before = self._seen.processes
        if before is None:
            self._seen.processes = count
        elif abs(count - before) >= max(MIN_PROCESS_JUMP, before * PROCESS_JUMP):
            self._seen.processes = count
            yield Happening("process.count_jumped", {"from": before, "to": count})

    def _interfaces(self) -> Iterator[Happening]:
        up = frozenset(name for name, state in self._psutil.net_if_stats().items() if state.isup)
        before, self._seen.interfaces = self._seen.interfaces, up
        if before is None:
            return
        for name in sorted(up - before):
            yield Happening("network.up", {"interface": name})
        for name in sorted(before - up):
            yield Happening("network.down", {"interface": name})

    def _plugged(self) -> Iterator[Happening]:
        battery = self._sensor("sensors_battery")
        if battery is None or battery.power_plugged is None:
            return
        plugged = bool(battery.power_plugged)
        before, self._seen.plugged = self._seen.plugged, plugged
        if before is not None and before != plugged:
            yield Happening("battery.plugged" if plugged else "battery.unplugged", {"percent": battery.percent})
