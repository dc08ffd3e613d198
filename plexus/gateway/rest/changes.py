"""Work that rewrites much of what is stored (removing data, renaming and deleting sources): one after the other.

The store does one of them at a time, so that two turns would be no faster, and questions have turns of their own. What
has begun goes to its end, whoever asked for it: half of it is worse than all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from plexus.gateway.asgi import Disconnected, HttpError, Receive
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.gateway.rest.lines import FullError, Turns, came
from plexus.gateway.rest.questions import TOO_LONG_RETRY_S, client_left

T = TypeVar("T")

logger = logging.getLogger("plexus.gateway")


class Changes:
    """Large changes on behalf of requests; it waits and takes as long as a question may (`Limits.question_s`)."""

    def __init__(self, limits: Limits, meters: Meters) -> None:
        self._turns = Turns(1, limits.questions_waiting)
        self._longest_s = limits.question_s
        self._outcomes = meters.changes

    async def make(self, org: str, receive: Receive, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns, begun when it is its turn; raises what it raises.

        Raises HttpError 429 when too many wait, 504 when it takes too long, and Disconnected when the client (of whom
        `receive` tells) left. In the latter two nothing is changed when its turn had not come, else it goes on.
        """
        turn = self._take(org)
        deadline = asyncio.get_running_loop().time() + self._longest_s
        left = asyncio.ensure_future(client_left(receive))
        job: asyncio.Future[T] | None = None
        try:
            if not await came(turn, deadline, left):
                raise self._too_long("its turn did not come, and nothing was changed: ask again later")
            job = asyncio.ensure_future(work())
            self._turns.ends_with(job, turn)
            if not await came(job, deadline, left):
                raise self._too_long("it goes on: look again later")
            self._outcomes.labels("answered").inc()
            return job.result()
        except Disconnected:
            self._outcomes.labels("left").inc()
            raise
        finally:
            left.cancel()
            if job is None:
                self._turns.give_back(turn)
            elif not job.done():
                job.add_done_callback(_say_what_nobody_hears)

    def _take(self, org: str) -> asyncio.Future[None]:
        try:
            return self._turns.take(org)
        except FullError as exc:
            self._outcomes.labels("busy").inc()
            raise HttpError(
                429,
                f"{exc.waiting} changes of this organisation wait already; ask again when some are done",
                [(b"retry-after", b"10")],
            ) from exc

    def _too_long(self, then: str) -> HttpError:
        self._outcomes.labels("time_out").inc()
        return HttpError(
            504,
            f"the change took longer than {self._longest_s:g} s; {then}",
            [(b"retry-after", str(TOO_LONG_RETRY_S).encode())],
        )


def _say_what_nobody_hears(ended: asyncio.Future[Any]) -> None:
    if not ended.cancelled() and (fault := ended.exception()) is not None:
        logger.error("a change that its client did not wait for failed: %s", fault)
