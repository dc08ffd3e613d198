"""How runs were judged, for as long as nothing that counts has changed since."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

import attrs

from plexus.domain.run import Judgement, Run

KEPT = 10_000


def newest_arrival(run: Run, arrivals: Mapping[str, int]) -> int:
    """When data of a run's source (of any, for a run of the whole organisation) last arrived; 0 when none did."""
    return arrivals.get(run.source_id, 0) if run.source_id is not None else max(arrivals.values(), default=0)


@attrs.frozen
class _Judged:
    run: Run
    arrival_ns: int
    judgement: Judgement


class Judgements:
    """The last `kept` judgements, in memory: after a restart runs are judged again when they are asked for.

    One holds until the run is another (ended anew, say), or until data of its source arrived that it was not made on.
    Whoever removes points says so (`forget`); one that is made meanwhile is not kept. Any threads may use it.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._judged: OrderedDict[tuple[str, str], _Judged] = OrderedDict()
        self._removals: dict[str, int] = {}

    def removals(self, org: str) -> int:
        """How often points of the organisation were removed; for `keep`, before what is judged is read."""
        with self._lock:
            return self._removals.get(org, 0)

    def last(self, org: str, run: Run) -> Judgement | None:
        """How the run was judged last, on whatever data there was then."""
        with self._lock:
            judged = self._judged.get((org, run.run_id))
            return judged.judgement if judged is not None and judged.run == run else None

    def current(self, org: str, run: Run, arrival_ns: int) -> Judgement | None:
        """The same, when nothing arrived since: `arrival_ns` is the newest arrival now."""
        with self._lock:
            judged = self._judged.get((org, run.run_id))
            holds = judged is not None and judged.run == run and judged.arrival_ns == arrival_ns
            return judged.judgement if judged is not None and holds else None

    def keep(self, org: str, run: Run, arrival_ns: int, removals: int, judgement: Judgement) -> None:
        """It was judged so; `arrival_ns` is the newest arrival, and `removals` what it was, before that."""
        with self._lock:
            if self._removals.get(org, 0) != removals:
                return  # perhaps judged on points that are gone
            self._judged[org, run.run_id] = _Judged(run, arrival_ns, judgement)
            self._judged.move_to_end((org, run.run_id))
            if len(self._judged) > self._kept:
                self._judged.popitem(last=False)

    def forget(self, org: str) -> None:
        """Points of the organisation were removed: nothing that was judged holds. To be called after that."""
        with self._lock:
            self._removals[org] = self._removals.get(org, 0) + 1
            for name in [name for name in self._judged if name[0] == org]:
                del self._judged[name]
