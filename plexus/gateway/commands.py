"""Commands on their way to devices, and what became of them.

A command whose name the device declared under protocol 1 becomes a run: it has an id, a time until which it is worth
doing, and a last state. Any other becomes a call of 0.5.2.

Invariants:
- a command is in the book and in the audit trail before it is sent; what cannot be kept is not sent;
- what a device says of a run is acknowledged once it is in the book;
- a run that its device did not acknowledge is sent again when the device is back, under its own id, if that is harmless
  (`idempotent`) and it has not expired; after a restart of the gateway too. Nothing else is ever sent again;
- a command that its device did not acknowledge in time is `expired`. The time is counted by the monotonic clock, and
  over a restart by the wall clock; where that went back meanwhile nobody knows, and it counts as over.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar, Union

import attrs

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.declaration import Declaration
from plexus.domain.errors import StoreError
from plexus.gateway import commandstates
from plexus.gateway.asgi import HttpError
from plexus.gateway.commandstates import CALL_WAIT_S, Change
from plexus.ports.audit import LOCAL, Audit, AuditEntry
from plexus.ports.commandbook import ENDED, Commandbook, CommandEntry, State, Step
from plexus.protocol import frames

WAITING_AT_ONCE = 1_000
"""Commands of one source that are not acknowledged; above it, more are refused."""
SYNCED_AT_ONCE = 2_048
"""Runs of one sync that are looked up; our own client remembers half of it."""

NS_PER_MS = 1_000_000

T = TypeVar("T")

logger = logging.getLogger("plexus.gateway")

_Device = tuple[str, str]
"""`(org, source_id)`."""

NO_TYPED_COMMANDS: Mapping[str, Declaration] = {}
Described = Sequence[Mapping[str, Any]]
"""Commands as a device without protocol 1 describes them for people."""


@attrs.frozen
class RunOrder:
    """A run to be sent, and the monotonic second after which it is not worth doing."""

    asked: frames.CommandRun
    deadline: float

    def at(self, now: float) -> frames.CommandRun:
        """The frame, as it is to be sent at `now`: with what remains."""
        return attrs.evolve(self.asked, ttl_ms=max(0, round((self.deadline - now) * 1000.0)))


Order = Union[CommandCall, RunOrder]


class DeviceLink(Protocol):
    """An open device socket, as far as commands are concerned."""

    def call(self, order: Order) -> bool:
        """Put a command on its way; False when the socket takes no more."""
        ...


@attrs.frozen
class Sent:
    """What became of an order: whether it is on its way, and the id under which the device answers."""

    queued: bool
    run_id: str


@attrs.frozen
class _Joined:
    link: DeviceLink
    declared: Mapping[str, Declaration]
    described: Described


@attrs.define
class _Waiting:
    """A command that its device has not acknowledged, and when it expires, monotonic seconds."""

    entry: CommandEntry
    deadline: float

    def order(self) -> Order:
        entry = self.entry
        if entry.kind == "call":
            return CommandCall(entry.run_id, entry.command, entry.params)
        asked = frames.CommandRun(entry.run_id, entry.command, entry.params, attempt=entry.attempts)
        return RunOrder(asked, self.deadline)


class Devices:
    """The devices that are connected, and the way of commands to them; a source's newest socket gets the call.

    Used on the gateway's event loop; the book and the trail are written in a thread, one change after the other.
    `wall_ns` is nanoseconds since 1970 UTC, `monotonic` seconds. Raises StoreError when the book cannot be read.
    """

    def __init__(
        self,
        book: Commandbook,
        audit: Audit,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.book = book
        self._audit = audit
        self._wall_ns = wall_ns
        self._monotonic = monotonic
        self._links: dict[_Device, list[_Joined]] = {}
        self._waiting: dict[_Device, dict[str, _Waiting]] = {}
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._restore()

    def _restore(self) -> None:
        now, wall_ms = self._monotonic(), self._wall_ms()
        queued = self.book.queued()
        went_back = any(wall_ms < entry.changed_ms for entry in queued)
        for entry in queued:
            left_s = 0.0 if went_back else max(0.0, (entry.expires_ms - wall_ms) / 1e3)
            self._wait_for(_Waiting(entry, now + left_s))

    # --- who is there ---------------------------------------------------------------------------------------

    def joined(
        self,
        org: str,
        source_id: str,
        link: DeviceLink,
        declared: Mapping[str, Declaration] = NO_TYPED_COMMANDS,
        described: Described = (),
    ) -> None:
        """A device is authenticated; `declared` are its typed commands. What it may not have got is sent again."""
        self._links.setdefault((org, source_id), []).append(_Joined(link, declared, described))
        now = self._monotonic()
        for waiting in list(self._waiting.get((org, source_id), {}).values()):
            declaration = declared.get(waiting.entry.command)
            harmless = declaration is not None and declaration.idempotent and waiting.entry.kind == "run"
            if harmless and now < waiting.deadline:
                self._send_again(waiting, link)

    def left(self, org: str, source_id: str, link: DeviceLink) -> None:
        """Its socket is gone."""
        links = [each for each in self._links.get((org, source_id), ()) if each.link is not link]
        if links:
            self._links[org, source_id] = links
        else:
            self._links.pop((org, source_id), None)

    def connected(self, org: str, source_id: str) -> bool:
        """Whether the source has an open socket."""
        return (org, source_id) in self._links

    def declared(self, org: str, source_id: str) -> tuple[Sequence[Declaration], Described]:
        """What the source's newest socket declares: typed commands, and descriptions of others; none when offline."""
        links = self._links.get((org, source_id))
        return (list(links[-1].declared.values()), links[-1].described) if links else ([], ())

    # --- orders ---------------------------------------------------------------------------------------------

    async def call(self, org: str, source_id: str, command: str, params: Mapping[str, Any], actor: str = LOCAL) -> Sent:
        """Send a command to a device, as a run where it declared it so; not queued when the device is offline.

        Raises HttpError 429 when too many of the source's wait already, and StoreError when it cannot be kept.
        """
        if len(self._waiting.get((org, source_id), ())) >= WAITING_AT_ONCE:
            detail = f"{WAITING_AT_ONCE} commands wait for {source_id}: wait until it has them, or they expire"
            raise HttpError(429, detail, [(b"retry-after", b"5")])
        return await self._to_its_end(self._call(org, source_id, command, params, actor))

    async def _call(self, org: str, source_id: str, command: str, params: Mapping[str, Any], actor: str) -> Sent:
        links = self._links.get((org, source_id))
        declaration = links[-1].declared.get(command) if links else None
        wait_s = CALL_WAIT_S if declaration is None else declaration.expires_in_s
        deadline, asked_ms = self._monotonic() + wait_s, self._wall_ms()
        state: State = "queued" if links else "offline"
        entry = CommandEntry(
            org=org,
            source_id=source_id,
            run_id=secrets.token_hex(16),
            command=command,
            params=params,
            kind="call" if declaration is None else "run",
            actor=actor,
            asked_ms=asked_ms,
            expires_ms=asked_ms + wait_s * 1e3,
            state=state,
            attempts=1 if links else 0,
            steps=(Step(asked_ms, state),),
        )
        await self._in_turn(functools.partial(self._ask, entry))
        queued = bool(links) and self._send(_Waiting(entry, deadline))
        if links and not queued:
            await self._amend(entry, commandstates.never_sent(asked_ms), LOCAL)
        logger.info("command %s (%s) for %s: %s", command, entry.run_id, source_id, "queued" if queued else "offline")
        return Sent(queued, entry.run_id)

    def _send(self, waiting: _Waiting) -> bool:
        """Hand it to the newest socket that takes it as what it is kept as: the device may have come anew meanwhile."""
        entry, order = waiting.entry, waiting.order()
        for joined in reversed(self._links.get((entry.org, entry.source_id), ())):
            is_typed = entry.command in joined.declared
            if is_typed == (entry.kind == "run") and joined.link.call(order):
                self._wait_for(waiting)
                return True
        return False

    def _send_again(self, waiting: _Waiting, link: DeviceLink) -> None:
        entry, now_ms = waiting.entry, self._wall_ms()
        waiting.entry = attrs.evolve(entry, attempts=entry.attempts + 1)
        if link.call(waiting.order()):
            self._begin(self._note(entry, commandstates.sent_again(waiting.entry.attempts, now_ms), LOCAL))

    def _wait_for(self, waiting: _Waiting) -> None:
        entry = waiting.entry
        self._waiting.setdefault((entry.org, entry.source_id), {})[entry.run_id] = waiting

    # --- what devices say -----------------------------------------------------------------------------------

    async def heard(
        self,
        org: str,
        source_id: str,
        said: CommandOutcome | frames.CommandStatus | frames.CommandSync,
        actor: str = LOCAL,
    ) -> Sequence[frames.CommandStatusAck]:
        """A device said something of its commands, with the key `actor`: what to answer, once it is kept.

        What cannot be kept is not answered, and a device of protocol 1 says it again over its next connection.
        """
        try:
            if isinstance(said, frames.CommandStatus):
                return [await self._reported(org, source_id, said, actor)]
            if isinstance(said, frames.CommandSync):
                return await self._synced(org, source_id, said)
            await self._answered(org, source_id, said, actor)
        except StoreError as exc:
            logger.error("what %s said of a command is not kept: %s", source_id, exc)  # noqa: TRY400 - it says it all
        return ()

    async def _reported(
        self, org: str, source_id: str, status: frames.CommandStatus, actor: str
    ) -> frames.CommandStatusAck:
        self._let_go(org, source_id, status.run_id)
        change = commandstates.reported(status, self._wall_ms())
        known = await self._change(org, source_id, status.run_id, change, actor)
        why = f": {status.error_code}: {status.error_message}" if status.error_code else ""
        whose = "" if known is not None else " (which is not in the book)"
        logger.info("run %.64s on %s%s: %.64s%.2000s", status.run_id, source_id, whose, status.state, why)
        return frames.CommandStatusAck(status.run_id, status.seq if known is None else max(known.seq, status.seq))

    async def _answered(self, org: str, source_id: str, outcome: CommandOutcome, actor: str) -> None:
        self._let_go(org, source_id, outcome.call_id)
        await self._change(org, source_id, outcome.call_id, commandstates.answered(outcome, self._wall_ms()), actor)
        why = f": {outcome.error}" if outcome.error else ""
        told = (outcome.command, outcome.call_id, source_id, outcome.event, why)
        logger.info("command %.128s (%.64s) on %s: %.64s%.2000s", *told)

    async def _synced(self, org: str, source_id: str, sync: frames.CommandSync) -> Sequence[frames.CommandStatusAck]:
        def look_up() -> list[frames.CommandStatusAck]:
            found = [self.book.find(org, each.run_id, source_id) for each in sync.runs[:SYNCED_AT_ONCE]]
            return [
                frames.CommandStatusAck(entry.run_id, entry.seq) for entry in found if entry is not None and entry.seq
            ]

        return await asyncio.to_thread(look_up)

    def moved(self, org: str, source_id: str, new: str | None) -> None:
        """A source has another name now, or is gone (None): what waits goes with it. The book is others' work."""
        waiting = self._waiting.pop((org, source_id), {})
        if new is not None:
            for each in waiting.values():
                each.entry = attrs.evolve(each.entry, source_id=new)
                self._wait_for(each)

    # --- time -----------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """What was not acknowledged in time is expired; to be called every second or so, and before it is looked at."""
        now = self._monotonic()
        due = [
            waiting for of_device in self._waiting.values() for waiting in of_device.values() if now >= waiting.deadline
        ]
        for waiting in due:
            entry = waiting.entry
            self._let_go(entry.org, entry.source_id, entry.run_id)
            try:
                await self._amend(entry, commandstates.expired(self._wall_ms()), LOCAL)
            except StoreError as exc:
                logger.error("an expired command cannot be kept: %s", exc)  # noqa: TRY400 - the message says it all
                self._wait_for(waiting)
                return
            logger.info("command %s (%s) for %s: expired", entry.command, entry.run_id, entry.source_id)

    async def settle(self) -> None:
        """Return when everything that happened so far is in the book."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- the book -------------------------------------------------------------------------------------------

    def _ask(self, entry: CommandEntry) -> None:
        detail = {"run_id": entry.run_id, "command": entry.command, "kind": entry.kind}
        self._audit.record(AuditEntry(entry.asked_ms, entry.org, entry.actor, "command.send", entry.source_id, detail))
        self.book.put(entry)
        if entry.state in ENDED:
            self._ended(entry, LOCAL)

    async def _amend(self, entry: CommandEntry, change: Change, actor: str) -> None:
        await self._change(entry.org, entry.source_id, entry.run_id, change, actor)

    async def _note(self, entry: CommandEntry, change: Change, actor: str) -> None:
        try:
            await self._amend(entry, change, actor)
        except StoreError as exc:
            logger.error("what became of a command cannot be kept: %s", exc)  # noqa: TRY400 - the message says it all

    async def _change(self, org: str, source_id: str, run_id: str, change: Change, actor: str) -> CommandEntry | None:
        """Change the entry as it is in the book; what is in it then. None when there is none."""

        def in_book() -> CommandEntry | None:
            known = self.book.find(org, run_id, source_id)
            if known is None or (now := change(known)) is known:
                return known
            if now.state in ENDED and now.state != known.state:
                self._ended(now, actor)
            self.book.put(now)
            return now

        return await self._in_turn(in_book)

    def _ended(self, entry: CommandEntry, actor: str) -> None:
        detail = {"run_id": entry.run_id, "command": entry.command, "state": entry.state}
        if entry.error_code is not None:
            detail["error_code"] = entry.error_code
        self._audit.record(AuditEntry(entry.changed_ms, entry.org, actor, "command.end", entry.source_id, detail))

    async def _in_turn(self, work: Callable[[], T]) -> T:
        """Do it in a thread, when what came before is done."""

        async def run() -> T:
            async with self._turn:
                return await asyncio.to_thread(work)

        return await self._to_its_end(run())

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it; it is done also when whoever waits goes away, since half of it would be an untruth."""
        return await asyncio.shield(self._begin(work))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # so that one nobody waits for any more is not called unheard

    def _let_go(self, org: str, source_id: str, run_id: str) -> None:
        waiting = self._waiting.get((org, source_id))
        if waiting is not None and waiting.pop(run_id, None) is not None and not waiting:
            del self._waiting[org, source_id]

    def _wall_ms(self) -> float:
        return self._wall_ns() / NS_PER_MS
