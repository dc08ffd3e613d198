"""A registry in memory: for tests and gateways that are gone with their process. The model of the others."""

from __future__ import annotations

import threading

import attrs

from plexus.adapters.registry.naming import suffixed
from plexus.domain.run import Run, RunStatus


@attrs.define
class _Organisation:
    holders: dict[str, str] = attrs.field(factory=dict)
    """Every known name and the install that holds it, "" for none."""
    claims: dict[tuple[str, str], str] = attrs.field(factory=dict)
    """The name given, by (declared name, install)."""
    metadata: dict[str, str] = attrs.field(factory=dict)
    runs: dict[str, Run] = attrs.field(factory=dict)


class MemoryRegistry:
    """What one process knows of sources and runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._organisations: dict[str, _Organisation] = {}

    def claim(self, org: str, declared: str, install_id: str) -> str:
        """The name that a device has."""
        with self._lock:
            known = self._of(org)
            if not install_id:
                known.holders.setdefault(declared, "")
                return declared
            name = known.claims.get((declared, install_id))
            if name is None:
                free = known.holders.get(declared, "") in ("", install_id)
                name = declared if free else suffixed(declared, known.holders)
                known.holders[name] = install_id
                known.claims[declared, install_id] = name
            return name

    def register(self, org: str, source_id: str, metadata: str) -> bool:
        """Register a source by name; False if it is registered already."""
        with self._lock:
            known = self._of(org)
            if source_id in known.metadata:
                return False
            known.holders.setdefault(source_id, "")
            known.metadata[source_id] = metadata
            return True

    def registered(self, org: str) -> list[str]:
        """Names that were claimed or registered, sorted."""
        with self._lock:
            return sorted(self._of(org).holders)

    def put_run(self, org: str, run: Run) -> None:
        """Keep a run, replacing one with the same id."""
        with self._lock:
            self._of(org).runs[run.run_id] = run

    def run(self, org: str, run_id: str) -> Run | None:
        """One run."""
        with self._lock:
            return self._of(org).runs.get(run_id)

    def runs(self, org: str, source_id: str | None, status: RunStatus | None) -> list[Run]:
        """Runs, newest start first, equal starts by id."""
        with self._lock:
            kept = list(self._of(org).runs.values())
        chosen = [
            run for run in kept if source_id in (None, run.source_id) and (status is None or run.status == status)
        ]
        return sorted(chosen, key=lambda run: (-run.started_ms, run.run_id))

    def close(self) -> None:
        """Nothing to let go of."""

    def _of(self, org: str) -> _Organisation:
        return self._organisations.setdefault(org, _Organisation())
