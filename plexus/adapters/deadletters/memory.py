"""Dead letters in memory: they end with the process."""

from __future__ import annotations

import attrs

from plexus.domain.point import Point

MAX_POINTS = 10_000


@attrs.frozen
class DeadLetter:
    """One refused batch: whose, why in one word, the gateway's words, and its points."""

    source_id: str
    reason: str
    detail: str
    points: tuple[Point, ...]


class MemoryDeadLetters:
    """Keeps the youngest letters, of at most `max_points` points together; a larger one alone."""

    def __init__(self, max_points: int = MAX_POINTS) -> None:
        self._max_points = max_points
        self.letters: list[DeadLetter] = []
        """What is kept, oldest first."""
        self.removed_points = 0
        """Points that had to make room."""

    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        """Keep the points of one refused batch."""
        self.letters.append(DeadLetter(source_id, reason, detail, tuple(points)))
        while len(self.letters) > 1 and sum(len(letter.points) for letter in self.letters) > self._max_points:
            self.removed_points += len(self.letters.pop(0).points)

    def close(self) -> None:
        """Nothing to let go of."""
