"""The shortcut from the socket to the committer: telemetry is taken where it arrives, all else waits for its turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs

from plexus.gateway.asgi import Message
from plexus.gateway.core import Core
from plexus.gateway.devices import TAKE_AT_ONCE, DeviceHandler
from tests.support.gateway import KEY, PATIENCE_S, core_of

Take = Callable[["str | bytes"], bool]


@attrs.define
class Peer:
    """A device on a bare ASGI socket, and the way past `receive` that it was offered."""

    core: Core
    said: asyncio.Queue[Message] = attrs.field(factory=asyncio.Queue)
    heard: asyncio.Queue[Any] = attrs.field(factory=asyncio.Queue)
    take: Take | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            self.heard.put_nowait(json.loads(message["text"]))

    def offered(self, take: Take) -> None:
        self.take = take

    def say(self, **frame: Any) -> None:
        self.said.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    async def hear(self) -> Any:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)

    def gives(self, **frame: Any) -> bool:
        assert self.take is not None
        return self.take(json.dumps(frame))


def telemetry(seq: int, value: Any = 1.5) -> dict[str, Any]:
    return {"type": "telemetry", "points": [{"metric": "m", "value": value}], "seq": seq}


@asynccontextmanager
async def connected(**limits: Any) -> AsyncIterator[Peer]:
    core = core_of()
    core = attrs.evolve(core, limits=attrs.evolve(core.limits, **limits)) if limits else core
    core.committer.start()
    peer = Peer(core)
    scope = {"extensions": {TAKE_AT_ONCE: peer.offered}, "headers": []}
    task = asyncio.ensure_future(DeviceHandler(core)(scope, peer.said.get, peer.send))
    assert peer.take is None, "nobody is let in yet"
    peer.say(type="device_auth", api_key=KEY, source_id="drone-01", acks=True)
    assert (await peer.hear())["type"] == "authenticated"
    await asyncio.sleep(0)  # the reader begins to listen
    yield peer
    peer.said.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await task
    assert not peer.gives(**telemetry(99)), "it is gone"
    await core.committer.stop()


def run(story: Callable[[], Any]) -> None:
    asyncio.run(story())


def test_telemetry_is_taken_and_acknowledged_without_a_turn_of_the_reader() -> None:
    async def story() -> None:
        async with connected() as peer:
            assert peer.gives(**telemetry(1))
            assert peer.gives(**telemetry(2))
            assert (await peer.hear())["seq"] in (1, 2)
            assert peer.said.empty()
            latest = peer.core.store.latest("default", "drone-01")
            assert latest["m"][1] == 1.5

    run(story)


def test_what_is_no_telemetry_or_breaks_the_protocol_waits_for_its_turn() -> None:
    async def story() -> None:
        async with connected() as peer:
            assert not peer.gives(type="heartbeat", source_id="drone-01")
            assert not peer.gives(type="telemetry", points="none", seq=1)
            assert not peer.take('{"type":"telemetry","points":[') if peer.take else False
            # By its turn it is answered as ever, and the socket goes on.
            peer.say(type="telemetry", points="none", seq=1)
            assert (await peer.hear())["type"] == "error"
            await asyncio.sleep(0)
            assert peer.gives(**telemetry(2))
            assert (await peer.hear())["seq"] == 2

    run(story)


def test_both_ways_follow_each_other() -> None:
    async def story() -> None:
        async with connected() as peer:
            peer.say(**telemetry(1))
            assert (await peer.hear())["seq"] == 1
            await asyncio.sleep(0)
            assert peer.gives(**telemetry(2))
            assert (await peer.hear())["seq"] == 2

    run(story)


def test_a_socket_with_too_much_unsettled_takes_no_more() -> None:
    async def story() -> None:
        async with connected(unsettled_frames=2) as peer:
            # No turn of the event loop in between: nothing is committed yet.
            assert [peer.gives(**telemetry(seq)) for seq in (1, 2, 3)] == [True, True, False]
            peer.say(**telemetry(3))
            heard = 0
            while heard < 3:
                heard = (await peer.hear())["seq"]

    run(story)
