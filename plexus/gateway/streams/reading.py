"""One reader's way to its socket: straight through while the socket takes it, bounded queue when not.

Policy: of what waits the oldest frames go when they are more than `max_bytes`; the frame that came last stays, however
large. What went is counted, and a `missed` frame says so before the next one. What a reader came back for (`replay`) is
not dropped: it waits in the channel's memory, shared, and is made into frames as the reader takes them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from plexus.domain.errors import StoreError
from plexus.gateway.streams.asking import Asked
from plexus.gateway.streams.rendering import Renderer
from plexus.gateway.streams.writing import Frame, Writer
from plexus.ports.bus import Published
from plexus.protocol import live

BOOKMARK_S = 15.0
"""How long a reader that knows cursors hears nothing before it is told where it is."""


class Reader:
    """What a channel offers frames to. `on_missed` counts; `bookmark` makes a quiet time's frame, if there is one.

    The channel hands it commits from number `first_seq` on.
    """

    def __init__(
        self,
        asked: Asked,
        writer: Writer,
        max_bytes: int,
        on_missed: Callable[[int], None],
        *,
        bookmark: Callable[[], Frame | None] | None = None,
    ) -> None:
        self.asked = asked
        self.first_seq = 0
        self.idle = False
        """Whether everything that was offered is written."""
        self._writer = writer
        self._max_bytes = max_bytes
        self._on_missed = on_missed
        self._bookmark = bookmark
        self._greeting: Frame | None = None
        self._replay: deque[tuple[Renderer, Published, int]] = deque()
        self._queue: deque[Frame] = deque()
        self._bytes = 0
        self._untold = 0
        self._failed = False
        self._wake = asyncio.Event()

    def offer(self, seq: int, frame: Frame) -> None:
        """A frame of commit `seq`; never waits."""
        if seq < self.first_seq or (self.idle and self._writer.try_write(frame)):
            return
        self.put(frame)

    def put(self, frame: Frame) -> None:
        """Queue a frame behind everything else."""
        self._queue.append(frame)
        self._bytes += len(frame.wire)
        while self._bytes > self._max_bytes and len(self._queue) > 1:
            dropped = self._queue.popleft()
            self._bytes -= len(dropped.wire)
            self.missed(dropped.points)
        self._stir()

    def missed(self, count: int) -> None:
        """So many points or events are not coming."""
        if count:
            self._untold += count
            self._on_missed(count)
            self._stir()

    def begin(
        self, first_seq: int, replay: Sequence[tuple[Renderer, Published, int]], greeting: Frame | None = None
    ) -> None:
        """It is a channel's from now on: `greeting` and `replay` (commits, each from a row on) go before what comes."""
        self.first_seq = first_seq
        self._greeting = greeting
        self._replay.extend(replay)

    def fail(self) -> None:
        """Nothing more is coming, by a fault of the gateway's."""
        self._failed = True
        self._stir()

    async def run(self) -> None:
        """Write until the peer is gone (OSError), for ever otherwise. Raises StoreError after `fail`."""
        if self._greeting is not None:
            await self._writer.write(self._greeting)
        while True:
            if self._failed:
                raise StoreError("the channel of this stream failed")
            if self._replay:
                renderer, published, first = self._replay.popleft()
                for frame in renderer.replayed(published, self.asked, first):
                    await self._writer.write(frame)
            elif self._untold:
                count, self._untold = self._untold, 0
                await self._writer.write(Frame(live.missed_message(count).encode()))
            elif self._queue:
                frame = self._queue.popleft()
                self._bytes -= len(frame.wire)
                await self._writer.write(frame)
            else:
                await self._rest()

    async def _rest(self) -> None:
        self._wake.clear()
        self.idle = True
        # A timer, because `wait_for` may swallow a cancellation that comes together with what it waits for.
        loop = asyncio.get_running_loop()
        timer = None if self._bookmark is None else loop.call_later(BOOKMARK_S, self._remind, self._bookmark)
        try:
            await self._wake.wait()
        finally:
            self.idle = False
            if timer is not None:
                timer.cancel()

    def _remind(self, bookmark: Callable[[], Frame | None]) -> None:
        frame = bookmark()
        if frame is not None:
            self.put(frame)
        self._stir()

    def _stir(self) -> None:
        self.idle = False
        self._wake.set()
