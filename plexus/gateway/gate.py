"""The one gate: every request and every socket passes it before a handler sees anything.

It gives the request its id, sees through the proxy (`scope["state"]["seen"]`), checks Host and Origin, the key
(`scope["state"]["key"]`) and the limits, and shapes every error as `{"error": …}`. What a key may do is the handler's
question (`access.require`): only it knows which source is meant.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping

import orjson

from plexus.gateway import logs
from plexus.gateway.access import KEY_HEADER, identify
from plexus.gateway.asgi import (
    ASGIApp,
    Disconnected,
    HttpError,
    Message,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    send_json,
)
from plexus.gateway.core import Core
from plexus.gateway.fronting import Front, Seen, is_local
from plexus.gateway.origins import Origins
from plexus.gateway.wellknown import DEFAULT_ORG
from plexus.ports.keyring import KeyInfo

PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json"})
"""Paths that need no key."""

MEASURES = "/metrics"
"""Needs none either of somebody who asks from this machine itself, while no proxy stands in front."""

ITSELF = KeyInfo("itself", DEFAULT_ORG, "this machine", frozenset({"read"}))
"""In place of the key that this machine need not have to measure itself."""

_UNREAD = PUBLIC | {MEASURES}
"""Paths whose bodies nobody wants, and nobody reads: who sends one need not have shown a key. The server ends the
connection after the answer."""

TAKES_POINTS, IS_READ = b"POST, OPTIONS", b"GET, HEAD, OPTIONS"
"""The methods of the bare handlers, and of the paths that need no key."""

SocketRoutes = Callable[[str], "ASGIApp | None"]
"""The handler of a WebSocket path, None when there is no such path."""

INTERNAL_ERROR = 1011

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})

logger = logging.getLogger("plexus.gateway")


class Gate:
    """ASGI: `posts` are the bare handlers by path (POST only), `sockets` finds the one for a WebSocket path, `rest`
    takes everything else.
    """

    def __init__(
        self,
        core: Core,
        posts: Mapping[str, ASGIApp],
        sockets: SocketRoutes,
        rest: ASGIApp,
        front: Front | None = None,
    ) -> None:
        self._core = core
        self._front = front or Front(core.settings)
        self._origins = Origins(core.settings.cors.origins)
        self._posts = posts
        self._sockets = sockets
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one socket."""
        if scope["type"] not in ("http", "websocket"):
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        logs.about(request=request_id)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        answer = _Answer(send, request_id, self._origins.headers(scope), bodiless=scope["method"] == "HEAD")
        try:
            seen = self._see(scope)
            answer.prefix = seen.prefix
            if not await self._origins.answer_preflight(scope, answer):
                await self._request(scope, receive, answer, seen)
        except Disconnected:
            logger.debug("request %s: the client left", request_id)
        except HttpError as exc:
            await send_json(answer, exc.status, {"error": exc.message}, exc.headers)
        except asyncio.CancelledError:
            # By the server, which waits no longer. Half an answer is left as it is: the connection is cut then.
            logger.info("request %s (%s %s) was ended: the gateway leaves", request_id, scope["method"], scope["path"])
            if not answer.started:
                leaving = {"error": "the gateway is shutting down; send it again to the next one"}
                await send_json(answer, 503, leaving, [(b"retry-after", b"1"), (b"connection", b"close")])
        except Exception:
            logger.exception("request %s (%s %s) failed", request_id, scope["method"], scope["path"])
            if answer.started:
                raise  # the server cuts the connection, so that the half answer is not taken for a whole one
            await send_json(answer, 500, {"error": f"internal error; the gateway's log has it under {request_id}"})

    # --- HTTP -----------------------------------------------------------------------------------------------

    def _see(self, scope: Scope) -> Seen:
        try:
            seen = self._front.look(scope)
        except HttpError:
            self._core.meters.reject("host")
            raise
        scope["state"]["seen"] = seen
        return seen

    def _identify(self, scope: Scope, seen: Seen) -> None:
        path, secret = scope["path"], header(scope, KEY_HEADER)
        if path in PUBLIC:
            return
        if path == MEASURES and secret is None and is_local(seen) and not self._core.settings.proxy.trusted:
            scope["state"]["key"] = ITSELF
            return
        try:
            key = identify(self._core.keyring, secret)
        except HttpError:
            self._core.meters.reject("key")
            raise
        scope["state"]["key"] = key
        logs.about(org=key.org)

    async def _request(self, scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        path, method = scope["path"], scope["method"]
        handler = self._posts.get(path)
        if method == "OPTIONS" and (handler is not None or path in PUBLIC):
            # Of other paths it is told to nobody, with a key or without one: which there are is theirs to know who may.
            allow = TAKES_POINTS if handler is not None else IS_READ
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow)]})
            await send({"type": "http.response.body", "body": b""})
            return
        if handler is not None and method != "POST":
            raise HttpError(405, f"{path} takes POST, not {method}", [(b"allow", TAKES_POINTS)])
        self._identify(scope, seen)
        if handler is not None:
            await handler(scope, receive, send)
            return
        if method == "HEAD":
            # The framework has GET only; an answer to HEAD is the same without its body.
            scope = {**scope, "method": "GET", "state": {**scope["state"], "head": True}}
        elif method not in _BODILESS and path not in _UNREAD:
            receive = await self._read_ahead(scope, receive)
        await self._rest(scope, receive, send)

    async def _read_ahead(self, scope: Scope, receive: Receive) -> Receive:
        """The body, within the limit, before the framework is bothered with it."""
        limits = self._core.limits
        body = await read_body(scope, receive, limits.rest_body_bytes, self._core.pace)
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        return replay

    # --- WebSocket ------------------------------------------------------------------------------------------

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            seen = self._see(scope)
        except HttpError as exc:
            await _deny(scope, send, exc.status, exc.message)
            return
        handler = self._sockets(scope["path"])
        if handler is None:
            await _deny(scope, send, 404, "there is no such socket; devices connect to /ws/device")
        elif not self._origins.may_connect(header(scope, b"origin"), seen.host):
            self._core.meters.reject("origin")
            await _deny(scope, send, 403, "pages of another origin may not connect")
        else:
            await self._guarded(handler, scope, receive, send)

    async def _guarded(self, handler: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope["state"]["request_id"]
        try:
            await handler(scope, receive, send)
        except OSError:
            # How the server says that the peer went away while something was being sent.
            logger.debug("socket %s: the client left", request_id)
        except Exception:
            logger.exception("socket %s (%s) failed", request_id, scope["path"])
            with contextlib.suppress(OSError, RuntimeError):  # it may be closed already
                await send({"type": "websocket.close", "code": INTERNAL_ERROR, "reason": "internal error"})


class _Answer:
    """`send` with the request's id and what browsers want to know on it, and redirects as they look from outside."""

    def __init__(self, send: Send, request_id: str, more: Iterable[tuple[bytes, bytes]], *, bodiless: bool) -> None:
        self._send = send
        self._headers = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff"), *more]
        self._bodiless = bodiless
        self.prefix = ""
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": [*map(self._outside, message.get("headers", ())), *self._headers]}
        elif self._bodiless and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    def _outside(self, pair: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        name, value = pair
        if self.prefix and name.lower() == b"location" and value.startswith(b"/") and not value.startswith(b"//"):
            return name, self.prefix.encode() + value
        return pair


async def _deny(scope: Scope, send: Send, status: int, error: str) -> None:
    """Refuse a WebSocket before the upgrade, with a status where the server can say one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error})
        return
    payload = orjson.dumps({"error": error})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(payload)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", scope["state"]["request_id"].encode()),
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": payload})
