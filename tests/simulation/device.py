"""A device: a machine with a clock and a disk, and one process after the other that runs the shipped uplink on it.

A process is the uplink as `plexus.client.assembly` puts it together, stepped as `plexus.device.worker` does, in virtual
time: it wakes at the time that `step` asked for, when the link that it waits for has something, and when it is rung.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from plexus.adapters.clock.synced import SyncedClock
from plexus.adapters.status.memory import MemoryStatus
from plexus.device.flushes import Flush
from plexus.device.links import LinkKeeper
from plexus.domain.errors import BufferFault, PlexusError
from plexus.ports.buffer import Buffer
from tests.simulation import composition
from tests.simulation.card import Card
from tests.simulation.disk import Disk, DiskBuffer
from tests.simulation.gateway import KEY, Gateway
from tests.simulation.network import Network, SimTransport
from tests.simulation.world import START_NS, Broken, World

X_S = 0.25
HELD_LOOKED_AT = 100
SLACK_S = 0.002
"""What a thread may be late, and a kill in the middle of the flush that comes at `X_S` be after it."""
DIAL_TIMEOUT_S = 10.0
STEP_S = 1e-6
"""How long a step takes at least."""
SPIN_S, SPIN_STEPS = 0.01, 500
"""More steps than these in so short a time, and a thread spins."""


class Died(BaseException):
    """The process is killed at this point of a step."""


@attrs.define(eq=False)
class Sent:
    """One point, as the program knows it. `optional`: it may be stored or not, the promise does not reach it.

    `refused`: somebody answered in the gateway's name that it will never be stored.
    """

    value: int
    source: str
    at: float
    explicit_ns: int | None
    optional: bool = False
    refused: bool = False


class MachineClock:
    """The clock port of a machine: ticks since its boot, and a wall clock that may be wrong."""

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._machine = machine
        self._anchor = (self.tick(), self.raw_wall_ms())

    @property
    def boot_id(self) -> str:
        return self._machine.boot_id

    @property
    def synced(self) -> bool:
        return True

    def tick(self) -> int:
        return round((self._world.now - self._machine.booted_at) * 1e9)

    def wall_ms(self, tick: int) -> float:
        return self._anchor[1] + (tick - self._anchor[0]) / 1e6

    def raw_wall_ms(self) -> float:
        return START_NS / 1e6 + self._world.now * 1e3 + self._machine.wall_error_ms

    def correct(self, tick: int, wall_ms: float) -> None:
        """It is the machine's own."""


