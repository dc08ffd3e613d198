"""Group commit: what gathers, what is one transaction, what is answered when, and what a failure costs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from plexus.adapters.bus.memory import MemoryBus
from plexus.domain.errors import StoreError
from plexus.gateway.committer import SMALL_MESSAGES, SMALL_POINTS, TROUBLE_S, Committer
from plexus.ports.store import Receipt, Submission
from plexus.protocol.batch import BatchName
from plexus.testing.contracts.bus import columns_of
from tests.support.gateway import PATIENCE_S, MoodyStore

STREAM = "0123456789abcdef0123456789abcdef"


class Watch:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A committer over a moody store; gathering costs no time unless a test says so, or has it `as_shipped`."""

    def __init__(self, *, as_shipped: bool = False, **arguments: Any) -> None:
        self.store = MoodyStore()
        self.bus = MemoryBus()
        self.watch = Watch()
        settings = arguments if as_shipped else {"gather_s": 0.0, **arguments}
        self.committer = Committer(self.store, self.bus, self.watch, **settings)

    def enqueue(self, *values: float, batch: BatchName | None = None) -> asyncio.Future[Receipt]:
        return self.committer.enqueue(Submission("acme", "rig-01", columns_of("rig-01", *values), 1, batch))

    async def entered(self) -> None:
        """Wait until the store was asked to commit once more."""
        assert await asyncio.to_thread(self.store.entered.acquire, timeout=PATIENCE_S)

    def sizes(self) -> list[int]:
        return [len(group) for group in self.store.groups]


def bench(steps: Callable[[Bench], Awaitable[None]], **arguments: Any) -> None:
    """Run steps against a running committer."""

    async def run() -> None:
        made = Bench(**arguments)
        made.committer.start()
        try:
            await asyncio.wait_for(steps(made), PATIENCE_S)
        finally:
            made.store.open.set()
            await made.committer.stop()

    asyncio.run(run())


def test_an_idle_committer_commits_at_once() -> None:
    async def steps(made: Bench) -> None:
        receipt = await made.enqueue(1.0)
        assert (receipt.verdict, receipt.stored) == ("store", 1)

    bench(steps, gather_s=1000.0)


def test_what_comes_during_a_commit_is_the_next_group() -> None:
    async def steps(made: Bench) -> None:
        made.store.open.clear()
        first = made.enqueue(1.0)
        await made.entered()
        rest = [made.enqueue(float(value)) for value in range(5)]
        assert not any(future.done() for future in (first, *rest))
        made.store.open.set()
        await asyncio.gather(first, *rest)
        assert made.sizes() == [1, 5]

    bench(steps)


def test_a_group_is_at_most_so_many_points_and_whole_messages() -> None:
    async def steps(made: Bench) -> None:
        made.store.open.clear()
        futures = [made.enqueue(0.0)]
        await made.entered()
        futures += [made.enqueue(*[0.0] * 4) for _ in range(5)]
        futures.append(made.enqueue(*[0.0] * 25))
        made.store.open.set()
        await asyncio.gather(*futures)
        assert made.sizes() == [1, 2, 2, 1, 1]

    bench(steps, group_points=10)


def test_a_busy_committer_lets_frames_gather() -> None:
    async def steps(made: Bench) -> None:
        await made.enqueue(1.0)
        later = [made.enqueue(2.0)]
        await asyncio.sleep(0)
        later.append(made.enqueue(3.0))
        await asyncio.gather(*later)
        assert made.sizes() == [1, 2]

    bench(steps, gather_s=0.02)


class TestManySmallMessages:
    """After a group of many small messages, more gather than else."""

    async def group(self, made: Bench, count: int, *values: float) -> None:
        """Have so many messages committed together."""
        made.store.open.clear()
        first = made.enqueue(0.0)
        await made.entered()
        rest = [made.enqueue(*values) for _ in range(count)]
        made.store.open.set()
        await asyncio.gather(first, *rest)
        assert made.sizes() == [1, count]

    def test_more_of_them_gather(self) -> None:
        async def steps(made: Bench) -> None:
            await self.group(made, SMALL_MESSAGES, 1.0)
            later = [made.enqueue(2.0)]
            for _ in range(5):
                await asyncio.sleep(0)
            later.append(made.enqueue(3.0))
            await asyncio.gather(*later)
            assert made.sizes()[2:] == [2]

        bench(steps, gather_small_s=0.02)

    @pytest.mark.parametrize(("count", "points"), [(SMALL_MESSAGES - 1, 1), (SMALL_MESSAGES, SMALL_POINTS + 1)])
    def test_fewer_or_larger_ones_are_not_waited_for(self, count: int, points: int) -> None:
        async def steps(made: Bench) -> None:
            await self.group(made, count, *[1.0] * points)
            await made.enqueue(2.0)
            assert made.sizes()[2:] == [1]

        bench(steps, gather_small_s=1000.0)


