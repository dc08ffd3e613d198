"""The memory transport: a link without a network, its far end in the hands of a test or of a gateway in the process.

It carries either dialect. `transport.peer` is the gateway's side: it hears what was sent, answers, says goodbye or
breaks the link, and lives on when the device opens the link again.
"""

from __future__ import annotations

import threading
from collections import deque

from plexus.adapters.transport.inbox import Inbox
from plexus.domain.errors import TransportClosed, TransportError
from plexus.ports.transport import Dialect
from plexus.protocol.messages import HttpAnswer, HttpRequest, Message


class MemoryTransport:
    """A two-way pipe in memory; safe to use from a thread at each end."""

    def __init__(self, dialect: Dialect = "socket") -> None:
        self._dialect: Dialect = dialect
        self._pipe: _Pipe | None = None
        self.peer = MemoryPeer(dialect)

    @property
    def dialect(self) -> Dialect:
        """As it was made."""
        return self._dialect

    def open(self, timeout: float) -> None:  # noqa: ARG002 - nothing to wait for
        """Connect to `peer`; raises TransportError with the reason that `peer.refuse` was given."""
        self.close()
        self._pipe = self.peer._connect()  # noqa: SLF001 - the two ends are one adapter

    def send(self, message: Message) -> None:
        """Hand one message to the peer."""
        wanted = (str, bytes) if self._dialect == "socket" else (HttpRequest,)
        if not isinstance(message, wanted):
            raise TypeError(f"the {self._dialect} dialect carries no {type(message).__name__} to a gateway")
        self._open_pipe().put_up(message)

    @property
    def pending(self) -> int:
        """Bytes that the peer has not taken, while it is clogged."""
        pipe = self._pipe
        return 0 if pipe is None else pipe.pending

    def receive(self, timeout: float) -> Message | None:
        """The peer's next message."""
        return self._open_pipe().get_down(timeout)

    def wake(self) -> None:
        """Make a `receive` that waits, or the next one, return now."""
        pipe = self._pipe
        if pipe is not None:
            pipe.down.wake()

    def close(self) -> None:
        """Hang up; the peer still receives what was sent before."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.end(TransportError("the device closed the link"))

    def _open_pipe(self) -> _Pipe:
        pipe = self._pipe
        if pipe is None:
            raise TransportError("the connection in memory is not open")
        return pipe


class MemoryPeer:
    """The gateway's end of a MemoryTransport. Without an open link, `send`, `close` and `break_` do nothing."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._changed = threading.Condition()
        self._pipe: _Pipe | None = None
        self._refusal: str | None = None
        self.opened = 0
        """How many links there have been."""

    def receive(self, timeout: float = 10.0) -> Message | None:
        """The device's next message on the newest link, waiting for it (and for a link) at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._pipe is not None, timeout)
            pipe = self._pipe
        return pipe.get_up(timeout) if pipe is not None else None

    def send(self, message: Message) -> None:
        """Say something to the device."""
        wanted = (str, bytes) if self._dialect == "socket" else (HttpAnswer,)
        if not isinstance(message, wanted):
            raise TypeError(f"the {self._dialect} dialect carries no {type(message).__name__} to a device")
        if self._pipe is not None:
            self._pipe.down.put(message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the link on purpose; the device receives what was sent before, then TransportClosed."""
        if self._pipe is not None:
            words = f": {reason}" if reason else ""
            self._pipe.end(TransportClosed(f"the gateway closed the connection ({code}{words})", code=code))

    def break_(self, reason: str = "the connection in memory was cut: its peer broke it") -> None:
        """End the link without a word; the device receives what was sent before, then TransportError(`reason`)."""
        if self._pipe is not None:
            self._pipe.end(TransportError(reason))

    def refuse(self, reason: str | None) -> None:
        """From now on `open` fails with this reason; None lets it succeed again."""
        self._refusal = reason

    def clog(self, clogged: bool = True) -> None:
        """Take nothing from the newest link until told otherwise, as a network that is full; nothing is lost."""
        if self._pipe is not None:
            self._pipe.clogged = clogged

    @property
    def connected(self) -> bool:
        """Whether the device is on the line."""
        pipe = self._pipe
        return pipe is not None and not pipe.ended

    def _connect(self) -> _Pipe:
        if self._refusal is not None:
            raise TransportError(self._refusal)
        with self._changed:
            self._pipe = _Pipe()
            self.opened += 1
            self._changed.notify_all()
            return self._pipe


class _Pipe:
    """One link: messages up to the gateway, messages down to the device. Both ways end together."""

    def __init__(self) -> None:
        self.up: Inbox[Message] = Inbox()
        self.down: Inbox[Message] = Inbox()
        self.clogged = False
        self._waiting: deque[Message] = deque()

    @property
    def ended(self) -> bool:
        return self.down.failure is not None

    @property
    def pending(self) -> int:
        return sum(_size(message) for message in self._waiting)

    def put_up(self, message: Message) -> None:
        if self.down.failure is not None:
            raise self.down.failure
        self._waiting.append(message)
        self.write_on()

    def write_on(self) -> None:
        """Hand over what waits, unless the far end takes nothing."""
        while self._waiting and not self.clogged:
            self.up.put(self._waiting.popleft())

    def get_up(self, timeout: float) -> Message | None:
        try:
            return self.up.take(timeout)
        except TransportError:
            return None

    def get_down(self, timeout: float) -> Message | None:
        self.write_on()
        return self.down.take(timeout)

    def end(self, how: TransportError) -> None:
        self.up.end(how)
        self.down.end(how)


def _size(message: Message) -> int:
    if isinstance(message, str):
        return len(message.encode())
    return len(message if isinstance(message, bytes) else message.body)
