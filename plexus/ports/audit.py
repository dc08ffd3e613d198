"""The audit port: who did what to the gateway, so that it can be asked later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

UNSET_CLOCK_MS = 1_577_836_800_000.0
"""Times before 2020 are those of a clock that was not set: nobody knows how old such an entry is."""

LOCAL = "local"
"""The actor of what was done on the gateway's own machine, without a key."""


@attrs.frozen
class AuditEntry:
    """One thing that was done.

    Attributes:
        at_ms: when, milliseconds since 1970 UTC.
        org: the organisation that it concerns.
        actor: the id of the key that did it (never the key), or LOCAL.
        action: what was done, as noun and verb: "key.create", "source.rename", "data.remove", "command.send".
        subject: what it was done to: a source, a key's id, a run.
        detail: what else there is to know, as JSON has it; never a secret.
    """

    at_ms: float
    org: str
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = attrs.field(factory=dict)


class Audit(Protocol):
    """Every method may be called from any thread.

    Contract:
    - an entry is durable when `record` returns; nothing changes it afterwards, and only `forget` removes it;
    - nothing crosses `org`: entries are numbered in each organisation from 1 on, in the order in which they came;
    - a failure of the storage is a StoreError naming the file.
    """

    def record(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        ...

    def entries(
        self,
        org: str,
        *,
        action: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[tuple[int, AuditEntry]]:
        """Entries with their numbers, newest first; `before` goes on where an earlier answer ended."""
        ...

    def forget(self, before_ms: float) -> int:
        """Remove entries from before then (ms since 1970 UTC), of every organisation, some at once; returns how many.

        0 says that there are no more of them. An organisation's newest entry stays, so that no number is given out
        twice, and so does what a clock that was not set has stamped.
        """
        ...

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy into a folder that is there. What is in memory alone raises StoreError."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