@attrs.define(eq=False)
class Machine:
    """What a kill leaves: disk, clock, the name. `history` are all points, by value."""

    world: World
    gateway: Gateway
    source: str
    install_id: str
    disk: Disk | Card
    net: Network
    history: dict[int, Sent]
    fsync_s: float = 0.0
    strict: bool = False
    transports: tuple[str, ...] = ("ws", "http")
    boot_id: str = "boot-0"
    booted_at: float = 0.0
    wall_error_ms: float = 0.0
    process: Process | None = None
    counted: dict[str, int] = attrs.field(factory=dict)
    kills: int = 0
    forgetful: bool = False
    """A loss of this machine may have been forgotten with a memory that stood in for a broken disk."""

    def start(self) -> None:
        """A process, unless there is one."""
        if self.process is None:
            self.process = Process(self)
            self.world.tell(self.source, "start", self.transports, "strict" if self.strict else "")
            self.process.stir()

    def kill(self, *, power: bool = False, why: str = "kill -9") -> None:
        """The process is gone, at this instant; with `power` the machine too."""
        process, self.process = self.process, None
        if process is None:
            return
        self.world.tell(self.source, "power cut" if power else why)
        self.kills += 1
        process.killed()
        self.count(process)
        self.disk.cut(lambda: self.world.chance(0.5 if power else 0.2))
        if power:
            self.booted_at, self.boot_id = self.world.now, f"boot-{self.world.now:.6f}"

    def ended(self, process: Process) -> None:
        """The process ended by itself, after `close`."""
        self.world.tell(self.source, "closed")
        self.count(process)
        self.process = None
        self.disk.cut(lambda: False)

    def count(self, process: Process) -> None:
        """Take over what the process counted as dropped."""
        for reason, count in process.parts.counters.dropped().items():
            self.counted[reason] = self.counted.get(reason, 0) + count

    def send(self, *, explicit: bool) -> None:
        """The program sends one point, while there is one to send it."""
        process = self.process
        if process is None or process.closing:
            return
        value = len(self.history)
        stamp = self.world.wall_ns - self.world.rng.randint(0, 10**12) if explicit else None
        self.history[value] = process.sent[value] = Sent(value, self.source, self.world.now, stamp)
        process.send(value, stamp)

    def is_drained(self) -> bool:
        """Whether nothing is left to be sent or declared."""
        process = self.process
        if process is None or process.uplink.waiting() or process.closing or process.has_let_go():
            return False
        link = process.links.active
        if link is None or not process.parts.dispatch.is_done(link):
            return False
        # A declaration that something refused for its size is held back for a while, and then told.
        return not self.gateway.named or not self._declares(process.buffer)

    def _declares(self, buffer: Buffer) -> bool:
        try:
            kept = buffer.oldest(0, HELD_LOOKED_AT)
        except BufferFault:
            return True
        told = self.gateway.vault.declarations
        return any(batch.losses and batch.stream not in told for batch in kept)


