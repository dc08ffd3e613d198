"""The status port: one line a change of state, for the person at the machine."""

from __future__ import annotations

from typing import Protocol


class StatusSink(Protocol):
    """Takes lines such as `✓ Connected to gateway as drone-01`, without prefix or line end.

    Contract: called by any thread; lines appear whole, in the order of the calls; it never raises, whatever the text
    and wherever it goes: a status line must not end what it tells about.
    """

    def line(self, text: str) -> None:
        """Show one line."""
        ...
