"""What both links share of httpx: how a client is made, and what its answers and failures are in our words."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from plexus.adapters.transport.faults import explain
from plexus.adapters.transport.tls import trust
from plexus.api import refusals, retry
from plexus.api.calls import Call, T
from plexus.api.place import Place
from plexus.api.refusals import Answer
from plexus.api.requests import JSON, Request
from plexus.domain.errors import ConfigurationError, PlexusError, ProtocolError, TransportError

MAX_CONNECTIONS = 100
FAILURES = (httpx.HTTPError, httpx.InvalidURL, RuntimeError)
"""What httpx raises when it cannot send or read; a RuntimeError is what it says once it is closed."""


def client_arguments(place: Place, *, app: bool) -> dict[str, Any]:
    """What a client of either kind is made with."""
    return {
        "headers": place.headers(),
        "timeout": place.timeout,
        "verify": _trusted(place, app=app),
        "follow_redirects": False,
        "limits": httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=20),
        "trust_env": not place.is_here(app=app),
    }


def _trusted(place: Place, *, app: bool) -> ssl.SSLContext:
    """Whose certificates are taken: those that the system trusts; on this machine's own plain address, nobody's.

    Nothing is encrypted there, and neither a proxy nor a redirect leads elsewhere: what would take 30 ms is not read.
    """
    if place.is_here(app=app) and place.base(app=app).startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return trust()


@contextlib.contextmanager
def usable_proxies() -> Iterator[None]:
    """Make a client inside: a proxy of the environment that httpx cannot use is a ConfigurationError."""
    try:
        yield
    except (ImportError, ValueError):
        # Without httpx's words, and not chained to them: they may hold the proxy's password.
        raise ConfigurationError(
            "a proxy of the environment cannot be used (a SOCKS proxy needs httpx[socks]): set HTTPS_PROXY to an "
            "http:// proxy, or put the gateway's host into NO_PROXY"
        ) from None


def request_arguments(place: Place, request: Request) -> dict[str, Any]:
    """What one request is made with."""
    headers = {"accept": request.accept}
    if request.body is not None:
        headers["content-type"] = JSON
    return {"method": request.method, "url": place.url(request), "content": request.body, "headers": headers}


def lowered(headers: httpx.Headers) -> Mapping[str, str]:
    """Header names in lower case."""
    return {name.lower(): text for name, text in headers.items()}


def translated(exc: Exception, place: Place, request: Request) -> PlexusError:
    """One of FAILURES in our words."""
    host = place.host(app=request.app)
    if isinstance(exc, httpx.PoolTimeout):
        return TransportError(
            f"all {MAX_CONNECTIONS} connections of this client to {host} were busy for {place.timeout:g} s: "
            "ask for less at once"
        )
    if isinstance(exc, httpx.TimeoutException):
        return TransportError(explain(TimeoutError(), host, place.timeout))
    if isinstance(exc, RuntimeError):
        return ConfigurationError(f"this client is closed, or its event loop is ({exc}): make a new one")
    return TransportError(explain(exc, host, place.timeout))


def failure(exc: Exception, place: Place, request: Request) -> PlexusError | retry.Again:
    """What to raise for one of FAILURES: a failure of the network may pass."""
    error = translated(exc, place, request)
    error.__cause__ = exc
    return retry.Again(error) if isinstance(error, TransportError) else error


def answer_of(response: httpx.Response, place: Place) -> Answer:
    """An answer whose body is there, without the key in it. A success in a binary form is left as it came."""
    headers = lowered(response.headers)
    body = response.content
    if not response.is_success or _is_text(headers.get("content-type", "")):
        body = place.without_key(body)
    return Answer(response.status_code, headers, body)


def judged(answer: Answer, place: Place, request: Request) -> Answer:
    """The answer if it is a success; else raises its error, within Again where it may pass."""
    error = refusals.error_for(request, answer, place.host(app=request.app), time.time())
    if error is None:
        return answer
    if answer.status in refusals.RETRIED:
        raise retry.Again(error, error.retry_after_s)
    raise error


def read(call: Call[T], answer: Answer, place: Place) -> T:
    """The value of a success; ApiError when it breaks the contract."""
    try:
        return call.read(answer)
    except ProtocolError as exc:
        raise refusals.unreadable(call.request, answer, place.host(app=call.request.app), str(exc)) from exc


def _is_text(media_type: str) -> bool:
    return not media_type or "json" in media_type or media_type.startswith("text/")
