"""A registry in memory: for tests and gateways that are gone with their process. The model of the others."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from plexus.adapters.registry.naming import name_for, taken_error
from plexus.domain.errors import StoreError
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Run, RunStatus
from plexus.ports.registry import Move, Place


@attrs.define
class _Organisation:
    holders: dict[str, str] = attrs.field(factory=dict)
    """Every known name and the install that holds it, "" for none."""
    claims: dict[tuple[str, str], str] = attrs.field(factory=dict)
    """The name given, by (declared name, install)."""
    metadata: dict[str, str] = attrs.field(factory=dict)
    runs: dict[str, Run] = attrs.field(factory=dict)
    metrics: dict[str, dict[str, MetricInfo]] = attrs.field(factory=dict)

    def foreseen(self, declared: str, install_id: str) -> str:
        """The name that an install has or would get."""
        return self.claims.get((declared, install_id)) or name_for(declared, install_id, self.holders)

    def hold(self, name: str, declared: str, install_id: str) -> None:
        """The install has this name for what it declared."""
        self.holders[name] = install_id
        self.claims[declared, install_id] = name


class MemoryRegistry:
    """What one process knows of sources and runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._organisations: dict[str, _Organisation] = {}
        self._moves: list[Move] = []

    def claim(self, org: str, declared: str, install_id: str) -> str:
        """The name that a device has."""
        with self._lock:
            known = self._of(org)
            if not install_id:
                known.holders.setdefault(declared, "")
                return declared
            name = known.foreseen(declared, install_id)
            if (declared, install_id) not in known.claims:
                known.hold(name, declared, install_id)
            return name

    def foreseen(self, org: str, declared: str, install_id: str) -> str:
        """The name that `claim` would answer now."""
        with self._lock:
            return self._of(org).foreseen(declared, install_id) if install_id else declared

    def prove(self, org: str, source_id: str, install_id: str) -> None:
        """An install has shown that the name is its own."""
        with self._lock:
            known = self._of(org)
            if not install_id:
                known.holders.setdefault(source_id, "")
            elif known.claims.get((source_id, install_id)) != source_id:
                known.hold(source_id, source_id, install_id)

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

    def given(self, org: str, declared: str, install_id: str) -> str | None:
        """The name that an install was given for this one already."""
        with self._lock:
            return self._of(org).claims.get((declared, install_id))

    def begin_move(self, move: Move) -> None:
        """Rename a source, or let go of it, with all that is kept here of it."""
        with self._lock:
            known = self._of(move.org)
            if move.new in known.holders or any(_same(move, other) for other in self._moves):
                raise taken_error(move)
            self._moves.append(move)
            _carry(known, move)

    def moves(self) -> Sequence[Move]:
        """Moves that have begun and not ended."""
        with self._lock:
            return list(self._moves)

    def end_move(self, move: Move) -> None:
        """Everything has followed."""
        with self._lock:
            self._moves.remove(move)

    def put_metric(self, org: str, source_id: str, info: MetricInfo) -> None:
        """Keep what is known of a metric."""
        with self._lock:
            self._of(org).metrics.setdefault(source_id, {})[info.name] = info

    def remove_metric(self, org: str, source_id: str, name: str) -> bool:
        """Let go of it."""
        with self._lock:
            return self._of(org).metrics.get(source_id, {}).pop(name, None) is not None

    def metric_infos(self) -> Mapping[Place, Sequence[MetricInfo]]:
        """What is known of every source's metrics, by name."""
        with self._lock:
            return {
                (org, source_id): [infos[name] for name in sorted(infos)]
                for org, known in self._organisations.items()
                for source_id, infos in known.metrics.items()
                if infos
            }

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

    def snapshot(self, folder: Path) -> None:  # noqa: ARG002 - the port's shape
        """There is nothing to copy from."""
        raise StoreError("what is kept in memory has no file to copy")

    def close(self) -> None:
        """Nothing to let go of."""

    def _of(self, org: str) -> _Organisation:
        return self._organisations.setdefault(org, _Organisation())


def _same(move: Move, other: Move) -> bool:
    return (move.org, move.source_id) == (other.org, other.source_id)


def _carry(known: _Organisation, move: Move) -> None:
    old, new = move.source_id, move.new
    holder, metadata, infos = (
        known.holders.pop(old, ""),
        known.metadata.pop(old, None),
        known.metrics.pop(old, None),
    )
    claims = [claim for claim, name in known.claims.items() if name == old]
    runs = [run for run in known.runs.values() if run.source_id == old]
    for claim in claims:
        del known.claims[claim]
    for run in runs:
        del known.runs[run.run_id]
    if new is None:
        return
    known.holders[new] = holder
    if metadata is not None:
        known.metadata[new] = metadata
    if infos is not None:
        known.metrics[new] = infos
    known.claims.update(dict.fromkeys(claims, new))
    known.runs.update({run.run_id: attrs.evolve(run, source_id=new) for run in runs})
