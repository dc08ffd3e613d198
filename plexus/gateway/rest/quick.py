"""Short calls (the registry, the names of a source, its latest values): a few beside each other, whatever the large
questions do, a bounded number waiting, and for so long. What may take long has lines of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from plexus.gateway.asgi import HttpError
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.gateway.rest.lines import FullError, Line, came

T = TypeVar("T")

AT_ONCE = 8
"""Threads for short calls."""


class Quick:
    """Calls in threads, on behalf of requests."""

    def __init__(self, limits: Limits, meters: Meters) -> None:
        self._line = Line(AT_ONCE, limits.quick_waiting)
        self._longest_s = limits.quick_s
        self._outcomes = meters.quick

    async def ask(self, org: str, call: Callable[[], T], *, always: bool = False) -> T:
        """What `call` returns, called in a thread; raises what it raises.

        Raises HttpError 503 when too many wait, or when its turn did not come in time: it was not called. Raises
        HttpError 504 when it takes too long: its thread goes on, and what it changes may be changed. None of these
        where it is called `always`, which is for what a request must not leave undone.
        """
        turn = self._take(org, always)
        deadline = None if always else asyncio.get_running_loop().time() + self._longest_s
        job: asyncio.Future[T] | None = None
        try:
            if not await came(turn, deadline):
                raise self._late()
            job = self._line.start(turn, call)
            if not await came(job, deadline):
                raise self._too_long()
            self._outcomes.labels("answered").inc()
            return job.result()
        finally:
            if job is None:
                self._line.turns.give_back(turn)

    def _take(self, org: str, always: bool) -> asyncio.Future[None]:
        try:
            return self._line.turns.take(org, always=always)
        except FullError as exc:
            self._outcomes.labels("busy").inc()
            raise _not_now(f"{exc.waiting} requests of this organisation wait for their turn already") from exc

    def _late(self) -> HttpError:
        self._outcomes.labels("late").inc()
        return _not_now(f"the request's turn did not come within {self._longest_s:g} s")

    def _too_long(self) -> HttpError:
        self._outcomes.labels("time_out").inc()
        return HttpError(
            504,
            f"it took longer than {self._longest_s:g} s; what the request changes may have been changed all the same: "
            "look before you ask again",
            [(b"retry-after", b"10")],
        )


def _not_now(why: str) -> HttpError:
    return HttpError(503, f"{why}; nothing was done: ask again in a moment", [(b"retry-after", b"1")])
