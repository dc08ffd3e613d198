"""Waiting for so long and no longer, without losing what came or being told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(work: Coroutine[Any, Any, T], timeout: float) -> T:
    """What `work` returns; asyncio.TimeoutError when that takes more than `timeout` seconds, and it is cancelled then.

    `asyncio.wait_for` of Python 3.10 and 3.11 swallows a cancellation that comes in the moment in which `work` is done,
    and whoever cancelled waits for ever.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # it was looked at, whether or not anybody is there to be told
    if task.cancelled():
        raise asyncio.TimeoutError
    # Also what came while it was being cancelled.
    return task.result()
