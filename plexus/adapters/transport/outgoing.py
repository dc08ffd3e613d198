"""What is on its way into a socket that never blocks: bytes wait here until the network takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from socket import socket

from plexus.adapters.transport.tlserrors import is_secured, not_now, wants_to_read

RECORD_BYTES = 16 * 1024
"""TLS takes a piece whole or not at all, and then wants the very same piece again: one record is progress to see."""


class Outgoing:
    """Writes to `sock` in order. `patience_s`: how long the network may take nothing; `clock`: monotonic seconds."""

    def __init__(self, sock: socket, patience_s: float, clock: Callable[[], float]) -> None:
        self.pending = 0
        """Bytes that wait."""
        self._sock = sock
        self._patience_s = patience_s
        self._clock = clock
        self._most = RECORD_BYTES if is_secured(sock) else None
        self._waiting: deque[memoryview] = deque()
        self._taken_at = 0.0
        self._wants_to_read = False

    @property
    def waits_to_write(self) -> bool:
        """Whether it goes on once the socket can be written to. (TLS may have to read first.)"""
        return bool(self._waiting) and not self._wants_to_read

    @property
    def patience_left(self) -> float | None:
        """Seconds until what waits has waited too long; None when nothing waits."""
        return max(0.0, self._taken_at + self._patience_s - self._clock()) if self._waiting else None

    def put(self, data: bytes) -> None:
        """Add to what waits."""
        if not self._waiting:
            self._taken_at = self._clock()
        self._waiting.append(memoryview(data))
        self.pending += len(data)

    def write(self) -> None:
        """Write what the network takes at once. Raises OSError, TimeoutError when it took nothing for too long."""
        while self._waiting:
            head = self._waiting[0]
            try:
                taken = self._sock.send(head[: self._most])
            except not_now() as exc:
                self._wants_to_read = wants_to_read(exc)
                if self.patience_left == 0.0:
                    raise TimeoutError("timed out") from exc
                return
            self._wants_to_read = False
            self._taken_at = self._clock()
            self.pending -= taken
            if taken == len(head):
                self._waiting.popleft()
            else:
                self._waiting[0] = head[taken:]
