"""The sockets of the video stream."""

from __future__ import annotations

import asyncio

from plexus.gateway.asgi import Receive, Scope, Send
from plexus.gateway.core import Core
from plexus.gateway.streams.asking import VideoAsked
from plexus.gateway.streams.greeting import StreamSocket
from plexus.gateway.streams.writing import Frame, writer_of
from plexus.protocol import live, video


class VideoSocket(StreamSocket):
    """One viewer of a source's cameras."""

    kind = "video"
    unauthorized = live.VIDEO_UNAUTHORIZED

    def __init__(self, core: Core, asked: VideoAsked, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(core, asked.source_id, receive, send)
        self._asked = asked
        self._writer = writer_of(scope, send)

    async def _serve(self) -> None:
        if self._asked.fault:
            self.end(live.REFUSED, self._asked.fault)
            return
        try:
            await asyncio.wait_for(self._show(), self._asked.timeout_s)
        except asyncio.TimeoutError:
            self.end(live.VIDEO_TIMEOUT, f"the timeout of {self._asked.timeout_s:g} s is reached")

    async def _show(self) -> None:
        relay = self._core.video
        viewer = relay.watch(self._org, self._source_id, self._asked.cameras)
        try:
            await self._writer.write(Frame(video.init_message(self._online()).encode()))
            while True:
                picture = await viewer.get()
                await self._writer.write(Frame(picture.payload()))
        finally:
            relay.leave(self._org, self._source_id, viewer)

    def _online(self) -> dict[str, list[str]]:
        if not self._core.presence.online(self._org, self._source_id):
            return {}
        return {self._source_id: self._core.video.cameras(self._org, self._source_id)}
