"""The shortcut from a commit to the socket: taken where the server has it and the peer keeps up, never out of turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from plexus.gateway.asgi import Message
from plexus.gateway.devices import WRITE_AT_ONCE, DeviceHandler
from tests.support.gateway import KEY, PATIENCE_S, core_of


class Peer:
    """A device on a bare ASGI socket: what it says, and what it hears over which way."""

    def __init__(self, write: Callable[[str], bool] | None) -> None:
        self.said: asyncio.Queue[Message] = asyncio.Queue()
        self.heard: list[tuple[str, Any]] = []
        self._write = write
        self._changed = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            self.hears("sent", message["text"])

    def at_once(self, text: str) -> bool:
        assert self._write is not None
        taken = self._write(text)
        if taken:
            self.hears("at once", text)
        return taken

    def hears(self, way: str, text: str) -> None:
        self.heard.append((way, json.loads(text)))
        self._changed.set()

    def say(self, **frame: Any) -> None:
        self.said.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    async def until(self, count: int) -> None:
        while len(self.heard) < count:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), PATIENCE_S)


def conversation(write: Callable[[str], bool] | None) -> list[tuple[str, Any]]:
    """A device that says hello and sends three frames, each when the last one is acknowledged."""

    async def run() -> list[tuple[str, Any]]:
        core, peer = core_of(), Peer(write)
        core.committer.start()
        extensions = {} if write is None else {WRITE_AT_ONCE: peer.at_once}
        handler = DeviceHandler(core)({"extensions": extensions, "headers": []}, peer.said.get, peer.send)
        task = asyncio.ensure_future(handler)
        peer.say(type="device_auth", api_key=KEY, source_id="drone-01", acks=True)
        await peer.until(1)
        for seq in (1, 2, 3):
            peer.say(type="telemetry", points=[{"metric": "m", "value": seq}], seq=seq)
            await peer.until(seq + 1)
        peer.said.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await task
        await core.committer.stop()
        return peer.heard

    return asyncio.run(run())


def ways(heard: list[tuple[str, Any]]) -> list[tuple[str, int]]:
    return [(way, frame["seq"]) for way, frame in heard if frame["type"] == "telemetry_ack"]


def test_an_acknowledgement_goes_out_at_once_where_the_server_can_do_that() -> None:
    assert ways(conversation(lambda _text: True)) == [("at once", 1), ("at once", 2), ("at once", 3)]


def test_a_server_without_it_is_sent_to() -> None:
    assert ways(conversation(None)) == [("sent", 1), ("sent", 2), ("sent", 3)]


def test_a_peer_that_is_behind_hears_everything_in_order_all_the_same() -> None:
    turns = iter([False, True, False, True, True, True, True, True])
    heard = conversation(lambda _text: next(turns, True))
    assert [seq for _way, seq in ways(heard)] == [1, 2, 3]
    assert {way for way, _frame in heard} == {"sent", "at once"}
