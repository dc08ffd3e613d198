"""Pages in browsers: which may connect, and which may read an answer (CORS). By default only the gateway's own origin.

A page needs a key like everybody else, and says it in a header: there are no cookies, and no credentials are allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from plexus.gateway.asgi import HttpError, Scope, Send, header

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
ASKED_HEADERS = b"x-api-key, content-type, content-encoding, accept, x-plexus-ext"
SHOWN_HEADERS = (
    b"x-request-id, retry-after, allow, location, content-disposition, x-plexus-ext, x-plexus-time-us, "
    b"x-plexus-max-limit"
)
"""What a page may read of an answer, beside what browsers let every page read (content-type, content-length …)."""

MAX_AGE_S = b"600"

_DEFAULT_PORTS = {"http": 80, "https": 443}

Headers = Sequence[tuple[bytes, bytes]]


class Origins:
    """The pages of other origins that are let in, exactly as browsers write their origins."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def headers(self, scope: Scope) -> Headers:
        """What every answer says to a browser; nothing where no other origin is let in."""
        if not self._allowed:
            return ()
        vary = (b"vary", b"Origin")
        origin = header(scope, b"origin")
        if origin not in self._allowed:
            return (vary,)
        return (
            vary,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", SHOWN_HEADERS),
        )

    async def answer_preflight(self, scope: Scope, send: Send) -> bool:
        """Answer a browser that asks before it asks; False when this is no such request.

        Raises HttpError 403 for a page that is not let in.
        """
        asked = header(scope, b"access-control-request-method")
        if scope["method"] != "OPTIONS" or asked is None or not self._allowed:
            return False
        if header(scope, b"origin") not in self._allowed:
            raise HttpError(
                403, "pages of this origin are not let in; cors.origins in the gateway's settings lists them"
            )
        headers = [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", ASKED_HEADERS),
            (b"access-control-max-age", MAX_AGE_S),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return True

    def may_connect(self, origin: str | None, host: str | None) -> bool:
        """Whether a WebSocket with this Origin may come in."""
        return origin in self._allowed or same_origin(origin, host)


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
