"""How fast a client must send what it has begun: a slow line gets through, a trickle does not."""

from __future__ import annotations

from collections.abc import Callable

import attrs


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
