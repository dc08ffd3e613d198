"""Runs announced to a dictionary: the model that the other registry is compared with."""

from __future__ import annotations

import attrs

from plexus.domain.errors import ApiError, DeliveryError
from plexus.domain.run import Run
from plexus.ports.runs import TestResult


class MemoryRunRegistry:
    """Keeps the newest state of each run in `runs`, by id. While `reachable` is False everything fails.

    It holds no samples, so every criterion fails, as one without samples does.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.reachable = True

    def announce(self, run: Run) -> None:
        """Keep a run's start, or its end beside the start that is known."""
        self._check()
        known = self.runs.get(run.run_id)
        if run.status != "running" and known is not None:
            self.runs[run.run_id] = attrs.evolve(known, status=run.status, ended_ms=run.ended_ms)
        elif known is None or known.started_ms != run.started_ms:
            self.runs[run.run_id] = run

    def open(self, run: Run) -> str:
        """Keep a run's start under an id of its own; one that is known by name, source and time keeps its id."""
        self._check()
        for known in self.runs.values():
            if (known.name, known.source_id, known.started_ms) == (run.name, run.source_id, run.started_ms):
                return known.run_id
        run_id = f"run-{len(self.runs) + 1}"
        self.runs[run_id] = attrs.evolve(run, run_id=run_id)
        return run_id

    def end(self, run: Run) -> TestResult | None:
        """Keep a run's end."""
        self._check()
        known = self.runs.get(run.run_id)
        if known is None:
            raise ApiError(f"NOT_FOUND: there is no run {run.run_id!r}", status=404)
        self.runs[run.run_id] = attrs.evolve(known, status=run.status, ended_ms=run.ended_ms)
        if not known.pass_criteria:
            return None
        results = [{**criterion.to_wire(), "passed": False} for criterion in known.pass_criteria]
        return {"passed": False, "criteria_results": results}

    def close(self) -> None:
        """Nothing to let go of."""

    def _check(self) -> None:
        if not self.reachable:
            raise DeliveryError("the run registry in memory is set to be unreachable")
