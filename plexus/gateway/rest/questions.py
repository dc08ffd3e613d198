"""Questions to the store that may be large: a few at once, a bounded number waiting, for so long, and none for a client
that has left.

An organisation's questions wait in a line of their own and the lines take turns, so that one that asks much does not
hold up another. A turn ends when the thread is done, not when the client has its answer: a question that does not stop
at once when it is cancelled keeps its place, and no more threads than turns ever run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from plexus.domain.errors import QueryError
from plexus.gateway.asgi import Disconnected, HttpError, Receive
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.ports.store import Question

T = TypeVar("T")

TOO_LONG_RETRY_S = 60
"""More than our client waits by itself: asking the same again at once would only take as long again."""


class Turns:
    """So many at once; who comes then waits, at most `waiting` of one organisation, and these take turns."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = at_once
        self._waiting = waiting
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    def take(self, org: str) -> asyncio.Future[None]:
        """A future that is done when it is this one's turn; `give_back` it in any case.

        Raises HttpError 429 when too many of the organisation's wait already.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._free > 0:
            self._free -= 1
            turn.set_result(None)
            return turn
        line = self._lines.setdefault(org, deque())
        if len(line) >= self._waiting:
            raise HttpError(
                429,
                f"{len(line)} questions of this organisation wait for an answer already; ask again when some are done",
                [(b"retry-after", b"1")],
            )
        line.append(turn)
        return turn

    def give_back(self, turn: asyncio.Future[None]) -> None:
        """It is over, or nobody waits for it any more: the next one's turn."""
        if not turn.done() or turn.cancelled():
            turn.cancel()  # `_next` passes it over
            return
        self._free += 1
        self._next()

    def _next(self) -> None:
        while self._free > 0 and self._lines:
            org = next(iter(self._lines))
            line = self._lines.pop(org)
            turn = line.popleft()
            if line:
                self._lines[org] = line  # at the end: the other organisations come first
            if not turn.done():
                self._free -= 1
                turn.set_result(None)


class Questions:
    """Asks in threads, on behalf of requests."""

    def __init__(self, limits: Limits, meters: Meters) -> None:
        self._limits = limits
        self._outcomes = meters.questions
        self._turns = Turns(limits.questions_at_once, limits.questions_waiting)
        self._threads = anyio.CapacityLimiter(limits.questions_at_once)
        self._running: set[asyncio.Future[Any]] = set()

    async def ask(self, org: str, receive: Receive, ask: Callable[[Question], T]) -> T:
        """What `ask` returns, called in a thread with the question's means to end it.

        Raises HttpError 429 when too many wait and 504 when it takes too long, Disconnected when the client (of whom
        `receive` tells) left meanwhile, and what `ask` raises.
        """
        try:
            answer = await self._ask(org, receive, ask)
        except HttpError as exc:
            self._outcomes.labels("busy" if exc.status == 429 else "time_out").inc()
            raise
        except Disconnected:
            self._outcomes.labels("left").inc()
            raise
        except QueryError:
            self._outcomes.labels("refused").inc()
            raise
        self._outcomes.labels("answered").inc()
        return answer

    async def _ask(self, org: str, receive: Receive, ask: Callable[[Question], T]) -> T:
        question = Question(self._limits.question_rows)
        deadline = asyncio.get_running_loop().time() + self._limits.question_s
        turn = self._turns.take(org)
        left = asyncio.ensure_future(client_left(receive))
        job: asyncio.Future[T] | None = None
        try:
            await self._first(turn, left, deadline)
            job = self._start(turn, question, ask)
            await self._first(job, left, deadline)
            return job.result()
        finally:
            left.cancel()
            if job is None:
                self._turns.give_back(turn)
            elif not job.done():
                question.cancel()

    def _start(self, turn: asyncio.Future[None], question: Question, ask: Callable[[Question], T]) -> asyncio.Future[T]:
        """Call it in a thread; its turn ends with it, whether anybody still waits or not."""
        job = asyncio.ensure_future(anyio.to_thread.run_sync(ask, question, limiter=self._threads))

        def done(ended: asyncio.Future[T]) -> None:
            self._running.discard(ended)
            self._turns.give_back(turn)
            if not ended.cancelled():
                ended.exception()  # seen, also when nobody asks for the answer any more

        self._running.add(job)
        job.add_done_callback(done)
        return job

    async def _first(self, wanted: asyncio.Future[T], left: asyncio.Future[None], deadline: float) -> None:
        """Return when `wanted` is done; raise when the client left or time is up before that."""
        remaining = max(0.0, deadline - asyncio.get_running_loop().time())
        either: list[asyncio.Future[Any]] = [wanted, left]
        await asyncio.wait(either, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
        if wanted.done():
            return
        if left.done():
            raise Disconnected
        raise HttpError(
            504,
            f"the question took longer than {self._limits.question_s:g} s and was ended; narrow the window, name fewer "
            "sources or metrics, or take a longer interval",
            [(b"retry-after", str(TOO_LONG_RETRY_S).encode())],
        )


async def client_left(receive: Receive) -> None:
    """Return when the client closed its connection, or an answer to it is complete."""
    while (await receive())["type"] != "http.disconnect":
        pass
