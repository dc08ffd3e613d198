"""An uplink wired to a gateway in memory, both moved by hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.codec.json import JsonCodec
from plexus.adapters.status.memory import MemoryStatus
from plexus.adapters.transport.memory import MemoryTransport
from plexus.device.backlog import Backlog
from plexus.device.burial import Burial
from plexus.device.counters import Counters
from plexus.device.dispatch import Dispatch
from plexus.device.fitting import Fitter
from plexus.device.intake import Intake
from plexus.device.link import Link
from plexus.device.links import LinkKeeper
from plexus.device.outbox import Outbox
from plexus.device.retrying import RetryConfig
from plexus.device.rework import Rework
from plexus.device.sealer import Sealer
from plexus.device.status import StatusLine
from plexus.device.uplink import Hooks, Uplink
from plexus.device.video import VideoOutbox
from plexus.domain.errors import BufferFault, PlexusError
from plexus.domain.loss import Loss
from plexus.domain.point import Point
from plexus.domain.values import Value
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch
from plexus.protocol.device import DeviceSession, Hello
from plexus.protocol.messages import CommandWord, UplinkSession
from plexus.protocol.request import RequestSession
from tests.support.peer import KEY, Gateway, HandClock


class Died(BaseException):
    """The process ends here."""


class ListBuffer(MemoryBuffer):
    """A buffer that says it is durable, and fails when told to; what it holds outlives the rig that used it.

    `full`: it takes nothing in. `stuck`: it lets nothing go. `broken`: it does neither, and cannot be read.
    """

    def __init__(self, max_points: int = 1_000_000, *, durable: bool = True) -> None:
        super().__init__(max_points)
        self._durable = durable
        self.appends = 0
        self.closed = False
        self.broken = False
        self.full = False
        self.stuck = False
        self.reads = 0

    @property
    def kept(self) -> dict[tuple[str, int], Batch]:
        """Batches by name, in order."""
        return self._kept

    @property
    def durable(self) -> bool:
        """As the test wants it."""
        return self._durable

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        self._check_in()
        self.appends += 1
        return super().append(batches, spared)

    def oldest(self, skip: int, count: int) -> list[Batch]:
        self._check()
        self.reads += 1
        return super().oldest(skip, count)

    def rewrite(self, batches: Iterable[Batch]) -> None:
        self._check_in()
        super().rewrite(batches)

    def replace(self, old: Iterable[Batch], new: Iterable[Batch]) -> list[Batch]:
        self._check_in()
        MemoryBuffer.release(self, old)
        return super().append(new)

    def release(self, batches: Iterable[Batch]) -> None:
        self._check()
        if self.stuck:
            raise BufferFault("/spool/drone-01.db cannot grow: the disk is full")
        super().release(batches)

    def lose(self, losses: Iterable[Loss]) -> None:
        self._check_in()
        super().lose(losses)

    def declare(self, batch: Batch) -> list[Batch]:
        self._check_in()
        return super().declare(batch)

    def close(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.broken:
            raise BufferFault("/spool/drone-01.db: disk I/O error")

    def _check_in(self) -> None:
        self._check()
        if self.full:
            raise BufferFault("/spool/drone-01.db cannot grow: the disk is full")


class LetterList:
    """Dead letters in memory."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, list[Value], str, str]] = []
        self.broken = False
        self.closed = False

    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        if self.broken:
            raise BufferFault("/spool/dead.jsonl cannot grow: the disk is full")
        self.kept.append((source_id, [point.value for point in points], reason, detail))

    def close(self) -> None:
        self.closed = True


