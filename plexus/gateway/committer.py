"""Group commit: what all connections send gathers while a commit is in flight, and is stored in one transaction.

Invariants:
- one writer thread calls `Store.commit`, nothing else ever does;
- an order of submissions is the order of commits, and of everything that follows from them;
- a submission is answered after its commit returned, and published after it was answered;
- a commit that fails fails every submission of its group, and nothing of it is answered or published;
- at most `queue_points` wait: whoever has more to submit waits for `room`, and so do the sockets behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs

from plexus.domain.errors import StoreError
from plexus.gateway.deliveries import DeliveryBook
from plexus.ports.bus import Bus
from plexus.ports.store import Receipt, Store, Submission

GROUP_POINTS = 50_000
GATHER_S = 0.004
QUEUE_POINTS = 250_000
TROUBLE_S = 2.0

logger = logging.getLogger("plexus.gateway")

_Waiting = tuple[Submission, "asyncio.Future[Receipt]"]


@attrs.define
class CommitCounters:
    """What was done since the start: commits, submissions, points stored, commits that failed."""

    commits: int = 0
    submissions: int = 0
    points: int = 0
    failures: int = 0


class Committer:
    """The one way into the store. Used on the gateway's event loop; `monotonic` is seconds.

    `gather_s` is the least time between the starts of two commits: an idle gateway commits at once, a busy one lets
    frames gather for so long (and while a commit is in flight), up to `group_points`.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        monotonic: Callable[[], float],
        *,
        group_points: int = GROUP_POINTS,
        gather_s: float = GATHER_S,
        queue_points: int = QUEUE_POINTS,
    ) -> None:
        self._store = store
        self._bus = bus
        self._monotonic = monotonic
        self._group_points = group_points
        self._gather_s = gather_s
        self._queue_points = queue_points
        self._queue: deque[_Waiting] = deque()
        self._points = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = False
        self._failed_at: float | None = None
        self._failure = ""
        self._task: asyncio.Task[None] | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plexus-writer")
        self.counters = CommitCounters()
        self.deliveries = DeliveryBook()

    def start(self) -> None:
        """Begin to commit; on the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="plexus-committer")

    async def stop(self) -> None:
        """Commit what is submitted, then end; what comes later is refused."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._writer.shutdown()

    def trouble(self) -> str | None:
        """Why data cannot be taken just now; None when the last commit succeeded or it is time to try again."""
        if self._failed_at is None or self._monotonic() >= self._failed_at + TROUBLE_S:
            return None
        return self._failure

    @property
    def waiting_points(self) -> int:
        """Points that are submitted and not yet in a commit."""
        return self._points

    async def room(self) -> None:
        """Return when the queue has room."""
        await self._room.wait()

    def enqueue(self, submission: Submission) -> asyncio.Future[Receipt]:
        """Submit without waiting; the future has the receipt, or raises StoreError. Wait for `room` before it."""
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if self._stopping:
            future.set_exception(StoreError("the gateway is shutting down; send it again to the next one"))
            return future
        self._queue.append((submission, future))
        self._points += len(submission.columns)
        if self._points >= self._queue_points:
            self._room.clear()
        self._wake.set()
        return future

    async def submit(self, submission: Submission) -> Receipt:
        """Store a submission durably; returns what became of it. Raises StoreError when it is not stored."""
        await self.room()
        return await self.enqueue(submission)

    # --- the loop -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        started_at = float("-inf")
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._gather(started_at)
            started_at = self._monotonic()
            group = self._take_group()
            submissions = [submission for submission, _ in group]
            try:
                receipts = await loop.run_in_executor(self._writer, self._store.commit, submissions)
                answers = list(zip(group, receipts, strict=True))
            except Exception as exc:  # noqa: BLE001 - whatever the store raises, the group must be answered
                self._fail(group, exc)
            else:
                self._answer(answers)

    async def _gather(self, started_at: float) -> None:
        """Let more come, when the last commit began only just now and the group is not full."""
        left = started_at + self._gather_s - self._monotonic()
        if left > 0 and self._points < self._group_points and not self._stopping:
            await asyncio.sleep(left)

    def _take_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        points = 0
        while self._queue and (not group or points + len(self._queue[0][0].columns) <= self._group_points):
            group.append(self._queue.popleft())
            points += len(group[-1][0].columns)
        self._points -= points
        if self._points < self._queue_points:
            self._room.set()
        return group

    def _answer(self, answers: Sequence[tuple[_Waiting, Receipt]]) -> None:
        if self._failed_at is not None:
            self._failed_at = None
            logger.warning("the store takes data again")
        self.counters.commits += 1
        self.counters.submissions += len(answers)
        stored: list[Submission] = []
        for (submission, future), receipt in answers:
            self.counters.points += receipt.stored
            self.deliveries.note(submission, receipt)
            if not future.done():
                future.set_result(receipt)
            if receipt.verdict == "store" and len(submission.columns):
                stored.append(submission)
        # Behind the callbacks of the futures: acknowledged first, published after.
        asyncio.get_running_loop().call_soon(self._publish, stored)

    def _publish(self, stored: Sequence[Submission]) -> None:
        for submission in stored:
            self._bus.publish(submission.org, submission.columns)

    def _fail(self, group: Sequence[_Waiting], exc: Exception) -> None:
        if isinstance(exc, StoreError):
            error = exc
        else:
            error = StoreError(f"the store failed in a way it does not name: {type(exc).__name__}")
            error.__cause__ = exc
        self.counters.failures += 1
        # Said once, not at every try of every device while the disk is full.
        if self._failed_at is None or self._failure != str(error):
            logger.error("a commit of %d messages failed, nothing of it is acknowledged: %s", len(group), error)
        self._failed_at = self._monotonic()
        self._failure = str(error)
        for _, future in group:
            if not future.done():
                future.set_exception(error)
