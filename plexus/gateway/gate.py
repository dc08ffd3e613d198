"""The one gate: every request and every socket passes it before a handler sees anything.

It gives the request its id, checks the key (`scope["state"]["key"]`), the limits and the Origin of a WebSocket, and
shapes every error as `{"error": …}`. What a key may do is the handler's question (`access.require`): only it knows
which source is meant.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import orjson

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

PUBLIC = frozenset({"/healthz", "/openapi.json"})
"""Paths that need no key."""

SocketRoutes = Callable[[str], "ASGIApp | None"]
"""The handler of a WebSocket path, None when there is no such path."""

INTERNAL_ERROR = 1011

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}

logger = logging.getLogger("plexus.gateway")


class Gate:
    """ASGI: `posts` are the bare handlers by path (POST only), `sockets` finds the one for a WebSocket path, `rest`
    takes everything else.
    """

    def __init__(self, core: Core, posts: Mapping[str, ASGIApp], sockets: SocketRoutes, rest: ASGIApp) -> None:
        self._core = core
        self._posts = posts
        self._sockets = sockets
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one socket."""
        if scope["type"] not in ("http", "websocket"):
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        answer = _Answer(send, request_id, bodiless=scope["method"] == "HEAD")
        try:
            await self._request(scope, receive, answer)
        except Disconnected:
            logger.debug("request %s: the client left", request_id)
        except HttpError as exc:
            await send_json(answer, exc.status, {"error": exc.message}, exc.headers)
        except Exception:
            logger.exception("request %s (%s %s) failed", request_id, scope["method"], scope["path"])
            if answer.started:
                raise  # the server cuts the connection, so that the half answer is not taken for a whole one
            await send_json(answer, 500, {"error": f"internal error; the gateway's log has it under {request_id}"})

    # --- HTTP -----------------------------------------------------------------------------------------------

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        handler = self._posts.get(path)
        if handler is not None and method == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", b"POST, OPTIONS")]})
            await send({"type": "http.response.body", "body": b""})
            return
        if handler is not None and method != "POST":
            raise HttpError(405, f"{path} takes POST, not {method}", [(b"allow", b"POST, OPTIONS")])
        if path not in PUBLIC:
            scope["state"]["key"] = identify(self._core.keyring, header(scope, KEY_HEADER))
        if handler is not None:
            await handler(scope, receive, send)
            return
        if method == "HEAD":
            # The framework has GET only; an answer to HEAD is the same without its body.
            scope = {**scope, "method": "GET"}
        elif method not in _BODILESS:
            receive = await self._read_ahead(scope, receive)
        await self._rest(scope, receive, send)

    async def _read_ahead(self, scope: Scope, receive: Receive) -> Receive:
        """The body, within the limit, before the framework is bothered with it."""
        limits = self._core.limits
        body = await read_body(scope, receive, limits.rest_body_bytes, limits.body_s)
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        return replay

    # --- WebSocket ------------------------------------------------------------------------------------------

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._sockets(scope["path"])
        if handler is None:
            await _deny(scope, send, 404, "there is no such socket; devices connect to /ws/device")
        elif not same_origin(header(scope, b"origin"), header(scope, b"host")):
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
    """`send` with the request's id on it."""

    def __init__(self, send: Send, request_id: str, *, bodiless: bool) -> None:
        self._send = send
        self._headers = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
        self._bodiless = bodiless
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        elif self._bodiless and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


def same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a WebSocket with this Origin may come in: none (no browser), or the very host and port it connects to."""
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        asked = urlsplit(f"{parts.scheme}://{host}")
        asked_port = asked.port or _DEFAULT_PORTS[parts.scheme]
    except (KeyError, ValueError):
        return False
    return parts.hostname is not None and (parts.hostname, port) == (asked.hostname, asked_port)


async def _deny(scope: Scope, send: Send, status: int, error: str) -> None:
    """Refuse a WebSocket before the upgrade, with a status where the server can say one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error})
        return
    payload = orjson.dumps({"error": error})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(payload)).encode()),
        (b"x-request-id", scope["state"]["request_id"].encode()),
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": payload})
