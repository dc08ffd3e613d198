"""Virtual time: one heap of what is to happen, one source of chance, one trace."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

START_NS = 1_746_969_660_000_000_000
"""Wall clock of the world at its beginning, ns since 1970 UTC."""


class Broken(AssertionError):  # noqa: N818 - it is a promise that is broken, not an error
    """A promise does not hold in this episode."""


class World:
    """Everything happens at `now` (seconds), in the order of time and then of scheduling."""

    def __init__(self, seed: int, *, traced: bool = False) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.lines: list[str] | None = [] if traced else None
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    @property
    def wall_ns(self) -> int:
        """The true time, ns since 1970 UTC."""
        return START_NS + round(self.now * 1e9)

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Have something done at a time; what is in the past happens now."""
        self._count += 1
        heapq.heappush(self._due, (max(when, self.now), self._count, do))

    def after(self, delay: float, do: Callable[[], None]) -> None:
        """Have something done in `delay` seconds."""
        self.at(self.now + delay, do)

    def run(self, until: float) -> None:
        """Let time pass."""
        due = self._due
        while due and due[0][0] <= until:
            self.now, _, do = heapq.heappop(due)
            do()
        self.now = max(self.now, until)

    def chance(self, probability: float) -> bool:
        """Whether it happens this time."""
        return self.rng.random() < probability

    def between(self, low: float, high: float) -> float:
        """A number of this range."""
        return low + (high - low) * self.rng.random()

    def tell(self, who: str, what: str, *facts: object) -> None:
        """A line of the trace."""
        if self.lines is not None:
            words = " ".join(map(str, facts))
            self.lines.append(f"{self.now:10.4f}  {who:<9} {what} {words}")
