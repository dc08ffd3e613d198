"""Where points go that a gateway refused for good: counted, recorded as a loss, and kept for a person to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plexus.device import counters
from plexus.device.counters import Counters
from plexus.device.rework import Rework
from plexus.domain.errors import BufferFault, ProtocolError
from plexus.domain.point import Point
from plexus.ports.deadletters import DeadLetters
from plexus.protocol.batch import Batch
from plexus.protocol.columns import PointFault

LIMITS = frozenset({counters.RATE_LIMITED, "source_limit", "device_limit"})
"""Refusals that say nothing against the points: nobody has to look at them."""


class Burial:
    """Takes in what was refused. A fault of the dead letters is reported and counted, and holds nothing up."""

    def __init__(
        self,
        letters: DeadLetters,
        rework: Rework,
        tally: Counters,
        source_id: Callable[[], str],
        report: Callable[[BufferFault], None],
    ) -> None:
        self._letters = letters
        self._rework = rework
        self._counters = tally
        self._source_id = source_id
        self._report = report

    def refused(self, batch: Batch, reason: str, detail: str) -> None:
        """The whole batch is refused."""
        if reason not in LIMITS and batch.count:
            self._bury(batch, None, reason, detail)
        self._drop(batch, batch.count, reason, detail)

    def faulty(self, batch: Batch, faults: Sequence[PointFault], *, known: bool) -> None:
        """These points of a batch that is stored could not be. `known`: their index is that in the batch as sealed."""
        for error in dict.fromkeys(fault.error for fault in faults if known):
            which = {fault.index for fault in faults if fault.error == error}
            self._bury(batch, which, counters.REFUSED, error)
        self._drop(batch, len(faults), counters.REFUSED, faults[0].error)

    def close(self) -> None:
        """Let go of files."""
        self._letters.close()

    def _bury(self, batch: Batch, which: set[int] | None, reason: str, detail: str) -> None:
        try:
            points = self._rework.points(batch)
        except ProtocolError as exc:
            counters.log.warning("a refused batch of %d points cannot be read: %s", batch.count, exc)
            return
        chosen: list[Point] = [point for index, point in enumerate(points) if which is None or index in which]
        try:
            self._letters.keep(self._source_id(), chosen, reason, detail)
        except BufferFault as exc:
            self._counters.dead_letter_faults += len(chosen)
            self._report(BufferFault(f"{exc}; {len(chosen)} points that the gateway refused are not kept"))
        else:
            self._counters.dead_letters += len(chosen)

    def _drop(self, batch: Batch, count: int, reason: str, detail: str) -> None:
        self._counters.drop(reason, count, detail, first_ms=batch.first_ms, last_ms=batch.last_ms)
