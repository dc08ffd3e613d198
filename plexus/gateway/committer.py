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
import functools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Union

import attrs

from plexus.domain.errors import StoreError
from plexus.gateway.deliveries import DeliveryBook
from plexus.gateway.meters import Meters
from plexus.ports.bus import Bus
from plexus.ports.store import Receipt, Store, Submission

GROUP_POINTS = 50_000
GATHER_S = 0.004
GATHER_SMALL_S = 0.01
SMALL_MESSAGES, SMALL_POINTS = 32, 8
"""How many messages of how few points each (on average) make a group for which a commit costs more than they do."""

QUEUE_POINTS = 250_000
TROUBLE_S = 2.0
VERDICTS = ("store", "duplicate", "gap", "fork")
FAILED = "failed"
"""What the meters call a message that the store could not take."""

logger = logging.getLogger("plexus.gateway")

Done = Callable[[Union[Receipt, StoreError]], None]
"""Told what became of a submission, once: its receipt, or why it is not stored. It must not raise."""

_Waiting = tuple[Submission, Done, int]
"""A submission, who waits for it, and how many points it has."""


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
    frames gather for so long (and while a commit is in flight), up to `group_points`, or one message that has more.
    After a group of many small messages it is `gather_small_s`: what a fleet of slow devices costs is commits, more
    than points.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        monotonic: Callable[[], float],
        *,
        group_points: int = GROUP_POINTS,
        gather_s: float = GATHER_S,
        gather_small_s: float = GATHER_SMALL_S,
        queue_points: int = QUEUE_POINTS,
        meters: Meters | None = None,
    ) -> None:
        self._store = store
        self._bus = bus
        self._monotonic = monotonic
        self._group_points = group_points
        self._gather_s = gather_s
        self._gather_small_s = max(gather_s, gather_small_s)
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
        self._meters = meters or Meters()
        self._verdicts = {verdict: self._meters.messages.labels(verdict) for verdict in VERDICTS}
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

    @property
    def has_room(self) -> bool:
        """Whether `room` returns at once."""
        return self._room.is_set()

    async def room(self) -> None:
        """Return when the queue has room; of many that wait, those that find it full again go on waiting."""
        while not self._room.is_set():
            await self._room.wait()

    def take(self, submission: Submission, done: Done) -> None:
        """Submit without waiting; `done` is told what became of it, on the event loop. Wait for `room` before it."""
        if self._stopping:
            done(StoreError("the gateway is shutting down; send it again to the next one"))
            return
        points = len(submission.columns)
        self._queue.append((submission, done, points))
        self._points += points
        if self._points >= self._queue_points:
            self._room.clear()
        self._wake.set()

    def enqueue(self, submission: Submission) -> asyncio.Future[Receipt]:
        """The same with a future, which has the receipt, or raises StoreError."""
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.take(submission, functools.partial(_resolve, future))
        return future

    async def submit(self, submission: Submission) -> Receipt:
        """Store a submission durably; returns what became of it. Raises StoreError when it is not stored."""
        await self.room()
        return await self.enqueue(submission)

    # --- the loop -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        next_at = float("-inf")
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._gather(next_at)
            next_at = await self._commit()

    async def _commit(self) -> float:
        """Commit a group and answer it; when the next one may begin. Nothing of it is kept then."""
        started_at = self._monotonic()
        group = self._take_group()
        submissions = [submission for submission, _, _ in group]
        try:
            receipts = await asyncio.get_running_loop().run_in_executor(self._writer, self._store.commit, submissions)
            answers = list(zip(group, receipts, strict=True))
        except Exception as exc:  # noqa: BLE001 - whatever the store raises, the group must be answered
            self._fail(group, exc)
        else:
            self._meters.commits.observe(self._monotonic() - started_at)
            self._answer(answers)
        return started_at + self._gather_after(group)

    async def _gather(self, next_at: float) -> None:
        """Let more come, when the last commit began only just now and the group is not full."""
        left = next_at - self._monotonic()
        if left > 0 and self._points < self._group_points and not self._stopping:
            await asyncio.sleep(left)

    def _gather_after(self, group: Sequence[_Waiting]) -> float:
        small = len(group) >= SMALL_MESSAGES and sum(points for _, _, points in group) <= SMALL_POINTS * len(group)
        return self._gather_small_s if small else self._gather_s

    def _take_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        points = 0
        while self._queue and (not group or points + self._queue[0][2] <= self._group_points):
            group.append(self._queue.popleft())
            points += group[-1][2]
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
        points = 0
        verdicts = dict.fromkeys(VERDICTS, 0)
        for (submission, done, count), receipt in answers:
            points += receipt.stored
            verdicts[receipt.verdict] += 1
            self.deliveries.note(submission, receipt)
            done(receipt)
            if count and receipt.verdict == "store":
                stored.append(submission)
        self.counters.points += points
        self._meters.points.inc(points)
        for verdict, count in verdicts.items():
            self._verdicts[verdict].inc(count)
        # Behind what the answers set going: acknowledged first, published after.
        if stored:
            asyncio.get_running_loop().call_soon(self._publish, answers[0][1].seq, stored)

    def _publish(self, seq: int, stored: Sequence[Submission]) -> None:
        self._bus.publish(seq, [(submission.org, submission.columns) for submission in stored])

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
        self._meters.messages.labels(FAILED).inc(len(group))
        for _, done, _ in group:
            done(error)


def _resolve(future: asyncio.Future[Receipt], outcome: Receipt | StoreError) -> None:
    if future.done():
        return  # who waited for it is gone
    if isinstance(outcome, StoreError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
