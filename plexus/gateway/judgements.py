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
    Any threads may use it.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._judged: OrderedDict[tuple[str, str], _Judged] = OrderedDict()

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

    def keep(self, org: str, run: Run, arrival_ns: int, judgement: Judgement) -> None:
        """It was judged so; `arrival_ns` is the newest arrival as it was before that."""
        with self._lock:
            self._judged[org, run.run_id] = _Judged(run, arrival_ns, judgement)
            self._judged.move_to_end((org, run.run_id))
            if len(self._judged) > self._kept:
                self._judged.popitem(last=False)

    def forget(self, org: str) -> None:
        """Points of the organisation were removed: nothing that was judged holds."""
        with self._lock:
            for name in [name for name in self._judged if name[0] == org]:
                del self._judged[name]
