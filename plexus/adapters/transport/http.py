"""The request transport: `POST /ingest` and its answers. What happens on an open link is in `requests`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import urlunsplit

from plexus.adapters.loading import loading
from plexus.adapters.transport.addresses import split_address
from plexus.domain.errors import TransportError
from plexus.ports.transport import Dialect
from plexus.protocol.messages import HttpRequest, Message

if TYPE_CHECKING:
    from plexus.adapters.transport.requests import RequestLink

_REQUESTS = "plexus.adapters.transport.requests"
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
        self._link: RequestLink | None = None

    @property
    def dialect(self) -> Dialect:
        """ "request"."""
        return "request"

    def open(self, timeout: float) -> None:
        """Make ready for requests; the first time only where somebody listens within `timeout` seconds.

        Raises TransportError where nobody does, and for a proxy or a certificate file that cannot be used.
        """
        self.close()
        with loading():
            import encodings.idna  # noqa: F401 - which looking up a name would load

            from plexus.adapters.transport.dialing import Deadline, reach

        if _REQUESTS not in sys.modules:
            # A device that waits for its network loads no HTTP client, which is 10 MiB, before somebody listens.
            reach(self._address, Deadline(timeout))
        with loading():
            from plexus.adapters.transport.requests import RequestLink

        self._link = RequestLink(self._base, self._address, self._timeout)

    def send(self, message: Message) -> None:
        """Queue one request; it is made after those before it were answered."""
        if not isinstance(message, HttpRequest):
            raise TypeError(f"this transport carries requests, not {type(message).__name__}")
        self._open_link().send(message)

    @property
    def pending(self) -> int:
        """0: how much of a request the network has taken is not known."""
        return 0

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

    def _open_link(self) -> RequestLink:
        link = self._link
        if link is None:
            raise TransportError(f"the connection to {self._address} is not open")
        return link
