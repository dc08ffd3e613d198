"""The sockets of the metric and event streams."""

from __future__ import annotations

from plexus.domain.errors import StoreError
from plexus.gateway.asgi import Receive, Scope, Send
from plexus.gateway.core import Core
from plexus.gateway.streams import cursors
from plexus.gateway.streams.asking import Asked
from plexus.gateway.streams.channels import Channel
from plexus.gateway.streams.cursors import Place
from plexus.gateway.streams.greeting import StreamSocket
from plexus.gateway.streams.reading import Reader
from plexus.gateway.streams.writing import Frame, writer_of
from plexus.protocol import extensions, live

UNKNOWN = "the cursor is none of this gateway's data"
TOO_OLD = (
    "what came after the cursor is no longer kept in its order, or the source has got another name since then; "
    "the history has it"
)


class PointSocket(StreamSocket):
    """One reader of a source's metrics or events."""

    def __init__(self, core: Core, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(core, asked.source_id, receive, send)
        self.kind = asked.kind
        self._asked = asked
        self._writer = writer_of(scope, send)
        self._told: Place | None = None

    async def _serve(self) -> None:
        channel = self._core.channels.enter(self._org, self._source_id)
        reader = self._reader(channel)
        try:
            if await self._begin(channel, reader):
                await reader.run()
        finally:
            channel.leave(reader)
            self._core.channels.leave(self._org, self._source_id, channel)

    def _reader(self, channel: Channel) -> Reader:
        missed = self._core.meters.missed.labels(self.kind)
        bookmark = (lambda: self._bookmark(channel)) if self._resumes else None
        return Reader(self._asked, self._writer, self._core.limits.stream_queue_bytes, missed.inc, bookmark=bookmark)

    @property
    def _resumes(self) -> bool:
        """Whether the reader knows cursors, and so more types of frames than the contract's."""
        offered = self._auth is not None and extensions.RESUME in self._auth.ext
        return offered or self._asked.cursor is not None

    async def _begin(self, channel: Channel, reader: Reader) -> bool:
        """Join the channel where the reader wants to; False when the socket is to be closed instead."""
        now = self._core.channels.now
        ready = live.Ready(self._core.channels.cursor(now))
        if self._asked.cursor:
            place = cursors.read(self._asked.cursor, self._core.channels.log)
            reason = UNKNOWN if place is None or place > now else TOO_OLD
            if place is not None and place <= now:
                resumed = await self._resume(channel, reader, place)
                if resumed is not None:
                    return resumed
            # Time went by: it begins where the stream is by now.
            now = self._core.channels.now
            since_ms = round(self._core.wall_ns() / 1e6, 3)
            ready = live.Ready(self._core.channels.cursor(now), resumed=False, since_ms=since_ms, reason=reason)
        channel.join(reader, now, _ready_frame(ready) if self._resumes else None)
        return True

    async def _resume(self, channel: Channel, reader: Reader, place: Place) -> bool | None:
        """Go on at `place`: True when the reader joined the channel, None when that cannot be had, False to close."""
        ready = _ready_frame(live.Ready(self._core.channels.cursor(place), resumed=True))
        said = False
        while not channel.holds(place):
            try:
                replay = await self._core.channels.replay(self._org, self._source_id, place[0])
            except StoreError:
                self.end(live.TRY_LATER, "the gateway cannot read just now; come back with the last cursor")
                return False
            if replay is None:
                if said:
                    # The reader has been told that it misses nothing; a new try will be told the truth.
                    self.end(live.TRY_LATER, "the replay could not go on; come back with the last cursor")
                return False if said else None
            if not said:
                await self._writer.write(ready)
                said = True
            for published in replay.commits:
                first = place[1] if published.seq == place[0] else 0
                for frame in channel.renderer.replayed(published, self._asked, first):
                    await self._writer.write(frame)
            place = (replay.next_seq, 0)
        channel.join(reader, place, None if said else ready)
        return True

    def _bookmark(self, channel: Channel) -> Frame | None:
        """Where a reader is that heard nothing for a while: so far there was nothing for it."""
        now = self._core.channels.now
        if not channel.settled or now == self._told:
            return None
        self._told = now
        return Frame(live.cursor_message(self._core.channels.cursor(now)).encode())


def _ready_frame(ready: live.Ready) -> Frame:
    return Frame(live.ready_message(ready).encode())
