"""One link over plain HTTP, through httpx: requests in, answers out.

`send` puts a request into a queue and returns; a thread of the link's own makes one request after the other, so that
`receive` can wait for answers and for `wake` alike. Making a link touches no network: the first request does, and a
host that is not there shows in `receive`. The connection is kept alive between requests; redirects are answers, never
followed, so that a key goes to no other host than was named.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from typing import Any

import httpx

from plexus.adapters.transport.addresses import Address
from plexus.adapters.transport.dialing import proxy_for
from plexus.adapters.transport.faults import explain
from plexus.adapters.transport.inbox import Inbox
from plexus.adapters.transport.tls import trust
from plexus.domain.errors import TransportError
from plexus.protocol.messages import HttpAnswer, HttpRequest

MAX_ANSWER_BYTES = 1024 * 1024
FAREWELL_S = 0.25
KEEP_ALIVE_S = 4.0
"""Under the 5 s after which uvicorn and many proxies close: a request must not meet a connection that is just going."""


class RequestLink:
    """One queue of requests and the thread that makes them, until the first failure or `leave`."""

    def __init__(self, base: str, address: Address, timeout: float) -> None:
        self._base = base
        self._address = address
        self._timeout = timeout
        self._asked: queue.SimpleQueue[HttpRequest | None] = queue.SimpleQueue()
        self._answers: Inbox[HttpAnswer] = Inbox()
        self._cutting = threading.Lock()
        self._left = False
        self._sockets: list[socket.socket] = []
        self._client = _make_client(address, timeout)
        self._thread = threading.Thread(target=self._work, name="plexus-requests", daemon=True)
        self._thread.start()

    # --- what the transport is asked ------------------------------------------------------------------------

    def send(self, request: HttpRequest) -> None:
        """Queue it."""
        for name, value in request.headers.items():
            # Said here, without the value: the library's own message would show it, and it may be the key.
            if not (value.isascii() and value.isprintable()):
                raise TransportError(f"the header {name} holds characters that HTTP does not carry: check the API key")
        if self._answers.failure is not None:
            raise self._answers.failure
        self._asked.put(request)

    def receive(self, timeout: float) -> HttpAnswer | None:
        """The next answer, waiting for it."""
        return self._answers.take(timeout)

    def wake(self) -> None:
        """Make `receive` return."""
        self._answers.wake()

    def leave(self) -> None:
        """Cut off what is under way. A name that is being looked up cannot be cut off; its thread ends after it."""
        with self._cutting:
            self._left = True
            self._cut()
        self._asked.put(None)
        self._thread.join(FAREWELL_S)

    # --- the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        with self._client:
            while (request := self._asked.get()) is not None and not self._left:
                try:
                    self._answers.put(self._ask(request))
                except Exception as exc:  # noqa: BLE001 - whatever ends this thread ends the link, or nobody would know
                    self._answers.end(self._translated(exc))
                    return

    def _ask(self, request: HttpRequest) -> HttpAnswer:
        with self._client.stream(
            request.method,
            self._base + request.path,
            headers=dict(request.headers),
            content=request.body,
            extensions={"trace": self._traced},
        ) as response:
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise TransportError(
                        f"{self._address} answered with more than {MAX_ANSWER_BYTES} bytes, which no gateway does: "
                        "check the address, and for a captive portal or proxy in between"
                    )
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(response.status_code, headers, bytes(body))

    def _translated(self, exc: Exception) -> TransportError:
        if isinstance(exc, TransportError):
            return exc
        failure = TransportError(self._explained(exc))
        failure.__cause__ = exc
        return failure

    def _explained(self, exc: Exception) -> str:
        if isinstance(exc, httpx.ProxyError):
            return (
                f"the proxy does not connect to {self._address}: {exc}; "
                "check HTTPS_PROXY, or put the host into NO_PROXY"
            )
        return explain(exc, str(self._address), self._timeout)

    def _traced(self, event: str, info: dict[str, Any]) -> None:
        """Called by httpx for each step: from the connection's socket on, `leave` can cut it off."""
        if not event.endswith(("connect_tcp.complete", "start_tls.complete")):
            return
        found = info["return_value"].get_extra_info("socket")
        with self._cutting:
            self._sockets = [*self._sockets[-1:], found]
            if self._left:
                self._cut()

    def _cut(self) -> None:
        for sock in self._sockets:
            # Of the base class: an SSLSocket would forget its TLS while the other thread is in the middle of it.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _trusted(address: Address) -> ssl.SSLContext:
    # Reading the system's store takes tens of milliseconds; over plain HTTP a context that trusts nobody will do.
    return trust() if address.secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _make_client(address: Address, timeout: float) -> httpx.Client:
    proxy = proxy_for(address)
    login = {"Proxy-Authorization": f"Basic {proxy.login}"} if proxy is not None and proxy.login is not None else None
    return httpx.Client(
        verify=_trusted(address),
        timeout=timeout,
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE_S),
        proxy=httpx.Proxy(f"http://{proxy.address}", headers=login) if proxy is not None else None,
        follow_redirects=False,
        # The environment's proxies are read above, by the rule of the socket; a .netrc is none of our business.
        trust_env=False,
        # A body comes as it was sent: nothing small can unpack into something large.
        headers={"accept-encoding": "identity"},
    )
