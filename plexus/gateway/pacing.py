"""How fast a client must send what it has begun: a slow line gets through, a trickle does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

AHEAD_S = 60.0
"""What came fast is good for so much silence behind it and no more: seconds that a message may be ahead of its pace."""


@attrs.frozen
class Pace:
    """Time in proportion to what has come, between a grace and an end.

    Attributes:
        grace_s: what everybody has, seconds.
        bytes_s: every so many bytes give a second more; 0 asks for no rate, and the end alone counts.
        whole_s: the end in any case, seconds.
        monotonic: the clock, seconds.
    """

    grace_s: float
    bytes_s: float
    whole_s: float
    monotonic: Callable[[], float]

    def left_s(self, began: float, came: int) -> float:
        """Seconds that are left to send more, when `came` bytes came since `began` on the clock."""
        until = self.whole_s
        if self.bytes_s:
            until = min(until, self.grace_s + came / self.bytes_s)
        return began + until - self.monotonic()

    def __str__(self) -> str:
        """What was asked for, as a part of a sentence."""
        if not self.bytes_s or self.grace_s >= self.whole_s:
            return f"within {self.whole_s:g} s"
        return f"at {self.bytes_s:g} bytes a second after the first {self.grace_s:g} s, and within {self.whole_s:g} s"


class Arrival:
    """A message of a WebSocket that has begun and is not whole: every byte gives it time, and without any it is over.

    A message may take as long as it needs at its pace, unlike a body: there is no line so slow that 16 MiB may not
    come over it. It costs a look at the clock for every read that does not end a message, and one timer for all of
    them. Nothing at all for a message that comes whole.
    """

    __slots__ = ("_bytes_s", "_due", "_give_up", "_grace_s", "_held", "_loop", "_timer", "under_way")

    def __init__(
        self, grace_s: float, bytes_s: float, loop: asyncio.AbstractEventLoop, give_up: Callable[[str], None]
    ) -> None:
        """`give_up` is told what was asked for, as a sentence; the others are as in `Pace`. 0 bytes: all is let be."""
        self.under_way = False
        """Whether a message has begun that is not whole, and is waited for."""
        self._grace_s = grace_s
        self._bytes_s = bytes_s
        self._loop = loop
        self._give_up = give_up
        self._due = 0.0
        self._held = False
        self._timer: asyncio.TimerHandle | None = None

    def came(self, size: int, *, held: bool) -> None:
        """So many bytes came and no message ended with them. `held`: we do not read on, so nobody is waited for."""
        if not self._bytes_s:
            return
        self._held = held
        if held:
            self.under_way = False
            return
        now = self._loop.time()
        if not self.under_way:
            self._begin(now)
        self._due = min(self._due + size / self._bytes_s, now + max(self._grace_s, AHEAD_S))

    def go_on(self) -> None:
        """We read again: from now on what was begun is waited for."""
        if self._held:
            self._held = False
            self._begin(self._loop.time())

    def end(self) -> None:
        """The message is whole, or none has begun."""
        self.under_way = self._held = False

    def close(self) -> None:
        """Nothing is waited for any more, and nobody is told."""
        self.end()
        self._give_up = _nobody
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, now: float) -> None:
        self.under_way = True
        self._due = now + self._grace_s
        if self._timer is None:  # else that of a message before, which looks what is due when it rings
            self._timer = self._loop.call_later(self._grace_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self.under_way:
            return
        left_s = self._due - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        else:
            self.end()
            self._give_up(
                f"a message must come at {self._bytes_s:g} bytes a second after the first {self._grace_s:g} s"
            )


def _nobody(_reason: str) -> None:
    """Nobody wants to know."""