class Process:
    """One process of a device."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.world = world = machine.world
        self.sent: dict[int, Sent] = {}
        self.flushes: list[tuple[Flush, float]] = []
        self.closing = False
        self.alive = True
        self.dies_in: int | None = None
        self.lag = 0.0
        self.busy: list[tuple[float, float]] = []
        self.was_failing = False
        self._turn = 0
        self._bell = False
        self._busy_until = 0.0
        self._steps = (-1.0, 0)
        self.transports = {
            name: SimTransport(world, machine.net, "socket" if name == "ws" else "request", self._connect, self)
            for name in machine.transports
        }
        self.buffer: Buffer = machine.disk.open(self._flushed)
        self.parts = composition.build(
            key=KEY,
            source_id=machine.source,
            install_id=machine.install_id,
            clock=SyncedClock(MachineClock(world, machine)),
            buffer=self.buffer,
            transports=self.transports,
            strict=machine.strict,
            dial=self._dial,
            ring=self.ring,
            new_stream=lambda: f"{world.rng.getrandbits(128):032x}",
            dice=world.rng.random,
            on_source_id=self._renamed,
            on_error=self._failed,
            status=MemoryStatus(),
        )
        self.uplink = self.parts.uplink
        self.links: LinkKeeper = self.parts.links

    # --- the program ----------------------------------------------------------------------------------------

    def send(self, value: int, t_ns: int | None) -> None:
        """As `Plexus.send` does it."""
        intake = self.parts.intake
        intake.readings.append((f"m{value % 3}", value, t_ns, None, "metric", None, self.parts.clock.tick()))
        if intake.alarm is not None:
            try:
                intake.alarm()
            except PlexusError as exc:
                self.world.tell(self.machine.source, "send raises", exc)

    def flush(self, *, durable: bool) -> None:
        """The program wants all delivered, or at least safe; what was sent before is owed from its answer on."""
        self.flushes.append((self.uplink.flush(durable=durable), self.world.now))
        self.ring()

    def close(self, timeout: float) -> None:
        """The program ends in good order."""
        self.closing = True
        self.uplink.close(timeout)
        self.ring()

    def has_let_go(self) -> bool:
        """Whether it gave its disk up: what is left there is for the next process."""
        return isinstance(self.buffer, DiskBuffer) and self.buffer.closed

    # --- its end --------------------------------------------------------------------------------------------

    def killed(self) -> None:
        """What it leaves behind: which of its points the promise does not reach."""
        self.alive = False
        now = self.world.now
        for transport in self.transports.values():
            transport.killed()
        flushed = max((at for flush, at in self.flushes if flush.delivered), default=-1.0)
        for point in self.sent.values():
            reach = X_S + self._busy_between(point.at, now) + SLACK_S
            young = now - point.at <= reach and point.at > flushed
            point.optional = point.optional or young or self.was_failing
        self.machine.forgetful = self.machine.forgetful or self.was_failing

    def _busy_between(self, start: float, end: float) -> float:
        return sum(max(0.0, min(end, until) - max(start, since)) for since, until in self.busy)

    # --- the thread -----------------------------------------------------------------------------------------

    @property
    def present(self) -> float:
        """The time as far as the thread is: a flush of the disk takes a while."""
        return self.world.now + self.lag

    def effect(self) -> None:
        """Something leaves the process; the planned end may be just before it."""
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in <= 0:
                raise Died

    def ring(self) -> None:
        """As `Worker.wake`: the bell, and whatever waits."""
        self._bell = True
        self.stir()

    def stir(self) -> None:
        """Step as soon as the thread is free."""
        self._plan(self.world.now)

    def _plan(self, when: float) -> None:
        self._turn += 1
        turn = self._turn

        def go() -> None:
            if self.alive and turn == self._turn:
                self._go()

        self.world.at(max(when, self._busy_until), go)

    def _go(self) -> None:
        machine = self.machine
        self._guard()
        self._bell = False
        self.lag = 0.0
        if isinstance(self.buffer, DiskBuffer):
            self.buffer.reads = 0
        try:
            until = self.uplink.step(self.world.now)
            if self.lag:
                self._busy_until = self.world.now + self.lag
                self.busy.append((self.world.now, self._busy_until))
            self.was_failing = self.was_failing or self.parts.dispatch.spool == "failing"
            if self.uplink.finished.is_set():
                self._finished()
                return
            heard = False
            if not self._bell:
                heard = self.links.wait(max(0.0, until - self.present), lambda: self.world.now)
        except Died:
            machine.kill(why="kill -9 within a step")
            return
        if self._bell or self._got_message(heard):
            until = self.world.now
        # However close a deadline is: a step takes time.
        self._plan(max(until, self.world.now + STEP_S))

    def _got_message(self, heard: bool) -> bool:
        """Whether the wait ended at once: nobody waits for a message then."""
        return heard and not any(transport.waits for transport in self.transports.values())

    def _guard(self) -> None:
        since, count = self._steps
        self._steps = (since, count + 1) if self.world.now < since + SPIN_S else (self.world.now, 0)
        if self._steps[1] > SPIN_STEPS:
            raise Broken(f"{self.machine.source} spins at {self.world.now:.6f}")

    def _finished(self) -> None:
        self.alive = False
        for transport in self.transports.values():
            transport.killed()
        if self.was_failing:
            self.machine.forgetful = True
            for point in self.sent.values():
                point.optional = True
        self.machine.ended(self)

    # --- its world ------------------------------------------------------------------------------------------

    def _flushed(self) -> None:
        self.effect()
        self.lag += self.machine.fsync_s * (0.5 + self.world.rng.random())

    def _connect(self, wire: Any) -> str | None:
        return self.machine.gateway.connect(wire)

    def _dial(self, job: Callable[[], None]) -> None:
        dark = self.world.now < self.machine.net.dark_until
        delay = DIAL_TIMEOUT_S if dark else 2 * self.machine.net.latency()

        def run() -> None:
            if self.alive:
                job()

        self.world.after(delay, run)

    def _renamed(self, source_id: str) -> None:
        raise Broken(f"{self.machine.source} was renamed to {source_id}")

    def _failed(self, error: PlexusError) -> None:
        self.world.tell(self.machine.source, "on_error", error)
