"""`api.commands`: what devices are told to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plexus.api import calls
from plexus.domain.asked import CommandStatus, SentCommand, SourceCommands

if TYPE_CHECKING:
    from plexus.api.link import Link


class Commands:
    """What devices are told to do: `api.commands`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def send(self, source_id: str, command: str, params: Mapping[str, Any] | None = None) -> SentCommand:
        """Send a command; what comes back is true when it is on its way, and false when the device is offline.

        Never tried twice. Its `run_id` is what `get` asks for. Needs the scope `commands`.
        """
        return self._link.ask(calls.command(source_id, command, params))

    def list(
        self, source_id: str, *, state: str | None = None, limit: int | None = None, before: int | None = None
    ) -> SourceCommands:
        """What a source can be told now, and what it was told: the newest `limit` (100 without it, at most 1,000).

        `state` picks those that are, for example, "queued" or "failed"; `before` goes on where an earlier answer ended:
        its `next`.
        """
        return self._link.ask(calls.source_commands(source_id, state, limit, before))

    def get(self, run_id: str) -> CommandStatus:
        """One command with its params, its result and every state that it came to."""
        return self._link.ask(calls.one_command(run_id))
