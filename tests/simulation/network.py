"""The network between devices and gateway: wires with a latency, and everything that happens to them.

A wire delivers whole messages in order until something is done to it; what is on its way when that happens arrives, in
part, late, or never, as the kind of break says. Two wires know nothing of each other's order.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

import attrs

from plexus.domain.errors import TransportClosed, TransportError
from plexus.ports.transport import Dialect
from plexus.protocol.messages import Message
from tests.simulation.world import World

RESET = "connection reset by peer"


class Ear(Protocol):
    """The gateway's end of a wire."""

    def feed(self, message: Message) -> None:
        """A message arrived."""
        ...

    def gone(self) -> None:
        """The connection is over, as far as the gateway can tell."""
        ...


class Wire:
    """One connection. `up` goes to the gateway, `down` to the device."""

    def __init__(self, world: World, net: Network, dialect: Dialect, wake: Callable[[], None]) -> None:
        self.dialect = dialect
        self.net = net
        self.ear: Ear | None = None
        self.arrived: deque[Message] = deque()
        self.end: TransportError | None = None
        self._world = world
        self._wake = wake
        self._up: deque[tuple[float, Message]] = deque()
        self._down: deque[tuple[float, Message]] = deque()
        self._last_up = self._last_down = 0.0
        self._stalled_until = 0.0
        self._deaf_up = self._deaf_down = False
        self._told_gone = False
        # Its own, so that the order in which a gateway speaks to two wires at one instant changes nothing.
        self._rng = random.Random(world.rng.getrandbits(32))

    # --- the device's end -----------------------------------------------------------------------------------

    def send_up(self, message: Message, departs: float) -> None:
        """The device writes; where nobody listens any more it does not know."""
        if self._deaf_up or self.ear is None:
            return
        arrives = max(self._last_up, departs + self._latency())
        self._last_up = arrives
        self._up.append((departs, message))
        self._world.at(arrives, self._arrive_up)

    def hang_up(self) -> None:
        """The device closes: what it wrote may still arrive, now, late, or not at all."""
        if self.end is None:
            self.end = TransportError("the connection was closed here")
        self._deaf_down = True
        fate = self._world.rng.random()
        if fate < 0.3:
            self._cut(self._up)
        elif fate < 0.5:
            self._stalled_until = self._world.now + self._world.between(0.05, 6.0)
        self._world.at(max(self._last_up, self._stalled_until) + 0.01, self.tell_gone)

    def die(self, *, now: float) -> None:
        """The device's process is killed: what it had not written yet never is."""
        while self._up and self._up[-1][0] > now:
            self._up.pop()
        self.hang_up()

    # --- the gateway's end ----------------------------------------------------------------------------------

    def send_down(self, message: Message) -> None:
        """The gateway writes."""
        if self._deaf_down:
            return
        self._last_down = max(self._last_down, self._world.now + self._latency())
        self._down.append((self._last_down, message))
        self._world.at(self._last_down, self._arrive_down)

    def close_down(self, code: int, reason: str) -> None:
        """The gateway closes on purpose, behind all that it said."""
        self._deaf_up = True
        failure = TransportClosed(f"the gateway closed the connection ({code}: {reason})", code=code)
        self._world.at(max(self._last_down, self._world.now + self._latency()) + 1e-6, lambda: self._fail(failure))
        self.tell_gone()

    def tell_gone(self) -> None:
        """The gateway hears that the device is not there any more."""
        if not self._told_gone and self.ear is not None:
            self._told_gone = True
            self._deaf_up = True
            self.ear.gone()

    # --- what happens to it ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Both ends hear of it; some of what was on its way arrived before."""
        self._world.tell("net", "reset", self.dialect)
        self._cut(self._up)
        self._flush_up()
        self._down.clear()
        self._deaf_down = True
        self._fail(TransportError(RESET))
        self.tell_gone()

    def half_open(self) -> None:
        """The device hears of it, the gateway does not: what was on its way arrives late, answers go nowhere."""
        self._world.tell("net", "half open", self.dialect)
        self._down.clear()
        self._deaf_down = True
        if self._world.chance(0.3):
            self._cut(self._up)
        self._stalled_until = self._world.now + self._world.between(0.02, 12.0)
        self._fail(TransportError(RESET))
        self._world.at(max(self._last_up, self._stalled_until) + self._world.between(0.01, 30.0), self.tell_gone)

    def half_closed(self) -> None:
        """The gateway hears of it, the device does so later, or only by the silence."""
        self._world.tell("net", "half closed", self.dialect)
        self._cut(self._up)
        self._flush_up()
        self._down.clear()
        self._deaf_down = True
        self.tell_gone()
        if self._world.chance(0.7):
            self._world.after(self._world.between(0.0, 3.0), lambda: self._fail(TransportError(RESET)))

    def swallow(self) -> None:
        """A black hole: from now on nothing arrives, and nobody is told."""
        self._world.tell("net", "black hole", self.dialect)
        self._cut(self._up)
        self._flush_up()
        self._deaf_up = self._deaf_down = True
        self._down.clear()
        self._world.after(self._world.between(1.0, 90.0), self.tell_gone)

    def stall(self) -> None:
        """Everything waits, and arrives then."""
        self._stalled_until = self._world.now + self._world.between(0.05, 5.0)
        self._world.tell("net", "stall until", f"{self._stalled_until:.3f}", self.dialect)

    def lose_answers(self) -> None:
        """What the gateway says from now on is lost; then the device hears of a reset."""
        self._world.tell("net", "answers lost", self.dialect)
        self._down.clear()
        self._deaf_down = True
        self._world.after(self._world.between(0.05, 2.0), self._reset_late)

    # --- inside ---------------------------------------------------------------------------------------------

    def _latency(self) -> float:
        return self.net.base_s * (0.5 + self._rng.random())

    def _reset_late(self) -> None:
        if self.end is None:
            self.reset()

    def _cut(self, queue: deque[tuple[float, Message]]) -> None:
        for _ in range(self._world.rng.randint(0, len(queue))):
            queue.pop()

    def _flush_up(self) -> None:
        while self._up and self.ear is not None and not self._deaf_up:
            self.ear.feed(self._up.popleft()[1])
        self._up.clear()

    def _arrive_up(self) -> None:
        if self._world.now < self._stalled_until:
            self._world.at(self._stalled_until, self._arrive_up)
        elif self._up and self.ear is not None:
            _, message = self._up.popleft()
            if not self._deaf_up:
                self.ear.feed(message)

    def _arrive_down(self) -> None:
        if self._world.now < self._stalled_until:
            self._world.at(self._stalled_until, self._arrive_down)
        elif self._down:
            _, message = self._down.popleft()
            if not self._deaf_down and self.end is None:
                self.arrived.append(message)
                self._wake()

    def _fail(self, how: TransportError) -> None:
        if self.end is None:
            self.end = how
            self._wake()


