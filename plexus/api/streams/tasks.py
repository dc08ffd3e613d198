"""The awaited shell's inside: one task a source carries out the steps of its core and fills the shelf. No threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from plexus.api.streams import steps
from plexus.api.streams.asyncsocket import AsyncSocket
from plexus.api.streams.plans import Plan
from plexus.api.streams.shelf import Entry
from plexus.api.streams.steps import Step, Steps
from plexus.api.streams.watcher import watch
from plexus.api.streams.within import within
from plexus.domain.errors import PlexusError, TransportError
from plexus.domain.live import StreamNotice

if TYPE_CHECKING:
    from plexus.api.asynclink import AsyncLink

T = TypeVar("T")

AsyncPause = Callable[[float], Awaitable[object]]

WATCHER = ""
"""The name of the task that looks which sources there are; no source is called so."""


class AsyncHub(Generic[T]):
    """What the tasks of one stream share, on one event loop: the shelf, who works, and what went wrong."""

    def __init__(self, link: AsyncLink, plan: Plan[T], pause: AsyncPause | None) -> None:
        self.closed = False
        self.reconnects = 0
        self.link = link
        self.pause = pause or asyncio.sleep
        self.shelf = plan.shelf()
        self._plan = plan
        self._begun = False
        self._failure: Exception | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._connecting: set[str] = set()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    # --- the consumer's side ----------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Start to follow, once, and wait until each source is connected; raises what keeps one from it."""
        if self._begun or self.closed:
            return
        self._begun = True
        if self._plan.source_ids is None:
            self._start(WATCHER, watch(self._plan.since_ms, self._plan.clocks.wall_ms))
        for source_id in self._plan.source_ids or ():
            self.follow(source_id, self._plan.since_ms)
        while self._connecting and self._failure is None and not self.closed:
            await self._change()
        if self._connecting and self._failure is not None:
            self._end()

    async def take(self, timeout: float | None) -> Entry[T] | None:
        """The next entry; None when none came in time, or none will come. Raises what ended the stream, once."""
        if timeout is None:
            await self._until_something()
        elif not self._something:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._until_something(), timeout)
        if self.closed:
            return None
        if self.shelf.empty:
            if self._failure is not None or not self._tasks:
                self._end()
            return None
        return self.ready()

    def ready(self) -> Entry[T] | None:
        """The next entry if there is one; nothing is waited for."""
        if self.closed or self.shelf.empty:
            return None
        entry = self.shelf.take()
        if self.shelf.half_empty:
            self._room.set()
        return entry

    async def close(self) -> None:
        """End all tasks. Never raises."""
        self.closed = True
        self._stir()
        tasks = [task for task in self._tasks.values() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _something(self) -> bool:
        return not self.shelf.empty or self.closed or self._failure is not None or not self._tasks

    async def _until_something(self) -> None:
        while not self._something:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _stir(self) -> None:
        self._changed.set()
        self._room.set()

    def _end(self) -> None:
        """All that came is taken and nothing follows: say why, once."""
        self.closed = True
        self._stir()
        for task in self._tasks.values():
            task.cancel()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    # --- the workers' side ------------------------------------------------------------------------------------

    def follow(self, source_id: str, since_ms: float | None) -> None:
        """Begin to follow a source."""
        self._start(source_id, self._plan.steps(source_id, since_ms))

    def leave(self, source_id: str) -> None:
        """Follow a source no longer."""
        task = self._tasks.get(source_id)
        if task is not None:
            task.cancel()

    def settled(self, name: str, *, again: bool = False) -> None:
        """A worker is connected, or has looked for the first time."""
        self._connecting.discard(name)
        self.reconnects += again
        self._changed.set()

    def ended(self, name: str, failure: Exception | None) -> None:
        """A worker has nothing more to do."""
        self._tasks.pop(name, None)
        self._failure = self._failure or failure
        if failure is None:
            self._connecting.discard(name)
        self._changed.set()

    async def offer(self, items: Any, keep: bool) -> None:
        """Put items on the shelf, waiting for room where that is the policy."""
        while items and not self.closed:
            items = self.shelf.offer(items, keep=keep)
            self._changed.set()
            while items and not self.shelf.half_empty and not self.closed:
                self._room.clear()
                await self._room.wait()

    def say(self, word: Any) -> None:
        """Put a word on the shelf."""
        self.shelf.say(word)
        self._changed.set()

    def _start(self, name: str, core: Steps[None]) -> None:
        self._connecting.add(name)
        worker = AsyncWorker(self, name, core)
        self._tasks[name] = asyncio.get_running_loop().create_task(worker.run(), name=f"plexus-stream-{name}")


class AsyncWorker(Generic[T]):
    """Carries out one core's steps in a task."""

    def __init__(self, hub: AsyncHub[T], name: str, core: Steps[None]) -> None:
        self._hub = hub
        self._name = name
        self._core = core
        self._socket: AsyncSocket | None = None
        self._lost = False

    async def run(self) -> None:
        """Until the core is at its end, or the task is cancelled."""
        failure: Exception | None = None
        try:
            await self._carry_out()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the consumer is told
            failure = exc
        finally:
            self._core.close()
            try:
                await self._hang_up()
            finally:
                self._hub.ended(self._name, failure)

    async def _carry_out(self) -> None:
        try:
            step: Step = next(self._core)
            while not self._hub.closed:
                try:
                    outcome = await self._done(step)
                except PlexusError as exc:
                    step = self._core.throw(exc)
                else:
                    step = self._core.send(outcome)
        except StopIteration:
            return

    async def _done(self, step: Step) -> Any:
        """What waits is awaited here, in the order of how often it comes; the rest is done at once."""
        if isinstance(step, steps.Receive):
            return await self._open_socket().receive(step.timeout_s)
        if isinstance(step, steps.Deliver):
            return await self._hub.offer(step.items, step.keep)
        if isinstance(step, steps.Ask):
            return await self._hub.link.ask(step.call)
        if isinstance(step, steps.Connect):
            return await self._connect(step)
        if isinstance(step, steps.HangUp):
            return await self._hang_up()
        if isinstance(step, steps.Pause):
            # Who looks for sources has looked; nobody else pauses before being connected.
            self._hub.settled(self._name)
            return await self._hub.pause(step.seconds)
        return self._at_once(step)

    def _at_once(self, step: Step) -> None:
        if isinstance(step, steps.Tell):
            self._tell(step.notice)
        elif isinstance(step, steps.Complain):
            self._hub.say(step.error)
        elif isinstance(step, steps.Follow):
            self._hub.follow(step.source_id, step.since_ms)
        elif isinstance(step, steps.Leave):
            self._hub.leave(step.source_id)

    async def _connect(self, step: steps.Connect) -> None:
        url, hello = self._hub.link.stream_target(step.request)
        self._socket = AsyncSocket(url, self._hub.link.timeout)
        await self._socket.open(hello)

    def _open_socket(self) -> AsyncSocket:
        if self._socket is None:
            raise TransportError("the stream was closed on this side")
        return self._socket

    async def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    def _tell(self, told: StreamNotice) -> None:
        notice = attrs.evolve(told, source_id=self._name)
        self._hub.say(notice)
        if notice.state == "connected":
            self._hub.settled(self._name, again=self._lost)
        self._lost = notice.state == "lost" or (self._lost and notice.state != "connected")
