"""Messages of one link that one thread hands in and another one waits for, and how the link ended."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from plexus.domain.errors import TransportError

M = TypeVar("M")


class Inbox(Generic[M]):
    """A queue with an end and a bell. Any thread may call any method."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: deque[M] = deque()
        self._failure: TransportError | None = None
        self._woken = False

    @property
    def failure(self) -> TransportError | None:
        """How the link ended; None while it has not."""
        return self._failure

    def put(self, message: M) -> None:
        """Hand one in; after the end it is not heard."""
        with self._changed:
            if self._failure is None:
                self._messages.append(message)
                self._changed.notify_all()

    def take(self, timeout: float) -> M | None:
        """The next one, waiting at most `timeout` seconds; None if none came or `wake` was called.

        What came before the end is still given; then the end is raised, again and again.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._failure or self._woken, timeout)
            if self._messages:
                return self._messages.popleft()
            if self._failure is not None:
                raise self._failure
            self._woken = False
            return None

    def wake(self) -> None:
        """Make a `take` that waits, or the next one that would, return now."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def end(self, failure: TransportError) -> None:
        """The link is over; only the first end counts."""
        with self._changed:
            if self._failure is None:
                self._failure = failure
                self._changed.notify_all()
