"""Work that is written once for both clients: a generator of steps, which are done or awaited by one of two drivers.

The logic waits for nothing itself. A step that fails is thrown into the generator, so that it can say what that means.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

import attrs

from plexus.api.calls import Call

T = TypeVar("T")
S = TypeVar("S")

Steps = Generator[S, Any, T]
"""Gives steps of type S, takes what each came to, and returns a T."""


@attrs.frozen
class Ask:
    """Ask this and give back the answer."""

    call: Call[Any]


def drive(steps: Steps[S, T], do: Callable[[S], Any]) -> T:
    """Do the steps; returns what they come to."""
    try:
        step = next(steps)
        while True:
            try:
                done = do(step)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the steps say what it means
                step = steps.throw(exc)
            else:
                step = steps.send(done)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


async def drive_async(steps: Steps[S, T], do: Callable[[S], Awaitable[Any]]) -> T:
    """Await the steps; returns what they come to."""
    try:
        step = next(steps)
        while True:
            try:
                done = await do(step)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the steps say what it means
                step = steps.throw(exc)
            else:
                step = steps.send(done)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()
