"""The socket transport: a WebSocket to `/ws/device`, on websocket-client's framing and one non-blocking socket.

Reading never blocks: `receive` takes what is there, then waits for the socket and for `wake` at once, so an idle link
costs nothing. A message that arrives in pieces is gone on with at the next call. `send` first looks whether the gateway
has said goodbye, since what is written into a socket that is being closed is lost without a sign.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from urllib.parse import urlunsplit

from plexus.adapters.transport import framing
from plexus.adapters.transport.dialing import Address, Deadline, dial, split_address
from plexus.adapters.transport.faults import explain
from plexus.adapters.transport.upgrade import USER_AGENT, upgrade
from plexus.domain.errors import TransportClosed, TransportError
from plexus.ports.transport import Dialect
from plexus.protocol.messages import Message

PATH = "/ws/device"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
INBOX_MESSAGES = 1_000
FAREWELL_S = 0.25

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


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

    `max_message_bytes` bounds a message from the gateway. The system's trust store (or SSL_CERT_FILE) decides about
    certificates; proxies are those of the environment; redirects are not followed.
    `close` may also be called while another thread is in `open`, which then fails.
    """

    def __init__(self, url: str, *, user_agent: str = USER_AGENT, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._url = socket_url(url)
        self._address = split_address(self._url, _SCHEMES)[1]
        self._user_agent = user_agent
        self._max_message_bytes = max_message_bytes
        self._lock = threading.Lock()
        self._dialled: list[socket.socket] = []
        self._opens = 0
        self._link: _Connection | None = None

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

    def _connect(self, timeout: float, mine: int) -> _Connection:
        deadline = Deadline(timeout)
        try:
            sock = dial(self._address, deadline, lambda sock: self._began(sock, mine))
            try:
                upgrade(sock, self._url, self._address, deadline, self._user_agent)
                return _Connection(sock, self._address, timeout, self._max_message_bytes)
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

    def _open_link(self) -> _Connection:
        link = self._link
        if link is None:
            raise TransportError(f"the connection to {self._address} is not open")
        return link


class _Connection:
    """One open WebSocket, from the upgrade to its end. After a failure it still hands out what came before."""

    def __init__(self, sock: socket.socket, address: Address, timeout: float, max_message_bytes: int) -> None:
        sock.settimeout(0.0)
        self._sock = sock
        self._address = address
        self._timeout = timeout
        self._reader = framing.FrameReader(self._read, max_message_bytes)
        self._inbox: deque[str | bytes] = deque()
        self._failure: TransportError | None = None
        self._mute = False
        self._ear, self._bell = socket.socketpair()
        self._ear.settimeout(0.0)
        self._bell.settimeout(0.0)
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(self._ear, selectors.EVENT_READ)

    # --- what the transport is asked ------------------------------------------------------------------------

    def send(self, message: str | bytes) -> None:
        """Write one message, unless the gateway has left meanwhile."""
        data = framing.encode(message)
        while len(self._inbox) < INBOX_MESSAGES and self._step():
            pass
        if self._failure is None:
            self._try_write(data)
        if self._failure is not None:
            raise self._failure

    def receive(self, timeout: float) -> str | bytes | None:
        """The next message, waiting for it."""
        end = time.monotonic() + timeout
        while True:
            went_on = not self._inbox and self._step()
            if self._inbox:
                return self._inbox.popleft()
            if self._failure is not None:
                raise self._failure
            left = end - time.monotonic()
            # Pings and fragments must not keep the caller longer than it asked for.
            if went_on and left > 0:
                continue
            if not self._wait(max(left, 0.0)):
                return None

    def wake(self) -> None:
        """Ring: the byte waits in the pipe until somebody listens. A full pipe has rung already."""
        with contextlib.suppress(OSError):
            self._bell.send(b"\0")

    def leave(self) -> None:
        """Say goodbye, see that it arrives, let go. Never raises."""
        if self._failure is None:
            self._say_goodbye(1000, linger=True)
        self._release()

    # --- reading --------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Take one frame in, if a whole one is there; whether it was."""
        if self._failure is not None:
            return False
        try:
            self._heard(self._reader.next())
        except framing.Nothing:
            return False
        except framing.Malformed as exc:
            self._fail(exc, answer=exc.code, linger=True)
            return False
        except OSError as exc:
            self._fail(self._broken(exc))
            return False
        return True

    def _heard(self, incoming: framing.Incoming) -> None:
        if isinstance(incoming, (str, bytes)):
            self._inbox.append(incoming)
        elif isinstance(incoming, framing.Pinged):
            self._try_write(framing.encode_pong(incoming.payload))
        elif isinstance(incoming, framing.Closing):
            words = f": {incoming.reason}" if incoming.reason else ""
            closed = TransportClosed(
                f"the gateway {self._address} closed the connection ({incoming.code}{words})", code=incoming.code
            )
            self._fail(closed, answer=incoming.code)

    def _read(self, count: int) -> bytes:
        try:
            data = self._sock.recv(count)
        except _NOT_NOW as exc:
            raise framing.Nothing from exc
        if not data:
            raise ConnectionResetError("the other end closed the connection without a word")
        return data

    def _wait(self, seconds: float) -> bool:
        """Until something can be read (True), or until `wake` or the end of the time (False)."""
        ready = [key.fileobj for key, _events in self._selector.select(seconds)]
        if self._ear in ready:
            with contextlib.suppress(OSError):
                self._ear.recv(4_096)
            return False
        return bool(ready) and seconds > 0

    # --- writing --------------------------------------------------------------------------------------------

    def _try_write(self, data: bytes) -> None:
        if self._mute:
            return
        try:
            self._write(data)
        except OSError as exc:
            # Nothing can be said any more, but what the gateway said before the end still counts, its goodbye most.
            self._mute = True
            while self._step():
                pass
            self._fail(self._broken(exc))

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        deadline = Deadline(self._timeout)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
                deadline = Deadline(self._timeout)
            except _NOT_NOW as exc:
                reading = isinstance(exc, ssl.SSLWantReadError)
                _wait_for(self._sock, selectors.EVENT_READ if reading else selectors.EVENT_WRITE, deadline.left())

    # --- the end --------------------------------------------------------------------------------------------

    def _broken(self, exc: OSError) -> TransportError:
        failure = TransportError(explain(exc, str(self._address), self._timeout))
        failure.__cause__ = exc
        return failure

    def _fail(self, failure: TransportError, *, answer: int | None = None, linger: bool = False) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        if answer is not None:
            self._say_goodbye(answer, linger=linger)
        self._release()

    def _say_goodbye(self, code: int, *, linger: bool) -> None:
        with contextlib.suppress(OSError):
            self._sock.send(framing.encode_close(code))
            if linger:
                self._linger()

    def _linger(self) -> None:
        """Read on until the other end has closed: closing over unread bytes would cut off what was just written."""
        deadline = Deadline(FAREWELL_S)
        while True:
            left = deadline.left()
            try:
                if not self._sock.recv(framing.READ_BYTES):
                    return
            except _NOT_NOW:
                _wait_for(self._sock, selectors.EVENT_READ, left)

    def _release(self) -> None:
        for thing in (self._selector, self._sock, self._ear, self._bell):
            with contextlib.suppress(OSError):
                thing.close()


def _wait_for(sock: socket.socket, events: int, seconds: float) -> None:
    """Until the socket is ready; raises TimeoutError when it is not within `seconds`."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, events)
        if not selector.select(seconds):
            raise TimeoutError("timed out")