@attrs.define(eq=False)
class Network:
    """What every wire of one device has in common. `refused_until`: nothing connects; `dark_until`: nor is that told.

    `proxy` answers requests in the gateway's place, until `proxy_until`; until `refusing_until` something refuses
    batches for good in the gateway's name. `traps` go off one by one, shortly after a connection was made.
    """

    world: World
    base_s: float
    refused_until: float = 0.0
    dark_until: float = 0.0
    proxy: str = ""
    proxy_until: float = 0.0
    refusing_until: float = 0.0
    traps: list[Callable[[], None]] = attrs.field(factory=list)
    wires: list[Wire] = attrs.field(factory=list)

    def latency(self) -> float:
        """Seconds of one way, this time."""
        return self.base_s * (0.5 + self.world.rng.random())

    def open_wires(self) -> list[Wire]:
        """Those that the device believes in."""
        self.wires = [wire for wire in self.wires if wire.end is None]
        return self.wires

    def heal(self) -> None:
        """Nothing is in the way any more."""
        self.refused_until = self.dark_until = self.proxy_until = self.refusing_until = 0.0


class SimTransport:
    """The device's transport port over a network."""

    def __init__(
        self,
        world: World,
        net: Network,
        dialect: Dialect,
        connect: Callable[[Wire], str | None],
        device: TransportOwner,
    ) -> None:
        self._world = world
        self._net = net
        self._dialect: Dialect = dialect
        self._connect = connect
        self._device = device
        self._wire: Wire | None = None
        self.waits = False

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    @property
    def pending(self) -> int:
        return 0

    def open(self, timeout: float) -> None:
        self.close()
        world, net = self._world, self._net
        if world.now < max(net.refused_until, net.dark_until) and self._dialect == "socket":
            raise TransportError(f"no connection within {timeout:g} s")
        wire = Wire(world, net, self._dialect, self._ring)
        refusal = self._connect(wire)
        if refusal is not None and self._dialect == "socket":
            raise TransportError(refusal)
        self._wire = wire
        net.wires.append(wire)
        if net.traps:
            world.after(world.between(2.0, 9.0) * net.base_s + world.between(0.0, 0.05), net.traps.pop())

    def send(self, message: Message) -> None:
        wire = self._wire
        if wire is None:
            raise TransportError("there is no connection")
        if wire.end is not None:
            raise wire.end
        self._device.effect()
        world, net = self._world, self._net
        if self._dialect == "request" and world.now < net.refused_until:
            wire.end = TransportError("connection refused")
            return
        if world.now < net.dark_until:
            return
        wire.send_up(message, self._device.present)

    def receive(self, timeout: float) -> Message | None:
        self.waits = False
        wire = self._wire
        if wire is None:
            raise TransportError("there is no connection")
        if wire.arrived:
            return wire.arrived.popleft()
        if wire.end is not None:
            raise wire.end
        self.waits = timeout > 0.0
        return None

    def wake(self) -> None:
        """A wait of the device's thread ends: the device is stepped by whoever calls this."""

    def close(self) -> None:
        wire, self._wire = self._wire, None
        self.waits = False
        if wire is not None and not wire._deaf_down:
            wire.hang_up()

    def killed(self) -> None:
        """The process is gone."""
        if self._wire is not None:
            self._wire.die(now=self._world.now)
            self._wire = None

    def _ring(self) -> None:
        if self.waits:
            self._device.stir()


class TransportOwner(Protocol):
    """The device, as its transports see it."""

    @property
    def present(self) -> float:
        """The time as far as its thread is, seconds."""
        ...

    def effect(self) -> None:
        """Something leaves the process now; it may be killed just before."""
        ...

    def stir(self) -> None:
        """The thread waits no more."""
        ...
