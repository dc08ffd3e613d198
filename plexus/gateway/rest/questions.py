"""Questions to the store that may be large: a few at once, a bounded number waiting, for so long, and none for a client
that has left; see `lines` for who waits how.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from plexus.domain.errors import QueryError
from plexus.gateway.asgi import Disconnected, HttpError, Receive
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.gateway.rest.lines import FullError, Line, came
from plexus.ports.store import Question

T = TypeVar("T")

TOO_LONG_RETRY_S = 60
"""More than our client waits by itself: asking the same again at once would only take as long again."""


class Questions:
    """Asks in threads, on behalf of requests."""

    def __init__(self, limits: Limits, meters: Meters) -> None:
        self._limits = limits
        self._outcomes = meters.questions
        self._line = Line(limits.questions_at_once, limits.questions_waiting)

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
        turn = self._take(org)
        left = asyncio.ensure_future(client_left(receive))
        job: asyncio.Future[T] | None = None
        try:
            if not await came(turn, deadline, left):
                raise self._too_long()
            job = self._line.start(turn, partial(ask, question))
            if not await came(job, deadline, left):
                raise self._too_long()
            return job.result()
        finally:
            left.cancel()
            if job is None:
                self._line.turns.give_back(turn)
            elif not job.done():
                question.cancel()

    def _take(self, org: str) -> asyncio.Future[None]:
        try:
            return self._line.turns.take(org)
        except FullError as exc:
            raise HttpError(
                429,
                f"{exc.waiting} questions of this organisation wait for an answer already; ask again later",
                [(b"retry-after", b"1")],
            ) from exc

    def _too_long(self) -> HttpError:
        return HttpError(
            504,
            f"the question took longer than {self._limits.question_s:g} s and was ended; narrow the window, name fewer "
            "sources or metrics, or take a longer interval",
            [(b"retry-after", str(TOO_LONG_RETRY_S).encode())],
        )


async def client_left(receive: Receive) -> None:
    """Return when the client closed its connection, or an answer to it is complete."""
    while (await receive())["type"] != "http.disconnect":
        pass