def test_one_thread_of_its_own_does_all_commits() -> None:
    async def steps(made: Bench) -> None:
        for _ in range(3):
            await made.enqueue(1.0)
        assert len(made.store.threads) == 1
        assert made.store.threads.pop().startswith("plexus-writer")

    bench(steps)


def test_the_order_of_submissions_is_the_order_of_the_store() -> None:
    async def steps(made: Bench) -> None:
        await asyncio.gather(*[made.enqueue(float(value)) for value in range(50)])
        values = [value for group in made.store.groups for item in group for value in item.columns.value]
        assert values == [float(value) for value in range(50)]

    bench(steps, group_points=7)


def test_nothing_is_published_before_it_is_answered() -> None:
    async def steps(made: Bench) -> None:
        order: list[str] = []
        reader = made.bus.subscribe("acme", "rig-01")
        reading = asyncio.ensure_future(reader.get())
        reading.add_done_callback(lambda _: order.append("published"))
        made.store.open.clear()
        future = made.enqueue(1.0)
        future.add_done_callback(lambda _: order.append("answered"))
        await made.entered()
        for _ in range(10):
            await asyncio.sleep(0)
        assert order == []
        made.store.open.set()
        await asyncio.gather(future, reading)
        assert order == ["answered", "published"]

    bench(steps)


def test_only_what_is_newly_stored_is_published() -> None:
    async def steps(made: Bench) -> None:
        reader = made.bus.subscribe("acme", "rig-01")
        name = BatchName(STREAM, 1, 1, "ab")
        verdicts = [
            (await made.enqueue(1.0, batch=name)).verdict,
            (await made.enqueue(1.0, batch=name)).verdict,
            (await made.enqueue(2.0, batch=BatchName(STREAM, 1, 1, "cd"))).verdict,
            (await made.enqueue(3.0, batch=BatchName(STREAM, 5, 1, "ab"))).verdict,
            (await made.enqueue(4.0)).verdict,
        ]
        assert verdicts == ["store", "duplicate", "fork", "gap", "store"]
        assert [(await reader.get()).columns.value, (await reader.get()).columns.value] == [[1.0], [4.0]]

    bench(steps)


def test_a_repeat_in_the_same_group_is_found() -> None:
    async def steps(made: Bench) -> None:
        made.store.open.clear()
        blocker = made.enqueue(0.0)
        await made.entered()
        name = BatchName(STREAM, 1, 1, "ab")
        twins = [made.enqueue(1.0, batch=name), made.enqueue(1.0, batch=name)]
        made.store.open.set()
        await blocker
        assert [(await twin).verdict for twin in twins] == ["store", "duplicate"]
        assert made.sizes() == [1, 2]

    bench(steps)


