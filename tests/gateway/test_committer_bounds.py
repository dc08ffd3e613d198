"""A committer as it is shipped: frames gather for 10 ms at most, and 50,000 points of them, or one message."""

from __future__ import annotations

import asyncio

import pytest

from plexus.gateway.committer import SMALL_MESSAGES
from tests.gateway.test_committer import Bench, bench


@pytest.mark.parametrize("messages", [1, SMALL_MESSAGES])
def test_frames_wait_for_others_for_ten_milliseconds_at_most(messages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def waited(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    async def steps(made: Bench) -> None:
        made.store.open.clear()
        blocker = made.enqueue(0.0)
        await made.entered()
        group = [made.enqueue(1.0) for _ in range(messages)]
        made.store.open.set()
        await asyncio.gather(blocker, *group)
        # The clock stands still: the next one waits for all that it may ever wait for.
        await made.enqueue(2.0)
        assert made.sizes() == [1, messages, 1]

    monkeypatch.setattr(asyncio, "sleep", waited)
    bench(steps, as_shipped=True)
    assert len(waits) == 2
    assert 0 < min(waits) <= max(waits) <= 0.010


def test_a_group_has_fifty_thousand_points_at_most() -> None:
    async def steps(made: Bench) -> None:
        made.store.open.clear()
        futures = [made.enqueue(0.0)]
        await made.entered()
        futures += [made.enqueue(*[0.0] * points) for points in (25_000, 25_000, 1)]
        made.store.open.set()
        await asyncio.gather(*futures)
        assert made.sizes() == [1, 2, 1]

    bench(steps, as_shipped=True)


def test_a_message_that_has_more_is_a_group_of_its_own() -> None:
    async def steps(made: Bench) -> None:
        made.store.open.clear()
        futures = [made.enqueue(0.0)]
        await made.entered()
        futures += [made.enqueue(1.0), made.enqueue(*[0.0] * 100_000), made.enqueue(1.0)]
        made.store.open.set()
        await asyncio.gather(*futures)
        assert made.sizes() == [1, 1, 1, 1]

    bench(steps, as_shipped=True)
