"""Lines in which requests wait for a thread: so many are worked on at once, and a bounded number waits.

An organisation's requests wait in a line of their own and the lines take turns, so that one that asks much does not
hold up another. A turn ends when the thread is done, not when the client has its answer: what does not stop at once
when nobody waits for it any more keeps its place, and no more threads than turns ever run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from plexus.gateway.asgi import Disconnected

T = TypeVar("T")


class FullError(Exception):
    """So many of the organisation (`waiting`) wait that there is no place for one more."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} wait already")
        self.waiting = waiting


class Turns:
    """So many at once; who comes then waits, at most `waiting` of one organisation, and these take turns."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = at_once
        self._waiting = waiting
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        self._running: set[asyncio.Future[Any]] = set()

    def take(self, org: str, *, always: bool = False) -> asyncio.Future[None]:
        """A future that is done when it is this one's turn; `give_back` it in any case.

        Raises FullError when too many of the organisation's wait already, unless it is to be let in `always`.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._free > 0:
            self._free -= 1
            turn.set_result(None)
            return turn
        line = self._lines.get(org, deque())
        if len(line) >= self._waiting and not always:
            raise FullError(len(line))
        line.append(turn)
        self._lines[org] = line
        return turn

    def give_back(self, turn: asyncio.Future[None]) -> None:
        """It is over, or nobody waits for it any more: the next one's turn."""
        if turn.done():
            self._free += 1
            self._next()
            return
        for org, line in self._lines.items():
            if turn in line:
                line.remove(turn)  # who left takes no place of who comes
                if not line:
                    del self._lines[org]
                return

    def ends_with(self, job: asyncio.Future[Any], turn: asyncio.Future[None]) -> None:
        """Give the turn back when the job is done, whether anybody still waits for it or not."""

        def done(ended: asyncio.Future[Any]) -> None:
            self._running.discard(ended)
            self.give_back(turn)
            if not ended.cancelled():
                ended.exception()  # seen, also when nobody asks for the answer any more

        self._running.add(job)
        job.add_done_callback(done)

    def _next(self) -> None:
        while self._free > 0 and self._lines:
            org = next(iter(self._lines))
            line = self._lines.pop(org)
            self._free -= 1
            line.popleft().set_result(None)
            if line:
                self._lines[org] = line  # at the end: the other organisations come first


class Line:
    """Turns whose work is done in threads of their own."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.turns = Turns(at_once, waiting)
        self._threads = anyio.CapacityLimiter(at_once)

    def start(self, turn: asyncio.Future[None], call: Callable[[], T]) -> asyncio.Future[T]:
        """Call it in a thread; its turn ends with it."""
        job = asyncio.ensure_future(anyio.to_thread.run_sync(call, limiter=self._threads))
        self.turns.ends_with(job, turn)
        return job


async def came(wanted: asyncio.Future[Any], deadline: float | None, left: asyncio.Future[None] | None = None) -> bool:
    """Whether it is done before the loop's time is `deadline`; raises Disconnected when the client `left` first."""
    if not wanted.done():
        remaining = None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())
        either = [wanted] if left is None else [wanted, left]
        await asyncio.wait(either, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
    if not wanted.done() and left is not None and left.done():
        raise Disconnected
    return wanted.done()
