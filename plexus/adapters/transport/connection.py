"""One open WebSocket, on one socket that never blocks.

Reading never blocks: `receive` takes what is there, then waits for the socket and for `wake` at once, so an idle link
costs nothing. A message that arrives in pieces is gone on with at the next call. Writing never blocks either: what the
network does not take at once is written by later calls. `send` first looks whether the gateway has said goodbye, since
what is written into a socket that is being closed is lost without a sign.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable

from plexus.adapters.transport import framing
from plexus.adapters.transport.addresses import Address, is_loopback
from plexus.adapters.transport.dialing import Deadline
from plexus.adapters.transport.faults import explain
from plexus.adapters.transport.outgoing import Outgoing
from plexus.adapters.transport.tlserrors import not_now, wants_to_write
from plexus.domain.errors import TransportClosed, TransportError

INBOX_MESSAGES = 1_000
FAREWELL_S = 0.25
MAX_PONG_BACKLOG_BYTES = 64 * 1024
"""A gateway that pings and does not read gets no pongs piled up for it."""


class Connection:
    """From the upgrade to the end. After a failure it still hands out what came before."""

    def __init__(
        self,
        sock: socket.socket,
        address: Address,
        timeout: float,
        max_message_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sock.settimeout(0.0)
        self._sock = sock
        self._address = address
        self._timeout = timeout
        self._hidden = address.secure or is_loopback(address.host)
        self._reader = framing.FrameReader(self._read, max_message_bytes)
        self._outgoing = Outgoing(sock, timeout, clock)
        self._inbox: deque[str | bytes] = deque()
        self._failure: TransportError | None = None
        self._mute = False
        self._read_wants_to_write = False
        self._ear, self._bell = socket.socketpair()
        self._ear.settimeout(0.0)
        self._bell.settimeout(0.0)
        self._awaited = selectors.EVENT_READ
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, self._awaited)
        self._selector.register(self._ear, selectors.EVENT_READ)

    # --- what the transport is asked ------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._outgoing.pending

    def send(self, message: str | bytes) -> None:
        """Queue one message and write what goes, unless the gateway has left meanwhile."""
        data = framing.encode(message, hidden=self._hidden)
        while len(self._inbox) < INBOX_MESSAGES and self._step():
            pass
        if self._failure is None:
            self._outgoing.put(data)
            self._write_on()
        if self._failure is not None:
            raise self._failure

    def receive(self, timeout: float) -> str | bytes | None:
        """The next message, waiting for it, and writing meanwhile."""
        end = time.monotonic() + timeout
        while True:
            self._write_on()
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
            if self._outgoing.pending < MAX_PONG_BACKLOG_BYTES:
                self._outgoing.put(framing.encode_pong(incoming.payload))
                self._write_on()
        elif isinstance(incoming, framing.Closing):
            words = f": {incoming.reason}" if incoming.reason else ""
            closed = TransportClosed(
                f"the gateway {self._address} closed the connection ({incoming.code}{words})", code=incoming.code
            )
            self._fail(closed, answer=incoming.code)

    def _read(self, count: int) -> bytes:
        try:
            data = self._sock.recv(count)
        except not_now() as exc:
            self._read_wants_to_write = wants_to_write(exc)
            raise framing.Nothing from exc
        self._read_wants_to_write = False
        if not data:
            raise ConnectionResetError("the other end closed the connection without a word")
        return data

    def _wait(self, seconds: float) -> bool:
        """Until there is something to read or to write on (True), or until `wake` or the end of the time (False)."""
        patience = self._outgoing.patience_left
        self._await_events()
        within = seconds if patience is None else min(seconds, patience)
        ready = [key.fileobj for key, _events in self._selector.select(within)]
        if self._ear in ready:
            with contextlib.suppress(OSError):
                self._ear.recv(4_096)
            return False
        # Where patience ended first, writing once more says so.
        return seconds > 0 and (bool(ready) or within < seconds)

    def _await_events(self) -> None:
        writing = self._outgoing.waits_to_write or self._read_wants_to_write
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if events != self._awaited:
            self._selector.modify(self._sock, events)
            self._awaited = events

    # --- writing --------------------------------------------------------------------------------------------

    def _write_on(self) -> None:
        if self._mute or self._failure is not None or not self._outgoing.pending:
            return
        try:
            self._outgoing.write()
        except OSError as exc:
            # Nothing can be said any more, but what the gateway said before the end still counts, its goodbye most.
            self._mute = True
            while self._step():
                pass
            self._fail(self._broken(exc))

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
        if self._mute:
            return
        deadline = Deadline(FAREWELL_S)
        with contextlib.suppress(OSError):
            # Behind what waits: a frame cannot be cut in two by another.
            self._outgoing.put(framing.encode_close(code))
            self._outgoing.write()
            while linger and self._outgoing.pending:
                writing = self._outgoing.waits_to_write
                _wait_for(self._sock, selectors.EVENT_WRITE if writing else selectors.EVENT_READ, deadline.left())
                self._outgoing.write()
            if linger:
                self._linger(deadline)

    def _linger(self, deadline: Deadline) -> None:
        """Read on until the other end has closed: closing over unread bytes would cut off what was just written."""
        while True:
            left = deadline.left()
            try:
                if not self._sock.recv(framing.READ_BYTES):
                    return
            except not_now():
                _wait_for(self._sock, selectors.EVENT_READ, left)

    def disown(self) -> None:
        """In a forked child: let go of this process's hold on what is the parent's, without a word to the gateway."""
        self._release()

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