class Rig:
    """An uplink and its gateway: `step` lets both do what is due, `run` lets time pass.

    `buffer` may be handed on to another rig, as a spool to the next process.
    """

    def __init__(
        self,
        gateway: Gateway | None = None,
        buffer: ListBuffer | None = None,
        *,
        clock: HandClock | None = None,
        transport: str = "ws",
        api_key: str = KEY,
        retry: RetryConfig | None = None,
        adopted: Sequence[ListBuffer] = (),
        dice: Callable[[], float] | None = None,
        strict: bool = False,
        on_error: Callable[[PlexusError], None] | None = None,
        compact: Codec | None = None,
    ) -> None:
        self.clock = clock or HandClock()
        self.errors: list[PlexusError] = []
        self.letters = LetterList()
        self.rings = 0
        self.steps = 0
        self.wake_at = 0.0
        self.spare = ListBuffer(durable=False)
        self.gateway = gateway or Gateway()
        self.buffer = buffer if buffer is not None else ListBuffer()
        self.status = MemoryStatus()
        self.calls: list[CommandWord] = []
        self.names: list[str] = []
        self.outbox = Outbox(self._ring)
        self.video = VideoOutbox(self._ring)
        self.declared: list[dict[str, Any]] = []
        self.counters = Counters()
        self.intake = Intake(self.clock, self.counters)
        hello = Hello(api_key, "drone-01", "c9f2", "1.0", "python-sdk", self._declare)
        self._hello = hello
        wire = JsonCodec()
        new_stream: Callable[[], str] = lambda: f"{next(self.gateway.names):032x}"  # noqa: E731 - one of many parts
        rework = Rework(self.clock, wire, compact, new_stream)
        keep = [
            self._link("ws", self.gateway.socket, self._socket_session),
            self._link("http", self.gateway.http, self._request_session),
        ]
        primary, fallback = (keep[0], keep[1]) if transport == "ws" else (keep[1], None)
        self.links = LinkKeeper(primary, fallback, dice or random.Random(7).random)
        self.uplink = Uplink(
            source_id="drone-01",
            intake=self.intake,
            dispatch=Dispatch(
                self.intake,
                Sealer(wire, self.clock, self.counters, new_stream, compact),
                Fitter(wire, *([] if compact is None else [compact])),
                Backlog(
                    self.buffer, adopted, lambda: self.spare, self.counters, lambda fault: self.uplink.fault(fault)
                ),
                self.counters,
                rework=rework,
                burial=Burial(
                    self.letters,
                    rework,
                    self.counters,
                    lambda: self.uplink.source_id,
                    lambda fault: self.uplink.fault(fault),
                ),
                strict=strict,
            ),
            links=self.links,
            outbox=self.outbox,
            video=self.video,
            tally=self.counters,
            clock=self.clock,
            retry=retry or RetryConfig(jitter=False),
            status=StatusLine(self.status),
            hooks=Hooks(self.calls.append, self.names.append, on_error or self.errors.append, self._ring),
        )

    def send(self, *values: Value, metric: str = "m") -> None:
        """As `Plexus.send` does: the readings are safe when the alarm raises."""
        for value in values:
            self.intake.readings.append((metric, value, None, None, "metric", None, self.clock.tick()))
        alarm = self.intake.alarm
        if alarm is not None:
            alarm()

    def step(self) -> float:
        """Let both sides do what is due, until nothing moves at this instant."""
        next_time = self._step()
        while self.gateway.pump(self.clock):
            next_time = self._step()
        return next_time

    def _step(self) -> float:
        self.steps += 1
        self.wake_at = self.uplink.step(self.clock.now)
        return self.wake_at

    def _ring(self) -> None:
        self.rings += 1
        self.wake_at = self.clock.now

    def run(self, seconds: float) -> None:
        """Let time pass, as the thread would: from one deadline to the next."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.step()
            self.clock.advance(max(0.001, min(self.wake_at, end) - self.clock.now))
        self.step()

    def sleep(self, seconds: float) -> None:
        """Let time pass, and step only when the uplink asked for it."""
        end = self.clock.now + seconds
        while self.wake_at < end:
            self.clock.advance(max(0.001, self.wake_at - self.clock.now))
            self.step()
        self.clock.advance(max(0.0, end - self.clock.now))

    def crash(self) -> None:
        """The process dies: what is only in memory is gone, its connections break."""
        self.gateway.break_links()

    def _declare(self) -> tuple[Mapping[str, Any], ...]:
        self.outbox.greeted()
        return tuple(self.declared)

    def _link(self, name: str, transport: MemoryTransport, make: Callable[[], UplinkSession]) -> Link:
        return Link(name, transport, make, timeout_s=10.0, run=lambda dial: dial(), rang=lambda: None)

    def _socket_session(self) -> UplinkSession:
        hello = attrs.evolve(self._hello, source_id=self.uplink.source_id) if hasattr(self, "uplink") else self._hello
        return DeviceSession(hello, self.clock.tick)

    def _request_session(self) -> UplinkSession:
        return RequestSession(self._hello.api_key, self._hello.source_id, "1.0", self.clock.tick)


def connected(rig: Rig) -> Rig:
    """The same, once it has a link."""
    rig.run(0.2)
    assert rig.uplink.stats().link
    return rig


def cut_off(rig: Rig) -> Rig:
    """The same, when its links have just been lost and no other is to be had."""
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    return rig


def losses(buffer: ListBuffer) -> dict[str, int]:
    """How many points a buffer has on record as lost, by reason."""
    return {loss.reason: loss.count for loss in buffer.losses()}
