"""Runs announced to a dictionary: the model that the other registry is compared with."""

from __future__ import annotations

import attrs

from plexus.domain.errors import DeliveryError
from plexus.domain.run import Run


class MemoryRunRegistry:
    """Keeps the newest state of each run in `runs`, by id. While `reachable` is False every announcement fails."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.reachable = True

    def announce(self, run: Run) -> None:
        """Keep a run's start, or its end beside the start that is known."""
        if not self.reachable:
            raise DeliveryError("the run registry in memory is set to be unreachable")
        known = self.runs.get(run.run_id)
        if run.status != "running" and known is not None:
            self.runs[run.run_id] = attrs.evolve(known, status=run.status, ended_ms=run.ended_ms)
        elif known is None or known.started_ms != run.started_ms:
            self.runs[run.run_id] = run

    def close(self) -> None:
        """Nothing to let go of."""