class TestFailure:
    def test_a_failed_commit_fails_everybody_in_it_and_publishes_nothing(self) -> None:
        async def steps(made: Bench) -> None:
            reader = made.bus.subscribe("acme", "rig-01")
            made.store.full()
            made.store.open.clear()
            futures = [made.enqueue(1.0)]
            await made.entered()
            futures += [made.enqueue(2.0), made.enqueue(3.0)]
            made.store.open.set()
            failed = await asyncio.gather(*futures, return_exceptions=True)
            assert [type(failure) for failure in failed] == [StoreError] * 3
            made.store.failure = None
            await made.enqueue(4.0)
            assert (await reader.get()).columns.value == [4.0]

        bench(steps)

    def test_whatever_the_store_raises_is_a_store_error(self) -> None:
        async def steps(made: Bench) -> None:
            made.store.failure = ZeroDivisionError("inside")
            with pytest.raises(StoreError, match="ZeroDivisionError"):
                await made.enqueue(1.0)
            made.store.failure = None
            assert (await made.enqueue(1.0)).verdict == "store"

        bench(steps)

    def test_a_store_that_miscounts_its_receipts_fails_the_group_and_not_the_committer(self) -> None:
        async def steps(made: Bench) -> None:
            honest = made.store.commit
            made.store.commit = lambda group: honest(group)[1:]  # type: ignore[method-assign]
            with pytest.raises(StoreError):
                await made.enqueue(1.0)
            made.store.commit = honest  # type: ignore[method-assign]
            assert (await made.enqueue(1.0)).verdict == "store"

        bench(steps)

    def test_trouble_is_told_for_a_while_and_then_tried_again(self) -> None:
        async def steps(made: Bench) -> None:
            assert made.committer.trouble() is None
            made.store.full()
            with pytest.raises(StoreError):
                await made.enqueue(1.0)
            assert "full" in str(made.committer.trouble())
            made.watch.now += TROUBLE_S
            assert made.committer.trouble() is None

        bench(steps)

    def test_a_commit_that_succeeds_ends_the_trouble(self) -> None:
        async def steps(made: Bench) -> None:
            made.store.full()
            with pytest.raises(StoreError):
                await made.enqueue(1.0)
            made.store.failure = None
            await made.enqueue(1.0)
            assert made.committer.trouble() is None

        bench(steps)

    def test_a_full_disk_is_logged_once_and_its_end_too(self, caplog: pytest.LogCaptureFixture) -> None:
        async def steps(made: Bench) -> None:
            made.store.full()
            for _ in range(5):
                with pytest.raises(StoreError):
                    await made.enqueue(1.0)
            made.store.failure = None
            await made.enqueue(1.0)

        bench(steps)
        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]

    def test_a_submitter_that_gave_up_is_in_nobodys_way(self) -> None:
        async def steps(made: Bench) -> None:
            made.store.open.clear()
            first = made.enqueue(1.0)
            await made.entered()
            gone, stays = made.enqueue(2.0), made.enqueue(3.0)
            gone.cancel()
            made.store.open.set()
            await first
            assert (await stays).verdict == "store"

        bench(steps)


class TestRoom:
    def test_a_full_queue_has_no_room_until_it_is_shorter(self) -> None:
        async def steps(made: Bench) -> None:
            made.store.open.clear()
            first = made.enqueue(0.0)
            await made.entered()
            await made.committer.room()
            rest = [made.enqueue(*[0.0] * 10)]
            waiting = asyncio.ensure_future(made.committer.room())
            await asyncio.sleep(0)
            assert not waiting.done()
            assert made.committer.waiting_points == 10
            made.store.open.set()
            await asyncio.gather(first, *rest, waiting)
            assert made.committer.waiting_points == 0

        bench(steps, queue_points=10)

    def test_submit_waits_for_room(self) -> None:
        async def steps(made: Bench) -> None:
            made.store.open.clear()
            first = made.enqueue(0.0)
            await made.entered()
            second = made.enqueue(*[0.0] * 10)
            third = asyncio.ensure_future(
                made.committer.submit(Submission("acme", "rig-01", columns_of("rig-01", 1.0), 1))
            )
            await asyncio.sleep(0)
            assert made.committer.waiting_points == 10
            made.store.open.set()
            await asyncio.gather(first, second, third)
            assert made.sizes() == [1, 1, 1]

        bench(steps, queue_points=10)


class TestStop:
    def test_what_was_submitted_is_committed_before_it_ends(self) -> None:
        async def run() -> None:
            made = Bench(gather_s=1000.0)
            made.committer.start()
            made.store.open.clear()
            futures = [made.enqueue(1.0)]
            await made.entered()
            futures += [made.enqueue(2.0), made.enqueue(3.0)]
            stopping = asyncio.ensure_future(made.committer.stop())
            await asyncio.sleep(0)
            made.store.open.set()
            await stopping
            assert [future.result().verdict for future in futures] == ["store"] * 3

        asyncio.run(run())

    def test_what_comes_later_is_refused(self) -> None:
        async def run() -> None:
            made = Bench()
            made.committer.start()
            await made.committer.stop()
            with pytest.raises(StoreError, match="shutting down"):
                await made.enqueue(1.0)

        asyncio.run(run())

    def test_no_thread_stays_behind(self) -> None:
        async def run() -> None:
            made = Bench()
            made.committer.start()
            await made.enqueue(1.0)
            await made.committer.stop()

        asyncio.run(run())
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("plexus-writer")]


def test_it_counts_what_it_did() -> None:
    async def steps(made: Bench) -> None:
        await made.enqueue(1.0, 2.0)
        await made.enqueue(3.0)
        made.store.full()
        with pytest.raises(StoreError):
            await made.enqueue(4.0)
        counters = made.committer.counters
        assert (counters.commits, counters.submissions, counters.points, counters.failures) == (2, 2, 3, 1)

    bench(steps)
