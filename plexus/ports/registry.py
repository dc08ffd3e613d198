"""The registry port: names that devices hold, sources that were registered, their metrics and their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Run, RunStatus

Place = tuple[str, str]
"""`(org, source_id)`."""


@attrs.frozen
class Move:
    """A source that is getting another name, or is going for good (`new` None)."""

    org: str
    source_id: str
    new: str | None


class Registry(Protocol):
    """What the gateway knows of sources and runs beside their points. Every method may be called from any thread.

    Contract:
    - what a method did is durable when it returns; nothing crosses `org`;
    - the same `install_id` gets its own name back, for the declared name and for the name that it was given;
    - two install ids never hold one name in one org, unless a later one proves that it is its own; a suffixed name was
      known to nobody before;
    - a claim without an install id ("") gets the declared name unchanged, and holds nothing;
    - an install whose source was renamed gets the new name for whatever it declared before;
    - a failure of the storage is a StoreError naming the file.
    """

    def claim(self, org: str, declared: str, install_id: str) -> str:
        """The name that a device has: the declared one, or with `_2`, `_3`, … when another install holds it.

        The result is as long as a device (63) or, for a longer declared name, a gateway (256) may have it: the stem is
        cut to make room for the suffix.
        """
        ...

    def foreseen(self, org: str, declared: str, install_id: str) -> str:
        """The name that `claim` would answer now. Nothing is written."""
        ...

    def prove(self, org: str, source_id: str, install_id: str) -> None:
        """The install's key is for this source alone: the name is what it is given for it from now on, whoever held it.

        It holds the name then; who held it before still gets it back. Without an install id ("") the name is known, and
        held by whoever held it.
        """
        ...

    def register(self, org: str, source_id: str, metadata: str) -> bool:
        """Register a source by name with its JSON metadata; False, changing nothing, if it is registered already.

        A name that was only claimed is not registered yet.
        """
        ...

    def registered(self, org: str) -> list[str]:
        """Names that were claimed or registered, sorted."""
        ...

    def given(self, org: str, declared: str, install_id: str) -> str | None:
        """The name that an install was given for this one already, None if it never claimed it. Nothing is written."""
        ...

    def begin_move(self, move: Move) -> None:
        """Give a source another name here, with its claims, runs and metrics, or let go of it and of all of these.

        It is noted until `end_move`, in the same transaction: what others keep of the source is still to follow.
        Raises ConfigurationError when the new name is known already, or another move of the source is noted.
        """
        ...

    def moves(self) -> Sequence[Move]:
        """Every organisation's moves that have begun and not ended, oldest first."""
        ...

    def end_move(self, move: Move) -> None:
        """Everything has followed."""
        ...

    def put_metric(self, org: str, source_id: str, info: MetricInfo) -> None:
        """Keep what is known of a metric, in place of what was."""
        ...

    def remove_metric(self, org: str, source_id: str, name: str) -> bool:
        """Let go of it; False when nothing was known."""
        ...

    def metric_infos(self) -> Mapping[Place, Sequence[MetricInfo]]:
        """What is known of every source's metrics, by name."""
        ...

    def put_run(self, org: str, run: Run) -> None:
        """Keep a run, replacing one with the same id."""
        ...

    def run(self, org: str, run_id: str) -> Run | None:
        """One run."""
        ...

    def runs(self, org: str, source_id: str | None, status: RunStatus | None) -> list[Run]:
        """Runs, newest start first, equal starts by id; of one source and of one status where these are given."""
        ...

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy into a folder that is there. What is in memory alone raises StoreError."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
