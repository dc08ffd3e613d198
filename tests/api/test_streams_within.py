"""Waiting with an end: what came is had, what did not is a time-out, and a cancellation is never swallowed."""

from __future__ import annotations

import asyncio

import pytest

from plexus.api.streams.within import within


def test_what_is_done_in_time_is_returned_and_what_fails_raises() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> int:
        raise OSError("broken")

    assert asyncio.run(within(answer(), 10.0)) == 7
    with pytest.raises(OSError, match="broken"):
        asyncio.run(within(fail(), 10.0))


def test_what_takes_too_long_is_cancelled_before_the_time_out_is_told() -> None:
    ended: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def story() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await within(linger(), 0.0)
        assert ended == ["cancelled"]

    asyncio.run(story())


def test_a_cancellation_that_meets_the_end_of_the_work_is_heard() -> None:
    async def story() -> None:
        came = asyncio.Event()
        waiting = asyncio.ensure_future(within(came.wait(), 10.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # both wait now: it for its work, and that for the event
        came.set()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(story())


def test_what_comes_while_it_is_being_cancelled_is_not_lost() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "it came after all"
        raise AssertionError

    assert asyncio.run(within(stubborn(), 0.0)) == "it came after all"
