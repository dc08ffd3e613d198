"""The socket transport: a WebSocket to `/ws/device`. What happens on an open one is in `connection`."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlunsplit

from plexus.adapters.loading import loading
from plexus.adapters.transport.addresses import USER_AGENT, split_address
from plexus.domain.errors import TransportError
from plexus.ports.transport import Dialect
from plexus.protocol.messages import Message

if TYPE_CHECKING:
    from plexus.adapters.transport.connection import Connection

PATH = "/ws/device"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


def socket_url(url: str) -> str:
    """The full address of a device's socket, from a gateway's base address or the full one; http(s) becomes ws(s).

    Raises ConfigurationError for another scheme or no host.
    """
    parts, _address = split_address(url, _SCHEMES)
    path = parts.path.rstrip("/")
    if not path.endswith(PATH):
        path += PATH
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc.rpartition("@")[2], path, parts.query, ""))


class SocketTransport:
    """A WebSocket to one gateway. `url` is its base address or ends in `/ws/device`.

    `max_message_bytes` bounds a message from the gateway; `clock` is monotonic seconds, by which a network that takes
    nothing is given up. The system's trust store (or SSL_CERT_FILE) decides about
    certificates; proxies are those of the environment; redirects are not followed.
    `close` may also be called while another thread is in `open`, which then fails.
    """

    def __init__(
        self,
        url: str,
        *,
        user_agent: str = USER_AGENT,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = socket_url(url)
        self._address = split_address(self._url, _SCHEMES)[1]
        self._user_agent = user_agent
        self._max_message_bytes = max_message_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._dialled: list[socket.socket] = []
        self._opens = 0
        self._link: Connection | None = None
        _transports.add(self)

    @property
    def dialect(self) -> Dialect:
        """ "socket"."""
        return "socket"

    def open(self, timeout: float) -> None:
        """Connect within `timeout` seconds (looking up the name takes as long as the system takes)."""
        self.close()
        with self._lock:
            mine = self._opens
        link = self._connect(timeout, mine)
        with self._lock:
            self._dialled = []
            if self._opens == mine:
                self._link = link
                return
        link.leave()
        raise self._given_up()

    def send(self, message: Message) -> None:
        """Hand one text or binary message over. Raises TransportClosed when the gateway has said goodbye."""
        if not isinstance(message, (str, bytes)):
            raise TypeError(f"a socket carries text and bytes, not {type(message).__name__}")
        self._open_link().send(message)

    @property
    def pending(self) -> int:
        """Bytes that the network has not taken yet."""
        link = self._link
        return 0 if link is None else link.pending

    def receive(self, timeout: float) -> Message | None:
        """The next message, None if none came within `timeout` seconds or `wake` was called."""
        return self._open_link().receive(timeout)

    def wake(self) -> None:
        """Make a `receive` that waits, or the next one, return now."""
        with self._lock:
            if self._link is not None:
                self._link.wake()

    def close(self) -> None:
        """Say goodbye and let go of the socket, within a quarter of a second."""
        with self._lock:
            self._opens += 1
            link, self._link = self._link, None
            for sock in self._dialled:
                # Ends a dial on another thread, which closes the socket itself. By the base class: an SSLSocket would
                # forget its TLS while that thread is in the middle of it.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            self._dialled = []
        if link is not None:
            link.leave()

    def _connect(self, timeout: float, mine: int) -> Connection:
        with loading():
            # Not before: TLS and the framing take longer to load than all the rest of a client.
            import encodings.idna  # noqa: F401 - which looking up a name would load

            from plexus.adapters.transport.connection import Connection
            from plexus.adapters.transport.dialing import Deadline, dial
            from plexus.adapters.transport.upgrade import upgrade

        deadline = Deadline(timeout)
        try:
            sock = dial(self._address, deadline, lambda sock: self._began(sock, mine))
            try:
                upgrade(sock, self._url, self._address, deadline, self._user_agent)
                return Connection(sock, self._address, timeout, self._max_message_bytes, self._clock)
            except BaseException:
                sock.close()
                raise
        except TransportError as exc:
            # What a dial ran into because `close` ended it is not the network's fault.
            if self._opens != mine:
                raise self._given_up() from exc
            raise

    def _began(self, sock: socket.socket, mine: int) -> None:
        with self._lock:
            if self._opens == mine:
                self._dialled = [sock]
                return
        raise self._given_up()

    def _given_up(self) -> TransportError:
        return TransportError(f"the connection to {self._address} was given up while it was made")

    def _open_link(self) -> Connection:
        link = self._link
        if link is None:
            raise TransportError(f"the connection to {self._address} is not open")
        return link

    def _disown(self) -> None:
        """In a forked child: held open here, the parent's connection would outlive the parent, and nobody know."""
        self._lock = threading.Lock()
        link, self._link = self._link, None
        dialled, self._dialled = self._dialled, []
        if link is not None:
            link.disown()
        for sock in dialled:
            with contextlib.suppress(OSError):
                sock.close()


_transports: weakref.WeakSet[SocketTransport] = weakref.WeakSet()


def _disown_all() -> None:
    for transport in list(_transports):
        transport._disown()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
