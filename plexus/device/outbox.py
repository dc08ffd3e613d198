"""What goes to the gateway beside points and video: answers to commands, and news of what can be commanded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from plexus.domain.command import CommandOutcome

OUTCOMES_KEPT = 256
HELLO_AGAIN_AFTER_S = 0.1


class Outbox:
    """Filled by any thread, emptied by the uplink, which `ring` wakes."""

    def __init__(self, ring: Callable[[], None] = lambda: None) -> None:
        self._ring = ring
        self._outcomes: deque[CommandOutcome] = deque(maxlen=OUTCOMES_KEPT)
        self._hello_wanted = False
        self._hello_at: float | None = None

    def answer(self, outcome: CommandOutcome) -> None:
        """An answer to a command, kept until there is a socket."""
        self._outcomes.append(outcome)
        self._ring()

    def want_hello(self) -> None:
        """Something new is to be declared at a greeting."""
        self._hello_wanted = True
        self._ring()

    def greeted(self) -> None:
        """A greeting is being said just now, with all that is declared so far."""
        self._hello_wanted = False
        self._hello_at = None

    def is_hello_due(self, now: float) -> bool:
        """Whether to greet again; a moment after it was asked for, since declarations come several at a time."""
        if not self._hello_wanted:
            return False
        if self._hello_at is None:
            self._hello_at = now + HELLO_AGAIN_AFTER_S
        return now >= self._hello_at

    def next_time(self) -> float | None:
        """When a greeting is due, monotonic seconds; as of the last `is_hello_due`."""
        return self._hello_at

    def take_outcomes(self) -> list[CommandOutcome]:
        """Answers to send, in order."""
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]
