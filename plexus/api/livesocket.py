"""One WebSocket of a live stream: opened, read by one thread, closed by any.

Addresses, proxies, TLS and framing are those of the device's socket; only the waiting differs: a reader has one thing
to wait for, so its socket blocks, and closing it from another thread wakes it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import attrs
from websocket import ABNF

from plexus.adapters.transport import framing
from plexus.adapters.transport.addresses import split_address
from plexus.adapters.transport.dialing import Deadline, dial
from plexus.adapters.transport.faults import explain
from plexus.adapters.transport.upgrade import upgrade
from plexus.domain.errors import TransportClosed, TransportError

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
PING_EVERY_S = 20.0
"""After so long without a word, the server is asked whether it is there; after as long again, it is not."""

FAREWELL_S = 0.25

_SCHEMES = {"ws": "ws", "wss": "wss"}


@attrs.define
class _Silence:
    """When the other end was heard, monotonic seconds, and whether it was asked since."""

    since: float
    asked: bool = False


class LiveSocket:
    """A WebSocket to `url` (ws or wss). `timeout` in seconds bounds connecting and writing, not waiting for data."""

    def __init__(self, url: str, timeout: float, *, ping_every_s: float = PING_EVERY_S) -> None:
        self._url = url
        self._address = split_address(url, _SCHEMES)[1]
        self._timeout = timeout
        self._ping_every_s = ping_every_s
        self._lock = threading.Lock()
        self._busy = threading.Lock()
        self._sock: socket.socket | None = None
        self._closed = False
        self._reader = framing.FrameReader(self._read, MAX_MESSAGE_BYTES)
        self._silence = _Silence(0.0)
        self._until: float | None = None

    def open(self, hello: str) -> None:
        """Connect and say `hello` as the first message; raises TransportError."""
        with self._used():
            deadline = Deadline(self._timeout)
            sock = dial(self._address, deadline, self._began)
            try:
                self._began(sock)
                upgrade(sock, self._url, self._address, deadline)
                self._write(framing.encode(hello))
            except (OSError, ValueError) as exc:
                sock.close()
                raise TransportError(explain(exc, str(self._address), self._timeout)) from exc
            except BaseException:
                sock.close()
                raise
            self._silence = _Silence(time.monotonic())

    def receive(self, timeout: float | None) -> str | bytes | None:
        """The next message; None when none came within `timeout` seconds (None: wait for it).

        Raises TransportClosed with the close code when the server closed, TransportError for any other end.
        """
        self._until = None if timeout is None else time.monotonic() + timeout
        with self._used():
            while True:
                try:
                    heard = self._reader.next()
                except framing.Nothing:
                    if self._until is not None and time.monotonic() >= self._until:
                        return None
                    continue
                except OSError as exc:
                    raise TransportError(explain(exc, str(self._address), self._timeout)) from exc
                if isinstance(heard, (str, bytes)):
                    return heard
                self._control(heard)

    def close(self) -> None:
        """Say goodbye and let go; a `receive` that waits on another thread ends with a TransportError. Never raises."""
        with self._lock:
            first, self._closed = not self._closed, True
            sock = self._sock
        if sock is None or not first:
            return
        alone = self._busy.acquire(blocking=False)
        # A TLS session must not be written by one thread while another reads it.
        if alone or not isinstance(sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                sock.settimeout(FAREWELL_S)
                sock.sendall(framing.encode_close(1000))
        with contextlib.suppress(OSError):
            # The plain socket's own method: the TLS one would take the session from under the thread that reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        if alone:
            sock.close()
            self._busy.release()

    # --- inside ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        """While a thread is at the socket; if it is closed meanwhile, that thread lets go of it, and no other."""
        try:
            with self._busy:
                if self._closed:
                    raise self._closed_here()
                yield
        finally:
            if self._closed and self._sock is not None:
                self._sock.close()

    def _closed_here(self) -> TransportError:
        return TransportError(f"the stream from {self._address} was closed on this side")

    def _began(self, sock: socket.socket) -> None:
        with self._lock:
            if not self._closed:
                self._sock = sock
                return
        raise TransportError(f"the connection to {self._address} was closed while it was made")

    def _read(self, count: int) -> bytes:
        sock = self._open_sock()
        try:
            sock.settimeout(self._patience())
            data = sock.recv(count)
        except TimeoutError as exc:
            self._fell_silent()
            raise framing.Nothing from exc
        if not data:
            raise self._closed_here() if self._closed else ConnectionResetError("the other end left without a word")
        self._silence = _Silence(time.monotonic())
        return data

    def _patience(self) -> float:
        """How long to wait now: until the caller's time is up, or the next question is due."""
        now = time.monotonic()
        wait = self._silence.since + self._ping_every_s - now
        if self._until is not None:
            wait = min(wait, self._until - now)
        # Zero would make the socket non-blocking, which tells "nothing yet" in another way.
        return max(wait, 0.001)

    def _fell_silent(self) -> None:
        now = time.monotonic()
        if now < self._silence.since + self._ping_every_s:
            return
        if self._silence.asked:
            raise TransportError(f"nothing was heard from {self._address} for {2 * self._ping_every_s:g} s")
        self._silence = _Silence(now, asked=True)
        self._write(ABNF.create_frame(b"", ABNF.OPCODE_PING).format())

    def _control(self, heard: framing.Incoming) -> None:
        if isinstance(heard, framing.Pinged):
            self._write(framing.encode_pong(heard.payload))
        elif isinstance(heard, framing.Closing):
            words = f": {heard.reason}" if heard.reason else ""
            raise TransportClosed(f"{self._address} closed the stream ({heard.code}{words})", code=heard.code)

    def _write(self, data: bytes) -> None:
        sock = self._open_sock()
        sock.settimeout(self._timeout)
        sock.sendall(data)

    def _open_sock(self) -> socket.socket:
        if self._sock is None or self._closed:
            raise self._closed_here()
        return self._sock
