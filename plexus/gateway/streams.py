"""The live streams (protocol page, section 7): committed points of one source, on a WebSocket, as they come.

    /v1/sources/{id}/metrics/stream?metrics=a,b     /v1/sources/{id}/events/stream     /v1/sources/{id}/logs/stream

A reader that is slow loses the oldest points (the bus counts them), never anybody else's time. All readers that ask
for the same are sent the same text, written once. A source that is not there, or another organisation's, is silent.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, Literal
from urllib.parse import parse_qs

import attrs
import orjson

from plexus.domain.errors import ProtocolError
from plexus.gateway.access import identify, require
from plexus.gateway.asgi import ASGIApp, HttpError, Message, Receive, Scope, Send
from plexus.gateway.core import Core
from plexus.ports.bus import Subscription
from plexus.ports.keyring import KeyInfo
from plexus.protocol import live
from plexus.protocol.columns import Columns
from plexus.protocol.gateway import CLOSE_GOING_AWAY

TEXTS_KEPT = 64

logger = logging.getLogger("plexus.gateway")

_path = re.compile(r"/v1/sources/([^/]+)/(metrics|events|logs)/stream\Z")


@attrs.frozen
class Asked:
    """What a reader wants of a source: events, or metrics (`metrics` None: all of them)."""

    source_id: str
    kind: Literal["metrics", "events"]
    metrics: frozenset[str] | None = None


def asked(path: str, query: bytes = b"") -> Asked | None:
    """What a stream's address asks for; None when it is no stream's."""
    found = _path.match(path)
    if found is None:
        return None
    source_id, kind = found.groups()
    if kind != "metrics":
        return Asked(source_id, "events")
    named = parse_qs(query.decode("latin-1")).get("metrics", [])
    metrics = frozenset(name for text in named for name in text.split(",") if name)
    return Asked(source_id, "metrics", metrics or None)


class LiveTexts:
    """The messages that columns become, by what is asked for; the last few are kept for the next reader."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, str, frozenset[str] | None], tuple[Columns, list[str]]] = OrderedDict()

    def of(self, columns: Columns, asked: Asked) -> list[str]:
        """The messages to send for `columns`; none when nothing of it was asked for."""
        name = (id(columns), asked.kind, asked.metrics)
        known = self._kept.get(name)
        # The columns are kept beside their text, so that an id cannot come to mean another object.
        if known is not None and known[0] is columns:
            return known[1]
        texts = _events(columns) if asked.kind == "events" else _metrics(columns, asked.metrics)
        self._kept[name] = (columns, texts)
        if len(self._kept) > TEXTS_KEPT:
            self._kept.popitem(last=False)
        return texts


class StreamHandler:
    """Finds the handler of a stream's path; behind the gate."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._texts = LiveTexts()

    def route(self, path: str) -> ASGIApp | None:
        """The handler, None when `path` is no stream's."""
        return None if asked(path) is None else self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = asked(scope["path"], scope["query_string"])
        assert wanted is not None
        await StreamSocket(self._core, self._texts, wanted, receive, send).run()


class StreamSocket:
    """One reader's connection."""

    def __init__(self, core: Core, texts: LiveTexts, wanted: Asked, receive: Receive, send: Send) -> None:
        self._core = core
        self._texts = texts
        self._asked = wanted
        self._receive = receive
        self._send = send
        self._key: KeyInfo | None = None
        self._ended = asyncio.Event()
        self._close: tuple[int, str] | None = None

    @property
    def key_id(self) -> str:
        """The key that it came in with."""
        return "" if self._key is None else self._key.key_id

    def expel(self) -> None:
        """The key was revoked: close as if it had never been good."""
        self._end(live.UNAUTHORIZED, "the API key was revoked")

    def goodbye(self) -> None:
        """The gateway shuts down."""
        self._end(CLOSE_GOING_AWAY, "gateway is shutting down")

    async def run(self) -> None:
        """Serve the reader until either side closes."""
        await self._send({"type": "websocket.accept"})
        if not await self._greet():
            return
        subscription = self._core.bus.subscribe(self._org, self._asked.source_id)
        self._core.sockets.add(self)
        try:
            await self._serve(subscription)
            if self._close is not None:
                await self._say_close(*self._close)
        finally:
            subscription.close()
            self._core.sockets.discard(self)

    async def _serve(self, subscription: Subscription) -> None:
        loop = asyncio.get_running_loop()
        work: list[Coroutine[Any, Any, Any]] = [self._pump(subscription), self._listen(), self._ended.wait()]
        tasks = [loop.create_task(part) for part in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()  # what went wrong in it goes to the gate

    @property
    def _org(self) -> str:
        return "" if self._key is None else self._key.org

    async def _greet(self) -> bool:
        """The first frame, within 10 s, with a key that may read this source; closes with 4401 if not."""
        try:
            message = await asyncio.wait_for(self._first_message(), live.AUTH_TIMEOUT_S)
            if message["type"] == "websocket.disconnect":
                return False
            text = message.get("text")
            secret = live.parse_auth(message["bytes"] if text is None else text)
            self._key = identify(self._core.keyring, secret)
            require(self._key, "read", self._asked.source_id)
        except asyncio.TimeoutError:
            await self._say_close(live.UNAUTHORIZED, f"no auth frame within {live.AUTH_TIMEOUT_S:g} s")
        except ProtocolError as exc:
            await self._say_close(live.UNAUTHORIZED, str(exc)[:100])
        except HttpError as exc:
            code = live.TRY_LATER if exc.status == 503 else live.UNAUTHORIZED
            await self._say_close(code, exc.message[:100])
        else:
            return True
        return False

    async def _first_message(self) -> Message:
        message = await self._receive()
        while message["type"] == "websocket.connect":
            message = await self._receive()
        return message

    async def _pump(self, subscription: Subscription) -> None:
        while True:
            columns = await subscription.get()
            for text in self._texts.of(columns, self._asked):
                await self._send({"type": "websocket.send", "text": text})

    async def _listen(self) -> None:
        """A reader has nothing more to say; what comes is passed over until it leaves."""
        while (await self._receive())["type"] != "websocket.disconnect":
            pass

    def _end(self, code: int, reason: str) -> None:
        self._close = (code, reason)
        self._ended.set()

    async def _say_close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _metrics(columns: Columns, wanted: frozenset[str] | None) -> list[str]:
    points = [
        live.point_object(source_id, metric, value, t_ns)
        for source_id, metric, value, t_ns, is_event in zip(
            columns.source_id, columns.metric, columns.value, columns.t_ns, columns.is_event, strict=True
        )
        if not is_event and (wanted is None or metric in wanted)
    ]
    if not points:
        return []
    try:
        return [orjson.dumps({"type": "telemetry", "points": points}).decode()]
    except orjson.JSONEncodeError:
        # Values nested deeper than it goes: the contract's own writer goes further.
        return [live.points_message(points)]


def _events(columns: Columns) -> list[str]:
    return [
        live.event_message(source_id, metric, value, t_ns, tags)
        for source_id, metric, value, t_ns, is_event, tags in zip(
            columns.source_id,
            columns.metric,
            columns.value,
            columns.t_ns,
            columns.is_event,
            columns.tags,
            strict=True,
        )
        if is_event
    ]
