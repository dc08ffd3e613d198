"""From a path to the socket that serves it."""

from __future__ import annotations

from plexus.gateway.asgi import ASGIApp, Receive, Scope, Send
from plexus.gateway.core import Core
from plexus.gateway.streams.asking import VideoAsked, asked
from plexus.gateway.streams.points import PointSocket
from plexus.gateway.streams.viewing import VideoSocket


class StreamHandler:
    """Finds the handler of a stream's path; behind the gate."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def route(self, path: str) -> ASGIApp | None:
        """The handler, None when `path` is no stream's."""
        return None if asked(path) is None else self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = asked(scope["path"], scope["query_string"])
        assert wanted is not None
        if isinstance(wanted, VideoAsked):
            await VideoSocket(self._core, wanted, scope, receive, send).run()
        else:
            await PointSocket(self._core, wanted, scope, receive, send).run()
