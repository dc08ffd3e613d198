"""Status lines kept in a list: for tests, and for programs that show them in their own way."""

from __future__ import annotations


class MemoryStatus:
    """Keeps every line in `lines`, oldest first."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        """Keep one line."""
        self.lines.append(text)
