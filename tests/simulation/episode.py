"""One episode: devices, a gateway and a network, what is sent and what goes wrong, all of it from a seed.

First everything that the seed says goes wrong; then all is healed, and what is left must arrive within `DRAIN_S`.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs

from plexus.device import uplink
from tests.simulation.card import Card
from tests.simulation.device import Machine
from tests.simulation.disk import Disk
from tests.simulation.gateway import Gateway
from tests.simulation.network import Network
from tests.simulation.oracle import judge
from tests.simulation.world import Broken, World

DRAIN_S = 420.0
"""Longer than the longest wait: a batch that a full disk kept from being put right is tried again after 300 s."""
LOOK_S = 0.5
HOUR_MS = 3_600_000.0
SINCE_1970_MS = -1_746_900_000_000.0

Fault = Callable[["Episode", Machine], None]


@attrs.frozen
class Result:
    """What an episode came to."""

    seed: int
    sent: int
    stored: int
    declared: int
    optional: int
    kills: int
    broken: str = ""


class Episode:
    """See the module."""

    def __init__(self, seed: int, *, traced: bool = False) -> None:
        self.seed = seed
        self.world = world = World(seed, traced=traced)
        rng = world.rng
        # One in eight gateways knows no batch names, as 0.16.0's: at least once is all that it can promise.
        self.gateway = Gateway(world, named=rng.random() < 0.88)
        self.cloned = False
        self._files: tempfile.TemporaryDirectory[str] | None = None
        # Most looks at an empty intake show nothing and cost most of the time: three episodes in four take fewer.
        self.linger_s = 0.05 if rng.random() < 0.75 else uplink.LINGER_S
        self.machines: list[Machine] = []
        for number in range(1 if rng.random() < 0.8 else 2):
            self.machines.append(self._machine(number))
        self._plan_sending()
        self.end = self.last + (world.between(0.1, 2.0) if rng.random() < 0.8 else world.between(2.0, 40.0))
        self._plan_faults()

    def run(self) -> Result:
        """All of it; raises Broken where a promise is."""
        usual, uplink.LINGER_S = uplink.LINGER_S, self.linger_s
        try:
            return self._run()
        finally:
            uplink.LINGER_S = usual
            self._tidy()

    def _run(self) -> Result:
        world = self.world
        for machine in self.machines:
            machine.start()
        world.run(self.end)
        self._heal()
        start = world.now
        while not all(machine.is_drained() for machine in self.machines):
            if world.now > start + DRAIN_S:
                raise Broken(f"stuck: {self._stuck()}")
            self._mend()
            world.run(world.now + LOOK_S)
        # What a half-open connection still delivers must change nothing.
        world.run(world.now + 15.0)
        self.gateway.check()
        sent, stored, declared, optional = judge(self.machines, self.gateway, cloned=self.cloned)
        return Result(self.seed, sent, stored, declared, optional, sum(machine.kills for machine in self.machines))

    # --- what is there --------------------------------------------------------------------------------------

    def _machine(self, number: int) -> Machine:
        world, rng = self.world, self.world.rng
        bound = rng.randint(4, 40) if rng.random() < 0.3 else 10_000
        machine = Machine(
            world=world,
            gateway=self.gateway,
            source=f"rig-{number}",
            install_id=f"{number:032x}",
            disk=self._disk(number, bound),
            net=Network(world, rng.choice((0.002, 0.02, 0.02, 0.08, 0.3))),
            history=self.gateway.history,
            fsync_s=rng.choice((0.0, 0.002, 0.01, 0.06)),
            strict=rng.random() < 0.15,
            transports=rng.choice((("ws", "http"), ("ws", "http"), ("ws",), ("http",))),
        )
        if rng.random() < 0.3:
            machine.wall_error_ms = rng.choice((HOUR_MS, -HOUR_MS, SINCE_1970_MS, 50.0))
        return machine

    def _disk(self, number: int, bound: int) -> Disk | Card:
        """One disk in two hundred is a real file with the shipped spool in it."""
        if self.world.rng.random() >= 0.005:
            return Disk(bound)
        if self._files is None:
            self._files = tempfile.TemporaryDirectory(prefix="plexus-simulation-")
        home = Path(self._files.name) / str(number)
        home.mkdir()
        return Card(home, bound)

    def _plan_sending(self) -> None:
        world, rng = self.world, self.world.rng
        self.last = 0.0
        for machine in self.machines:
            points, at = rng.randint(5, 45), world.between(0.0, 0.3)
            while points > 0:
                burst = min(points, rng.choice((1, 1, 2, 3, 5, 12)))
                points -= burst
                self._plan_burst(machine, at, burst)
                self.last = max(self.last, at)
                at += rng.expovariate(1.0) * rng.choice((0.01, 0.03, 0.1, 0.3))

    def _plan_burst(self, machine: Machine, at: float, count: int) -> None:
        kinds = [self.world.rng.random() < 0.1 for _ in range(count)]

        def burst() -> None:
            for explicit in kinds:
                machine.send(explicit=explicit)

        self.world.at(at, burst)

    def _plan_faults(self) -> None:
        rng = self.world.rng
        names = list(FAULTS)
        weights = [FAULTS[name][0] for name in names]
        for name in rng.choices(names, weights, k=rng.choice((0, 1, 2, 2, 3, 4, 6))):
            fault = FAULTS[name][1]
            machine = rng.choice(self.machines)
            if rng.random() < 0.35 and name != "clone":
                # While a new connection is busy with what waited for it.
                machine.net.traps.append(partial(fault, self, machine))
            else:
                self.world.at(self.world.between(0.0, self.end), partial(fault, self, machine))

    # --- afterwards -----------------------------------------------------------------------------------------

    def _heal(self) -> None:
        self.world.tell("world", "is well from now on")
        self.gateway.heal()
        for machine in self.machines:
            machine.net.heal()
            machine.net.traps.clear()
            machine.disk.is_full = machine.disk.is_unreadable = False
            machine.start()
            if machine.process is not None:
                machine.process.dies_in = None
        self._mend()

    def _mend(self) -> None:
        """Start what ended meanwhile, and once more what let go of its disk: it is read at the next start."""
        for machine in self.machines:
            process = machine.process
            if process is not None and process.has_let_go() and not process.closing:
                process.close(0.5)
            machine.start()

    def _tidy(self) -> None:
        for machine in self.machines:
            if isinstance(machine.disk, Card):
                machine.disk.close()
        if self._files is not None:
            self._files.cleanup()

    def _stuck(self) -> str:
        told = []
        for machine in self.machines:
            process = machine.process
            waiting = None if process is None else process.uplink.waiting()
            lost = None if process is None else process.buffer.losses()
            told.append(f"{machine.source} waits with {waiting}, losses {lost}")
        return "; ".join(told)


def run_episode(seed: int) -> Result:
    """Never raises: a failure is in the result. From here on this process logs nothing, see `conftest`."""
    logging.disable(logging.CRITICAL)
    try:
        return Episode(seed).run()
    except Exception as exc:  # noqa: BLE001 - whatever the shipped code raises is a finding
        return Result(seed, 0, 0, 0, 0, 0, f"{type(exc).__name__}: {exc}")


# --- what goes wrong ----------------------------------------------------------------------------------------


def _again(machine: Machine) -> None:
    rng = machine.world.rng
    if rng.random() < 0.3:
        machine.transports = rng.choice((("ws", "http"), ("ws",), ("http",)))
    machine.world.after(machine.world.between(0.02, 3.0), machine.start)


def _kill(episode: Episode, machine: Machine) -> None:
    machine.kill()
    _again(machine)


def _kill_inside(episode: Episode, machine: Machine) -> None:
    if machine.process is not None:
        machine.process.dies_in = episode.world.rng.randint(1, 6)
        for delay in (2.0, 5.0):
            episode.world.after(delay, machine.start)


def _power_cut(episode: Episode, machine: Machine) -> None:
    rng = episode.world.rng
    machine.kill(power=True)
    if rng.random() < 0.4:
        machine.wall_error_ms = rng.choice((0.0, SINCE_1970_MS, HOUR_MS))
    _again(machine)


def _close(episode: Episode, machine: Machine) -> None:
    if machine.process is not None:
        machine.process.close(episode.world.rng.choice((0.0, 0.3, 2.0)))
        episode.world.after(3.0, machine.start)


def _flush(episode: Episode, machine: Machine) -> None:
    if machine.process is not None:
        machine.process.flush(durable=episode.world.chance(0.6))
        if episode.world.chance(0.6):
            episode.world.after(episode.world.between(0.0, 0.2), lambda: _kill(episode, machine))


def _clone(episode: Episode, machine: Machine) -> None:
    """The card is copied while the machine is off, and both are started."""
    if len(episode.machines) > 2 or not episode.gateway.named:
        return
    machine.kill(power=True)
    _again(machine)
    copied = machine.disk.clone()
    if copied is None:
        return
    episode.cloned = True
    twin = attrs.evolve(machine, disk=copied, process=None, kills=0, counted={})
    twin.net = Network(episode.world, machine.net.base_s)
    twin.boot_id += "-twin"
    episode.world.tell(machine.source, "is cloned")
    episode.machines.append(twin)
    _again(twin)
    for _ in range(3):
        at = episode.world.now + episode.world.between(0.1, 4.0)
        episode.world.at(min(at, episode.end), lambda: twin.send(explicit=False))


def _gateway_kill(episode: Episode, _machine: Machine) -> None:
    episode.gateway.kill()
    episode.world.after(episode.world.between(0.01, 4.0), episode.gateway.start)


def _gateway_leaves(episode: Episode, _machine: Machine) -> None:
    episode.gateway.leave()
    episode.world.after(1.0 + episode.world.between(0.01, 4.0), episode.gateway.start)


def _gateway_disk(episode: Episode, _machine: Machine) -> None:
    longest = 0.05 if episode.world.chance(0.6) else 4.0
    episode.gateway.disk_fails_until = episode.world.now + episode.world.between(0.0, longest)


def _gateway_slow(episode: Episode, _machine: Machine) -> None:
    episode.gateway.slow_until = episode.world.now + episode.world.between(0.5, 6.0)


def _wires(method: str) -> Fault:
    def fault(_episode: Episode, machine: Machine) -> None:
        for wire in machine.net.open_wires():
            getattr(wire, method)()

    return fault


def _refuse(episode: Episode, machine: Machine) -> None:
    machine.net.refused_until = episode.world.now + episode.world.between(0.1, 8.0)
    _wires("reset")(episode, machine)


def _dark(episode: Episode, machine: Machine) -> None:
    machine.net.dark_until = episode.world.now + episode.world.between(0.1, 15.0)
    _wires("swallow")(episode, machine)


def _proxy(episode: Episode, machine: Machine) -> None:
    machine.net.proxy = episode.world.rng.choice(("429", "503", "500", "portal", "page", "413"))
    machine.net.proxy_until = episode.world.now + episode.world.between(0.1, 5.0)


def _refusal(episode: Episode, machine: Machine) -> None:
    machine.net.refusing_until = episode.world.now + episode.world.between(0.02, 0.5)


def _disk(attribute: str) -> Fault:
    def fault(episode: Episode, machine: Machine) -> None:
        setattr(machine.disk, attribute, True)
        episode.world.tell(machine.source, attribute)
        episode.world.after(episode.world.between(0.05, 4.0), lambda: setattr(machine.disk, attribute, False))

    return fault


def _step_clock(episode: Episode, machine: Machine) -> None:
    machine.wall_error_ms = episode.world.rng.choice((0.0, HOUR_MS, -HOUR_MS, 1_500.0))
    episode.world.tell(machine.source, "clock stepped to", machine.wall_error_ms)


FAULTS: dict[str, tuple[float, Fault]] = {
    "kill": (3.0, _kill),
    "kill_inside": (3.0, _kill_inside),
    "power_cut": (2.0, _power_cut),
    "close": (1.8, _close),
    "flush": (3.0, _flush),
    "clone": (0.4, _clone),
    "gateway_kill": (3.0, _gateway_kill),
    "gateway_leaves": (1.5, _gateway_leaves),
    "gateway_disk": (2.0, _gateway_disk),
    "gateway_slow": (1.0, _gateway_slow),
    "reset": (3.0, _wires("reset")),
    "half_open": (3.0, _wires("half_open")),
    "half_closed": (1.0, _wires("half_closed")),
    "swallow": (1.5, _wires("swallow")),
    "stall": (2.0, _wires("stall")),
    "lose_answers": (3.0, _wires("lose_answers")),
    "refuse": (2.0, _refuse),
    "dark": (1.0, _dark),
    "proxy": (1.5, _proxy),
    "refusal": (0.8, _refusal),
    "disk_full": (0.7, _disk("is_full")),
    "disk_unreadable": (0.4, _disk("is_unreadable")),
    "step_clock": (0.7, _step_clock),
}
"""How often each happens, beside the others, and what it is."""
