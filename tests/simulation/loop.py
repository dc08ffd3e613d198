"""An event loop in virtual time: what asyncio code waits for happens when the world says, on no thread."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from tests.simulation.world import World


class VirtualLoop(asyncio.AbstractEventLoop):
    """As much of a loop as the gateway asks for. Call `drain` after anything that may have moved it.

    `job_time` gives the seconds before and after a job of an executor, in which its process may be killed.
    """

    def __init__(self, world: World, job_time: Callable[[], tuple[float, float]]) -> None:
        self._world = world
        self._job_time = job_time
        self._ready: deque[asyncio.Handle] = deque()
        self._draining = False
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.dead = False
        self.failures: list[str] = []

    def drain(self) -> None:
        """Run what is ready."""
        if self._draining:
            return
        self._draining = True
        former = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            events._set_running_loop(former)
            self._draining = False

    def kill(self) -> None:
        """The process ends: every task is unwound, none goes on."""
        self.dead = True
        for _ in range(5):
            for task in [task for task in self._tasks if not task.done()]:
                task.cancel()
            self.drain()
        self._ready.clear()

    # --- asyncio's side -------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._world.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._world.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)

        def ring() -> None:
            if not handle.cancelled() and not self.dead:
                self._ready.append(handle)
                self.drain()

        self._world.at(when, ring)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, **_: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        task = asyncio.Task(coro, loop=self, name=name)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """The job is done a while from now, at one instant, and heard of a while after that."""
        future = self.create_future()
        if executor is None:
            future.set_result(func(*args))
            return future
        # An executor of somebody's own (the committer's) is there for the disk, which takes its time.
        before, after = self._job_time()

        def work() -> None:
            if self.dead:
                return
            say: Callable[[Any], None] = future.set_result
            try:
                what = func(*args)
            except Exception as exc:  # noqa: BLE001 - as an executor hands it to the future
                say, what = future.set_exception, exc
            self._world.after(after, lambda: tell(say, what))

        def tell(say: Callable[[Any], None], what: Any) -> None:
            if not self.dead and not future.done():
                say(what)
                self.drain()

        self._world.after(before, work)
        return future
