"""The judge, outside of both ends: it knows what was sent and when, what was killed, and what the store took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plexus.domain.loss import Loss
from plexus.ports.store import Window
from tests.simulation.device import Machine, Sent
from tests.simulation.disk import Disk
from tests.simulation.gateway import ORG, Gateway
from tests.simulation.vault import Vault
from tests.simulation.world import START_NS, Broken

CLOCK_BOUND_S = 8.0
"""How far a stamp may be off: half of the longest greeting that still counts, and a little."""


def judge(machines: Sequence[Machine], gateway: Gateway, *, cloned: bool) -> tuple[int, int, int, int]:
    """Raise Broken for what does not hold; else how many were sent, stored, declared lost, and how many are optional.

    A point that the promise reaches is stored once, or inside a declared loss; none is stored twice, and none that
    was not sent.
    """
    vault = gateway.vault
    history = machines[0].history
    for machine in machines:
        if machine.process is not None:
            machine.count(machine.process)
    _check_stored(vault, history, named=gateway.named)
    _check_times(vault, history, told=gateway.named)
    for source in {machine.source for machine in machines}:
        _check_source([machine for machine in machines if machine.source == source], gateway, history, cloned=cloned)
    declared = sum(sum(of_source.values()) for of_source in vault.losses.values())
    return len(history), len(vault.stored), declared, sum(point.optional for point in history.values())


def _check_stored(vault: Vault, history: dict[int, Sent], *, named: bool) -> None:
    for value, times in vault.stored.items():
        if value not in history:
            raise Broken(f"point {value} was stored and never sent")
        if vault.sources[value] != history[value].source:
            raise Broken(f"point {value} of {history[value].source} was stored for {vault.sources[value]}")
        if named and times > 1:
            raise Broken(f"point {value} was stored {times} times")


def _check_times(vault: Vault, history: dict[int, Sent], *, told: bool) -> None:
    for value, t_ns in vault.times.items():
        point = history[value]
        if point.explicit_ns is not None:
            # A link without `precision` carries whole milliseconds.
            if abs(t_ns - point.explicit_ns) > 1_000_000:
                raise Broken(f"point {value} was given {point.explicit_ns} ns and stored with {t_ns}")
            continue
        if not told:
            # Over plain HTTP a gateway of that release tells no time: stamps stay what the machine thinks.
            continue
        off_s = (t_ns - START_NS) / 1e9 - point.at
        if abs(off_s) > CLOCK_BOUND_S and "clock" not in (vault.tags[value] or {}):
            raise Broken(f"point {value}, taken at {point.at:.3f}, was stored with a stamp that is {off_s:.3f} s off")


def _check_source(machines: list[Machine], gateway: Gateway, history: dict[int, Sent], *, cloned: bool) -> None:
    source = machines[0].source
    stored = gateway.vault.stored
    missing = [
        point
        for point in history.values()
        if point.source == source and not point.optional and point.value not in stored
    ]
    recorded = gateway.vault.losses.get(source, {})
    counted: dict[str, int] = {}
    for machine in machines:
        for reason, count in machine.counted.items():
            counted[reason] = counted.get(reason, 0) + count
    _check_answers(gateway.vault, source)
    if any(machine.forgetful for machine in machines):
        return
    # A gateway that takes no declarations leaves the device's own count, and its record, which outlives a kill.
    known = recorded if gateway.named else _with_record(counted, machines)
    good = [point.value for point in missing if not point.refused]
    if len(good) > known.get("buffer_full", 0):
        raise Broken(f"lost: {good} of {source}; recorded {recorded}, counted {counted}")
    if len(missing) > sum(known.values()):
        raise Broken(f"not declared: {[point.value for point in missing]} of {source}; recorded {recorded}")
    undisturbed = not cloned and not any(machine.kills for machine in machines)
    if gateway.named and undisturbed and recorded != counted:
        raise Broken(f"{source} counted {counted}, the gateway has {recorded}")


def _with_record(counted: dict[str, int], machines: list[Machine]) -> dict[str, int]:
    record: dict[str, int] = {}
    for machine in machines:
        for loss in _record_of(machine):
            record[loss.reason] = record.get(loss.reason, 0) + loss.count
    return {reason: max(counted.get(reason, 0), record.get(reason, 0)) for reason in {*counted, *record}}


def _record_of(machine: Machine) -> Iterable[Loss]:
    if isinstance(machine.disk, Disk):
        return machine.disk.losses.values()
    process = machine.process
    return () if process is None or process.closing else process.buffer.losses()


def _check_answers(vault: Vault, source: str) -> None:
    """What the store answers is what was committed."""
    told = {loss.reason: loss.count for loss in vault.store.losses(ORG, source)}
    if told != vault.losses.get(source, {}):
        raise Broken(f"{source}: the store tells of {told}, and {vault.losses.get(source)} were committed")
    series = vault.store.raw(ORG, source, None, Window(-(2**63), 2**63), 1_000_000).series
    values = sorted(int(str(value)) for of_metric in series.values() for value in of_metric.value)
    kept = sorted(
        value for value, times in vault.stored.items() for _ in range(times) if vault.sources[value] == source
    )
    if values != kept:
        raise Broken(f"{source}: the store answers with {len(values)} points, and {len(kept)} were committed")
