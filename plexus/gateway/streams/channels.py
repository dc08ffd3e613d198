"""Channels: what is committed of a source, once for all of its readers, and kept for those who come back.

A channel is there while somebody reads its source and `keep_s` longer, so that a short absence costs nothing. What all
channels keep together is bounded by bytes; one that keeps more than its share lets go of its oldest.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
import orjson

from plexus.domain.values import Value
from plexus.gateway.meters import Meters
from plexus.gateway.streams import cursors
from plexus.gateway.streams.asking import Asked
from plexus.gateway.streams.cursors import Place
from plexus.gateway.streams.reading import Reader
from plexus.gateway.streams.rendering import Renderer
from plexus.gateway.streams.writing import Frame
from plexus.ports.bus import Bus, Published, Subscription
from plexus.ports.store import Store

SLICE = 64
"""Frames that are written before others have a turn on the event loop: less than a millisecond."""

REPLAY_POINTS = 10_000
"""What is asked of the store at once for a reader who was away for long."""

REPLAYS = 2
"""Questions of that kind beside each other."""

POINT_BYTES = 150
"""What a point costs in memory beside its value's text."""

logger = logging.getLogger("plexus.gateway")


@attrs.frozen
class Replay:
    """A stretch of a source's commits; `next_seq` is where to go on."""

    commits: tuple[Published, ...]
    next_seq: int


@attrs.define
class Budget:
    """Bytes that all channels keep together."""

    used: int = 0


class Channel:
    """One source's live points."""

    def __init__(self, subscription: Subscription, renderer: Renderer, start: Place, budget: Budget) -> None:
        self.renderer = renderer
        self.readers: dict[Asked, set[Reader]] = {}
        self.users = 0
        self.cost = 0
        self.start = start
        """It keeps, or will hear of, everything from this place on."""
        self.busy = False
        """Whether a commit is on its way to the readers."""
        self._subscription = subscription
        self._budget = budget
        self._missed = 0
        self._kept: deque[tuple[Published, int]] = deque()
        self._written = 0

    @property
    def settled(self) -> bool:
        """Whether everything that was published was offered to the readers."""
        return not self.busy and not self._subscription.waiting

    def holds(self, place: Place) -> bool:
        """Whether everything from this place on is kept or still to come."""
        return place >= self.start

    def join(self, reader: Reader, place: Place, greeting: Frame | None = None) -> None:
        """Give `reader` what is kept from a place on that the channel holds, and all that comes."""
        seq, row = place
        replay = [
            (self.renderer, published, row if published.seq == seq else 0)
            for published, _ in self._kept
            if published.seq >= seq
        ]
        reader.begin(self._kept[-1][0].seq + 1 if replay else seq, replay, greeting)
        self.readers.setdefault(reader.asked, set()).add(reader)

    def fail(self) -> None:
        """It cannot go on: end with its readers."""
        for readers in self.readers.values():
            for reader in readers:
                reader.fail()
        self.close()

    def leave(self, reader: Reader) -> None:
        """No more for this one."""
        same = self.readers.get(reader.asked, set())
        same.discard(reader)
        if not same:
            self.readers.pop(reader.asked, None)

    async def run(self, on_kept: Callable[[Channel], None]) -> None:
        """Take what is published until cancelled; `on_kept` when more is kept."""
        while True:
            published = await self._subscription.get()
            self.busy = True
            self._note_missed(published.seq)
            self._keep(published)
            on_kept(self)
            await self._fan_out(published)
            self.busy = False

    def close(self) -> None:
        """No more of the source."""
        self._subscription.close()
        self.shrink(0)

    def shrink(self, share: int) -> None:
        """Keep at most `share` bytes: the oldest go."""
        while self.cost > share:
            published, cost = self._kept.popleft()
            self.start = max(self.start, (published.seq + 1, 0))
            self._charge(-cost)

    def forget(self, place: Place) -> None:
        """What was before this place is no longer what the channel kept or missed of it."""
        self.shrink(0)
        self.start = max(self.start, place)

    def _note_missed(self, seq: int) -> None:
        count = self._subscription.missed - self._missed
        if not count:
            return
        self._missed += count
        for readers in self.readers.values():
            for reader in readers:
                reader.missed(count)
        self.forget((seq, 0))

    def _keep(self, published: Published) -> None:
        cost = _cost(published)
        self._kept.append((published, cost))
        self._charge(cost)

    def _charge(self, cost: int) -> None:
        self.cost += cost
        self._budget.used += cost

    async def _fan_out(self, published: Published) -> None:
        for asked, readers in list(self.readers.items()):
            there = tuple(readers)
            for frame in self.renderer.frames(published, asked):
                for reader in there:
                    reader.offer(published.seq, frame)
                    self._written += 1
                    if self._written % SLICE == 0:
                        await asyncio.sleep(0)
                if frame.points > 1:
                    await asyncio.sleep(0)


