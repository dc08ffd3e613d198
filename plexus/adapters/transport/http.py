"""The request transport: `POST /ingest` and its answers, through httpx.

`send` puts a request into a queue and returns; a thread of the link's own makes one request after the other, so that
`receive` can wait for answers and for `wake` alike. `open` starts that thread and touches no network: there is nothing
to connect, the first request does it, and a host that is not there shows in `receive`. The connection is kept alive
between requests; redirects are answers, never followed, so that a key goes to no other host than was named.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlunsplit

from plexus.adapters.transport.dialing import Address, proxy_for, split_address
from plexus.adapters.transport.faults import explain
from plexus.adapters.transport.tls import trust
from plexus.domain.errors import TransportError
from plexus.ports.transport import Dialect
from plexus.protocol.messages import HttpAnswer, HttpRequest, Message

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 1024 * 1024
FAREWELL_S = 0.25
KEEP_ALIVE_S = 4.0
"""Under the 5 s after which uvicorn and many proxies close: a request must not meet a connection that is just going."""

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class RequestTransport:
    """Requests to one gateway. `url` is its base address; a path in it stands before the path of every request.

    `timeout` bounds, in seconds, each step of a request: connecting, writing, and every wait for more of the answer.
    The system's trust store (or SSL_CERT_FILE) decides about certificates; proxies are those of the environment.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        parts, self._address = split_address(url, _SCHEMES)
        netloc = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((_SCHEMES[parts.scheme], netloc, parts.path.rstrip("/"), "", ""))
        self._timeout = timeout
        self._link: _Link | None = None

    @property
    def dialect(self) -> Dialect:
        """ "request"."""
        return "request"

    def open(self, timeout: float) -> None:  # noqa: ARG002 - nothing is connected yet
        """Make ready for requests; raises TransportError for a proxy or a certificate file that cannot be used."""
        self.close()
        self._link = _Link(self._base, self._address, self._timeout)

    def send(self, message: Message) -> None:
        """Queue one request; it is made after those before it were answered."""
        if not isinstance(message, HttpRequest):
            raise TypeError(f"this transport carries requests, not {type(message).__name__}")
        self._open_link().send(message)

    def receive(self, timeout: float) -> Message | None:
        """The next answer, None if none came within `timeout` seconds or `wake` was called."""
        return self._open_link().receive(timeout)

    def wake(self) -> None:
        """Make a `receive` that waits, or the next one, return now."""
        link = self._link
        if link is not None:
            link.wake()

    def close(self) -> None:
        """Cut a request off that is under way and let go of the connection, within a quarter of a second."""
        link, self._link = self._link, None
        if link is not None:
            link.leave()

    def _open_link(self) -> _Link:
        link = self._link
        if link is None:
            raise TransportError(f"the connection to {self._address} is not open")
        return link


class _Link:
    """One queue of requests and the thread that makes them, until the first failure or `leave`."""

    def __init__(self, base: str, address: Address, timeout: float) -> None:
        self._base = base
        self._address = address
        self._timeout = timeout
        self._changed = threading.Condition()
        self._asked: deque[HttpRequest] = deque()
        self._answers: deque[HttpAnswer] = deque()
        self._failure: TransportError | None = None
        self._woken = False
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
        with self._changed:
            if self._failure is not None:
                raise self._failure
            self._asked.append(request)
            self._changed.notify_all()

    def receive(self, timeout: float) -> HttpAnswer | None:
        """The next answer, waiting for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._answers or self._failure or self._woken, timeout)
            if self._answers:
                return self._answers.popleft()
            if self._failure is not None:
                raise self._failure
            self._woken = False
            return None

    def wake(self) -> None:
        """Make `receive` return."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Cut off what is under way. A name that is being looked up cannot be cut off; its thread ends after it."""
        with self._changed:
            self._left = True
            self._cut()
            self._changed.notify_all()
        self._thread.join(FAREWELL_S)

    # --- the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        with self._client:
            while True:
                request = self._next()
                if request is None:
                    return
                try:
                    answer = self._ask(request)
                except Exception as exc:  # noqa: BLE001 - whatever ends this thread ends the link, or nobody would know
                    self._fail(exc)
                    return
                with self._changed:
                    self._answers.append(answer)
                    self._changed.notify_all()

    def _next(self) -> HttpRequest | None:
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._left)
            return None if self._left else self._asked.popleft()

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

    def _fail(self, exc: Exception) -> None:
        failure = exc if isinstance(exc, TransportError) else TransportError(self._explained(exc))
        if failure is not exc:
            failure.__cause__ = exc
        with self._changed:
            self._failure = failure
            self._asked.clear()
            self._changed.notify_all()

    def _explained(self, exc: Exception) -> str:
        import httpx

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
        with self._changed:
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
    import httpx  # a client that speaks over the socket alone does not load it

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
