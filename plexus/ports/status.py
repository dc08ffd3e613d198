"""The status port: one line a change of state, for the person at the machine."""

from __future__ import annotations

from typing import Protocol


class StatusSink(Protocol):
    """Takes lines such as `✓ Connected to gateway as drone-01`, without prefix or line end. Never raises."""

    def line(self, text: str) -> None:
        """Show one line."""
        ...
