"""A gateway as it would be without the extension `resume`: what a reader hears and says of cursors is cut out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from plexus.api.livesocket import LiveSocket
from plexus.api.place import Place
from plexus.api.requests import Request
from plexus.api.streams.asyncsocket import AsyncSocket

_cursor = re.compile(r"[?&]cursor=[^&]*\Z")
_OWN = ("ready", "cursor", "missed")


def cut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the rest of a test, in this process."""
    target, receive, awaited = Place.stream_target, LiveSocket.receive, AsyncSocket.receive

    def stream_target(place: Place, request: Request) -> tuple[str, str]:
        url, hello = target(place, request)
        return _cursor.sub("", url), hello

    def plain_receive(socket: LiveSocket, timeout: float | None) -> Any:
        return _plain(receive(socket, timeout))

    async def plain_awaited(socket: AsyncSocket, timeout: float | None) -> Any:
        return _plain(await awaited(socket, timeout))

    monkeypatch.setattr(Place, "stream_target", stream_target)
    monkeypatch.setattr(LiveSocket, "receive", plain_receive)
    monkeypatch.setattr(AsyncSocket, "receive", plain_awaited)


def _plain(message: Any) -> Any:
    if message is None:
        return None
    frame = json.loads(message)
    frame.pop("cursor", None)
    return json.dumps({"type": "unknown"} if frame["type"] in _OWN else frame)
