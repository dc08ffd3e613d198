"""The commandbook port: every command that was asked for, by whom, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import attrs

Kind = Literal["run", "call"]
"""A typed run of protocol 1, which its device answers under the run's id; or a call, as 0.5.2 knows them."""

State = Literal["queued", "acknowledged", "running", "succeeded", "failed", "expired", "offline"]

STATES: Mapping[str, State] = {
    "queued": "queued",
    "acknowledged": "acknowledged",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "expired": "expired",
    "offline": "offline",
}
"""
queued: on its way, its device has not said that it has it;
acknowledged, running, succeeded, failed: as its device said;
expired: its device did not say in time that it has it; what it says later still counts;
offline: its device was not connected, so it was never sent.
"""

ENDED = frozenset({"succeeded", "failed", "expired", "offline"})
FINAL = frozenset({"succeeded", "failed"})
"""What a device said last of a command; nothing is taken after it."""

KEPT = 10_000
"""Commands of one organisation, unless told otherwise."""


@attrs.frozen
class Step:
    """A state that a command came to, and when (milliseconds since 1970 UTC)."""

    at_ms: float
    state: State
    attempt: int = 1
    progress: float | None = None
    message: str | None = None


@attrs.frozen
class CommandEntry:
    """One command.

    Attributes:
        run_id: of the gateway's making, unlike any other; its device answers under it.
        kind: a run, or a call.
        actor: the id of the key that asked for it.
        asked_ms, expires_ms: when it was asked for, and from when on it is not to be begun; milliseconds since 1970.
        state: the last one.
        seq: of the last status that its device said of a run.
        attempts: how often it was sent.
        result, error_code, error_message: as its device said when it ended.
        steps: the states that it came to, oldest first; of progress in a row, the last.
    """

    org: str
    source_id: str
    run_id: str
    command: str
    params: Mapping[str, Any]
    kind: Kind
    actor: str
    asked_ms: float
    expires_ms: float
    state: State = "queued"
    seq: int = 0
    attempts: int = 1
    result: Any = None
    error_code: str | None = None
    error_message: str | None = None
    steps: Sequence[Step] = ()

    @property
    def changed_ms(self) -> float:
        """When it came to its state, milliseconds since 1970 UTC."""
        return self.steps[-1].at_ms if self.steps else self.asked_ms


class Commandbook(Protocol):
    """Every method may be called from any thread.

    Contract:
    - what a method did is durable when it returns; nothing crosses `org`;
    - entries are numbered in the order in which they were put first, in each organisation from 1 on;
    - the newest entries of an organisation are kept, as many as the book was made for, and older ones are let go of;
    - a failure of the storage is a StoreError naming the file.
    """

    def put(self, entry: CommandEntry) -> None:
        """Keep an entry; one with its org, source and run id is replaced and keeps its number."""
        ...

    def find(self, org: str, run_id: str, source_id: str | None = None) -> CommandEntry | None:
        """The entry with this run id; of this source, where one is named, else the one that was put first."""
        ...

    def entries(
        self, org: str, source_id: str, *, state: State | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[tuple[int, CommandEntry]]:
        """Entries of a source with their numbers, newest first; `before` goes on where an earlier answer ended."""
        ...

    def queued(self) -> Sequence[CommandEntry]:
        """Every organisation's entries in the state "queued", oldest first within each."""
        ...

    def forget(self, before_ms: float) -> int:
        """Let go of entries that were asked for before then; returns how many."""
        ...

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now: its entries go with it."""
        ...

    def remove(self, org: str, source_id: str) -> int:
        """Let go of a source's entries; returns how many."""
        ...

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy into a folder that is there. What is in memory alone raises StoreError."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
