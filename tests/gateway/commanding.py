"""Devices on clocks that the test moves, over a book that can fail, wait, and outlive them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from plexus.adapters.audit.memory import MemoryAudit
from plexus.adapters.commandbook.memory import MemoryCommandbook
from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.declaration import Declaration
from plexus.domain.errors import StoreError
from plexus.gateway.commands import Described, Devices, Order, RunOrder, Sent
from plexus.ports.commandbook import CommandEntry
from plexus.protocol import frames

T = TypeVar("T")

DECLARED = {
    "power_off": Declaration("power_off", idempotent=True, expires_in_s=30.0),
    "fire": Declaration("fire", expires_in_s=30.0),
}


class Link:
    """A device socket that notes what it is told."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.calls: list[CommandCall] = []
        self.runs: list[RunOrder] = []

    def call(self, order: Order) -> bool:
        if self.takes and isinstance(order, CommandCall):
            self.calls.append(order)
        elif self.takes and isinstance(order, RunOrder):
            self.runs.append(order)
        return self.takes


class MoodyBook(MemoryCommandbook):
    """Fails while `failure` is set, and waits between `hold` and `let_go`."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: StoreError | None = None
        self._open = threading.Event()
        self._open.set()
        self._entered = threading.Event()

    def put(self, entry: CommandEntry) -> None:
        self._entered.set()
        assert self._open.wait(10.0)
        if self.failure is not None:
            raise self.failure
        super().put(entry)

    def hold(self) -> None:
        self._open.clear()
        self._entered.clear()

    def let_go(self) -> None:
        self._open.set()

    async def entered(self) -> None:
        """Wait until somebody waits."""
        assert await asyncio.to_thread(self._entered.wait, 10.0)


class Bench:
    """The devices of one gateway; `now` is its monotonic clock in seconds, `wall_ms` the other one."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wall_ms = 1_746_969_660_000.0
        self.book = MoodyBook()
        self.audit = MemoryAudit()
        self.link = Link()
        self._loop = asyncio.new_event_loop()
        self.devices = self._devices()

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._loop.create_task(work)

    def restart(self, *, after_s: float) -> None:
        """Another gateway over the same book, so much later by the wall clock; its monotonic clock begins anew."""
        self.now = 5.0
        self.wall_ms += after_s * 1e3
        self.devices = self._devices()

    def go_on(self, seconds: float) -> None:
        """Time goes by, and the gateway looks after its commands."""
        self.now += seconds
        self.wall_ms += seconds * 1e3
        self.run(self.devices.tick())

    # --- what happens ---------------------------------------------------------------------------------------

    def join(self, link: Link, declared: Mapping[str, Declaration] | None = None, described: Described = ()) -> Link:
        async def joined() -> None:
            self.devices.joined("acme", "rig-01", link, DECLARED if declared is None else declared, described)
            await self.devices.settle()

        self.run(joined())
        return link

    def call(self, command: str, /, org: str = "acme", **params: Any) -> Sent:
        return self.run(self.devices.call(org, "rig-01", command, params, "key-1"))

    def order(self, command: str = "power_off") -> RunOrder:
        """A run on its way to `link`."""
        if not self.devices.connected("acme", "rig-01"):
            self.join(self.link)
        assert self.call(command, outlet=3).queued
        return self.link.runs[-1]

    def heard(self, said: Any, source_id: str = "rig-01") -> Sequence[frames.CommandStatusAck]:
        return self.run(self.devices.heard("acme", source_id, said, "device-key"))

    def report(self, run_id: str, seq: int, state: str, source_id: str = "rig-01", **fields: Any) -> int:
        (ack,) = self.heard(frames.CommandStatus(run_id, seq, state, **fields), source_id)
        return ack.seq

    def answer(self, run_id: str, event: str, **fields: Any) -> None:
        assert not self.heard(CommandOutcome(run_id, "reboot", event, **fields))

    # --- what is known --------------------------------------------------------------------------------------

    def entry(self, run_id: str) -> CommandEntry:
        found = self.book.find("acme", run_id)
        assert found is not None
        return found

    def trail(self) -> list[tuple[str, str, str, Mapping[str, Any]]]:
        """What is in the audit trail, oldest first."""
        found = reversed(self.audit.entries("acme"))
        return [(entry.action, entry.actor, entry.subject, entry.detail) for _number, entry in found]

    def _devices(self) -> Devices:
        return Devices(self.book, self.audit, wall_ns=lambda: round(self.wall_ms * 1e6), monotonic=lambda: self.now)
