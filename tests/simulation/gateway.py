"""The gateway: the shipped gate, handlers, committer, registry and memory store, on a loop in virtual time.

The store and the names survive a kill; connections, submissions that are not committed and everything else do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from plexus.gateway import decoding, devices, ingest
from plexus.gateway.assembly import Ports, build_core
from plexus.gateway.gate import Gate
from plexus.ports.keyring import SCOPES
from plexus.protocol import extensions, frames
from plexus.protocol.messages import HttpAnswer, HttpRequest, Message
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Wire
from tests.simulation.vault import SimBus, SimStore, Vault
from tests.simulation.world import Broken, World

ORG = "default"
KEY = "plx_a-key-of-the-simulation-and-of-nobody-else"
RETRY_AFTER_MAX_S = 3


class Gateway:
    """One gateway process after the other, over one vault."""

    def __init__(self, world: World, *, named: bool) -> None:
        self.world = world
        self.vault = Vault()
        self.vault.keyring.create(ORG, "key", SCOPES, secret=KEY)
        self.named = named
        self.alive = False
        self.disk_fails_until = 0.0
        self.slow_until = 0.0
        self.ears: dict[_Ear, None] = {}
        self.history: dict[int, Any] = {}
        self.start()

    # --- what happens to it ---------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process, unless there is one."""
        if self.alive:
            return
        world = self.world
        world.tell("gateway", "start")
        self.alive, self.leaving = True, False
        self.loop = VirtualLoop(world, self._job_time)  # type: ignore[abstract]  # it has what the gateway asks for
        former = asyncio.events._get_running_loop()
        asyncio.events._set_running_loop(self.loop)
        try:
            store, bus = SimStore(world, self.vault, partial(self._ailing, self.loop)), SimBus(self.vault)
            ports = Ports(store, bus, self.vault.keyring, self.vault.registry)
            self.core = build_core(ports, wall_ns=lambda: world.wall_ns, monotonic=lambda: world.now)
            self.core.committer.start()
        finally:
            asyncio.events._set_running_loop(former)
        device = devices.DeviceHandler(self.core)
        posts = dict.fromkeys(ingest.PATHS, ingest.IngestHandler(self.core))
        self.app = Gate(self.core, posts, lambda path: device if path == devices.PATH else None, _no_rest)
        self.loop.drain()

    def kill(self) -> None:
        """The process ends, wherever it is."""
        if not self.alive:
            return
        self.world.tell("gateway", "kill")
        self.alive = False
        failures = self.loop.failures
        self.loop.kill()
        for ear in list(self.ears):
            ear.orphaned()
        self.ears.clear()
        if failures:
            raise Broken(f"the gateway failed: {failures[0]}")

    def leave(self) -> None:
        """SIGTERM: say goodbye, finish what is begun, end."""
        if self.alive and not self.leaving:
            self.world.tell("gateway", "goodbye")
            self.leaving = True
            self.core.sockets.goodbye()
            self.loop.create_task(self.core.committer.stop())
            self.loop.drain()
            self.world.after(1.0, partial(self._left, self.loop))

    def _left(self, loop: VirtualLoop) -> None:
        if loop is self.loop:
            self.kill()

    def heal(self) -> None:
        """Nothing is wrong with it any more."""
        self.disk_fails_until = self.slow_until = 0.0
        if self.leaving:
            self.kill()
        self.start()

    def check(self) -> None:
        """Nothing failed inside."""
        if self.loop.failures:
            raise Broken(f"the gateway failed: {self.loop.failures[0]}")

    # --- wires ----------------------------------------------------------------------------------------------

    def connect(self, wire: Wire) -> str | None:
        """A device dials; why not, or None."""
        if not self.alive:
            if wire.dialect == "request":
                wire.ear = _Nobody(wire)
                return None
            return "connection refused"
        ear: _Ear = _Socket(self, wire) if wire.dialect == "socket" else _Requests(self, wire)
        wire.ear = ear
        self.ears[ear] = None
        return None

    def _ailing(self, loop: VirtualLoop) -> str | None:
        if not self.alive or loop is not self.loop:
            return "the process is gone"
        if self.world.now < self.disk_fails_until:
            return "/data/journal.db cannot grow: the disk is full"
        return None

    def refusal(self, message: Message) -> str | None:
        """The answer to a telemetry frame that it will never be stored; None for another frame."""
        assert isinstance(message, (str, bytes))
        frame = decoding.parse(message, frames.Envelope("nobody", 0))
        if not isinstance(frame, frames.Telemetry) or frame.batch is None or not frame.decoded.total:
            return None
        self.refused(frame.decoded.columns.value)
        return frames.dump(
            frames.ErrorFrame(frames.MALFORMED, "not what we like", batch=(frame.batch.stream, frame.batch.n))
        )

    def refused(self, values: Sequence[Any]) -> None:
        """Whoever sent these is told that they will never be stored."""
        self.world.tell("net", "refuses", list(values))
        for value in values:
            self.history[value].refused = True

    def _job_time(self) -> tuple[float, float]:
        slow = 2.0 if self.world.now < self.slow_until else 0.004
        return self.world.between(0.0005, slow), self.world.between(0.0, slow / 2)