class Channels:
    """Every channel of the gateway. Used on its event loop.

    `alert` is asked with org, source, metric and value; `keep_bytes` bounds what all channels keep, `keep_s` says how
    long a channel without readers goes on.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        *,
        keep_bytes: int,
        keep_s: float,
        alert: Callable[[str, str, str, Value], int],
        meters: Meters,
    ) -> None:
        head = store.head()
        self.log = head.log
        self._first_head = head.seq
        self._store = store
        self._bus = bus
        self._alert = alert
        self._outcomes = meters.replays
        self._keep_bytes = keep_bytes
        self._keep_s = keep_s
        self._budget = Budget()
        self._open: dict[tuple[str, str], Channel] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._leaving: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._replays: dict[tuple[str, str, int], asyncio.Task[Replay | None]] = {}
        self._turns = asyncio.Semaphore(REPLAYS)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def now(self) -> Place:
        """The place after everything that was published."""
        return max(self._bus.head, self._first_head) + 1, 0

    def cursor(self, place: Place) -> str:
        """A place as a reader is told it."""
        return cursors.write(self.log, place)

    def enter(self, org: str, source_id: str) -> Channel:
        """The channel of a source; to be left again."""
        name = (org, source_id)
        channel = self._open.get(name)
        if channel is None:
            renderer = Renderer(self.log, functools.partial(self._alert, org))
            channel = Channel(self._bus.subscribe(org, source_id), renderer, self.now, self._budget)
            self._open[name] = channel
            self._tasks[name] = asyncio.get_running_loop().create_task(self._tend(name, channel))
        waiting = self._leaving.pop(name, None)
        if waiting is not None:
            waiting.cancel()
        channel.users += 1
        return channel

    def leave(self, org: str, source_id: str, channel: Channel) -> None:
        """A user of the channel is gone; when it was the last one, the channel goes on for a while."""
        channel.users -= 1
        name = (org, source_id)
        if not channel.users and self._open.get(name) is channel:
            self._leaving[name] = asyncio.get_running_loop().call_later(self._keep_s, self._forget, name)

    def let_go(self, org: str, source_id: str) -> None:
        """Some of a source's points were removed: keep none of them here, so that who comes back asks the store."""
        channel = self._open.get((org, source_id))
        if channel is not None:
            channel.shrink(0)

    def moved(self, org: str, *source_ids: str) -> None:
        """These names are no longer those of the sources that had them: who comes back asks the store what was before.

        A reader of a name that a source got only now has heard nothing of what that was called by then.
        """
        for source_id in source_ids:
            channel = self._open.get((org, source_id))
            if channel is not None:
                channel.forget(self.now)

    async def replay(self, org: str, source_id: str, first: int) -> Replay | None:
        """A stretch of a source's commits from number `first` on, from the store; None when they are not kept so long.

        Readers who ask for the same at the same time are answered by one question. Raises StoreError.
        """
        name = (org, source_id, first)
        task = self._replays.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(*name))
            self._replays[name] = task
            task.add_done_callback(lambda _: self._replays.pop(name, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """The gateway ends: let go of everything."""
        for timer in self._leaving.values():
            timer.cancel()
        tasks: list[asyncio.Task[Any]] = [*self._tasks.values(), *self._replays.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in self._open.values():
            channel.close()
        self._open.clear()
        self._tasks.clear()
        self._leaving.clear()

    async def _ask(self, org: str, source_id: str, first: int) -> Replay | None:
        outcome = "failed"
        try:
            async with self._turns:
                found = await asyncio.to_thread(self._store.replay, org, source_id, first, REPLAY_POINTS)
            outcome = "answered" if found is not None else "not_kept"
        finally:
            self._outcomes.labels(outcome).inc()
        if found is None:
            return None
        return Replay(tuple(Published(seq, columns) for seq, columns in found.groups), found.next_seq)

    async def _tend(self, name: tuple[str, str], channel: Channel) -> None:
        try:
            await channel.run(self._bound)
        except Exception:
            # Nobody waits for this task: what is wrong must be said, and the readers must not wait for ever.
            logger.exception("the live stream of source %s ended", name[1])
            self._open.pop(name, None)
            self._tasks.pop(name, None)
            channel.fail()

    def _forget(self, name: tuple[str, str]) -> None:
        self._leaving.pop(name, None)
        self._open.pop(name).close()
        self._tasks.pop(name).cancel()

    def _bound(self, channel: Channel) -> None:
        if self._budget.used <= self._keep_bytes:
            return
        share = self._keep_bytes // len(self._open)
        channel.shrink(share)
        if self._budget.used > self._keep_bytes:
            for other in self._open.values():
                other.shrink(share)


def _cost(published: Published) -> int:
    columns = published.columns
    try:
        values = len(orjson.dumps(columns.value))
    except orjson.JSONEncodeError:
        # Nested deeper than it goes: as much as a message may hold, to be safe.
        values = 1 << 20
    return len(columns) * POINT_BYTES + values