class _Nobody:
    """There is no gateway at the other end of this wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def feed(self, message: Message) -> None:
        self._wire.reset()

    def gone(self) -> None:
        """It never was."""


class _Ear:
    def __init__(self, gateway: Gateway, wire: Wire) -> None:
        self.gateway = gateway
        self.wire = wire

    def feed(self, message: Message) -> None:
        raise NotImplementedError

    def gone(self) -> None:
        self.gateway.ears.pop(self, None)

    def refuses(self) -> bool:
        """Whether something between here and the device refuses batches just now."""
        return self.gateway.world.now < self.wire.net.refusing_until and self.gateway.named

    def orphaned(self) -> None:
        """The process of this end was killed: the device hears of it, later, or only by the silence."""
        if self.gateway.world.chance(0.8):
            self.wire.half_closed()
        else:
            self.wire.swallow()


class _Socket(_Ear):
    def __init__(self, gateway: Gateway, wire: Wire) -> None:
        super().__init__(gateway, wire)
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._put({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": devices.PATH, "headers": [], "query_string": b"", "state": {}}
        gateway.loop.create_task(gateway.app(scope, self._get, self._send))
        gateway.loop.drain()

    def feed(self, message: Message) -> None:
        if isinstance(message, str):
            if not self.gateway.named and '"device_auth"' in message:
                message = _without_ext(message)
            self.gateway.world.tell("gateway", "hears", _short(message))
        if self.refuses():
            refusal = self.gateway.refusal(message)
            if refusal is not None:
                self.wire.send_down(refusal)
                return
        kind = "text" if isinstance(message, str) else "bytes"
        self._put({"type": "websocket.receive", kind: message})
        self.gateway.loop.drain()

    def gone(self) -> None:
        super().gone()
        self._put({"type": "websocket.disconnect", "code": 1006})
        self.gateway.loop.drain()

    async def _get(self) -> dict[str, Any]:
        message = await self._inbox.get()
        if message["type"] == "websocket.connect":
            message = await self._inbox.get()
        return message

    def _put(self, message: dict[str, Any]) -> None:
        self._inbox.put_nowait(message)

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            text = message.get("text")
            self.gateway.world.tell("gateway", "says", _short(text or message.get("bytes")))
            self.wire.send_down(message["bytes"] if text is None else text)
        elif message["type"] == "websocket.close":
            self.wire.close_down(message.get("code", 1000), message.get("reason") or "")


class _Requests(_Ear):
    def feed(self, message: Message) -> None:
        assert isinstance(message, HttpRequest)
        world = self.gateway.world
        net = self.wire.net
        if world.now < net.proxy_until:
            answer = _proxied(net.proxy, world)
            world.tell("net", "a proxy answers", answer.status)
            self.wire.send_down(answer)
        elif not self.gateway.alive:
            self.wire.reset()
        elif self.refuses() and (values := _posted(message)):
            self.gateway.refused(values)
            self.wire.send_down(HttpAnswer(400, {}, b'{"error":"points[0].value is not what we like"}'))
        else:
            self.gateway.loop.create_task(self._ask(message))
            self.gateway.loop.drain()

    async def _ask(self, request: HttpRequest) -> None:
        named = self.gateway.named
        headers = [
            (name.encode(), value.encode())
            for name, value in request.headers.items()
            if named or name != extensions.HEADER
        ]
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.path,
            "headers": headers,
            "query_string": b"",
            "state": {},
        }
        pending = [{"type": "http.request", "body": request.body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.gateway.app(scope, receive, send)
        start, body = sent[0], b"".join(part.get("body", b"") for part in sent[1:])
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        self.gateway.world.tell("gateway", "answers", start["status"], _short(body))
        self.wire.send_down(HttpAnswer(start["status"], answered, body))


async def _no_rest(scope: Any, receive: Any, send: Any) -> None:
    raise Broken(f"nothing asks for {scope['path']} here")


def _posted(request: HttpRequest) -> list[Any]:
    packed = request.headers.get("content-encoding") == "gzip"
    body = gzip.decompress(request.body) if packed else request.body
    return list(decoding.parse_body(body, 0).decoded.columns.value)


def _proxied(kind: str, world: World) -> HttpAnswer:
    headers = {"retry-after": str(world.rng.randint(1, RETRY_AFTER_MAX_S))} if world.chance(0.5) else {}
    if kind == "portal":
        return HttpAnswer(200, {}, b"<html>please sign in</html>")
    if kind == "page":
        return HttpAnswer(400, {}, b"<html>bad gateway name</html>")
    return HttpAnswer(int(kind), headers, b'{"error":"later"}')


def _without_ext(message: str) -> str:
    with contextlib.suppress(ValueError):
        raw = json.loads(message)
        raw.pop("ext", None)
        return json.dumps(raw)
    return message


def _short(message: Any) -> str:
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return text if len(text) < 260 else text[:120] + " … " + text[-130:]
