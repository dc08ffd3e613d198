"""What became of what each source sent, counted; declared losses and watermarks are in the store.

The counts are in memory and written down together every few seconds, never batch by batch: a gateway that is killed
forgets at most those of its last seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import attrs

from plexus.domain.loss import Loss
from plexus.domain.source import ClockReport
from plexus.ports.store import Receipt, Submission
from plexus.ports.tallies import Place, Tally

DEAD_LETTERS = frozenset({"refused", "malformed"})
"""Reasons of losses that this gateway refused for good, and that the device keeps for a person to look at. Limits are
none: they say nothing against the points."""


def dead_letters(losses: Iterable[Loss]) -> int:
    """How many of the lost points were refused for good."""
    return sum(loss.count for loss in losses if loss.reason in DEAD_LETTERS)


@attrs.define
class Deliveries:
    """Batches and points of one source.

    Attributes:
        batches: named batches that were stored.
        duplicates: batches that were known already, acknowledged and not stored again.
        gaps_refused: batches that came before one that is missing, and were asked for again.
        forks: batches whose name was taken by other content.
        clock: what its device last said of its clock.
    """

    batches: int = 0
    duplicates: int = 0
    gaps_refused: int = 0
    forks: int = 0
    clock: ClockReport | None = None

    def note(self, receipt: Receipt) -> None:
        """One named batch was judged."""
        if receipt.verdict == "store":
            self.batches += 1
        elif receipt.verdict == "duplicate":
            self.duplicates += 1
        elif receipt.verdict == "gap":
            self.gaps_refused += 1
        else:
            self.forks += 1


class DeliveryBook:
    """One `Deliveries` for each source. Used on the gateway's event loop."""

    def __init__(self) -> None:
        self._books: dict[Place, Deliveries] = {}
        self._changed: set[Place] = set()

    def restore(self, tallies: Mapping[Place, Tally]) -> None:
        """Go on from what was written down."""
        for place, tally in tallies.items():
            self._books[place] = Deliveries(
                tally.batches, tally.duplicates, tally.gaps_refused, tally.forks, tally.clock
            )

    def note(self, submission: Submission, receipt: Receipt) -> None:
        """A submission was judged and, as far as it was new, stored; what has no batch name is not counted."""
        if submission.batch is not None:
            self._changing(submission.org, submission.source_id).note(receipt)

    def told_clock(self, org: str, source_id: str, clock: ClockReport) -> None:
        """A device said what its clock is like."""
        self._changing(org, source_id).clock = clock

    def of(self, org: str, source_id: str) -> Deliveries:
        """What is counted of a source."""
        return self._books.get((org, source_id)) or Deliveries()

    def take_changed(self) -> Collection[Place]:
        """The sources of which something was counted since the last call."""
        taken, self._changed = self._changed, set()
        return taken

    def changed(self, places: Iterable[Place]) -> None:
        """These are to be written down still."""
        self._changed.update(places)

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now."""
        book = self._books.pop((org, source_id), None)
        if book is not None:
            self._books[org, new] = book
            self._changed.add((org, new))
        self._changed.discard((org, source_id))

    def remove(self, org: str, source_id: str) -> None:
        """Count a source from nothing again."""
        self._books.pop((org, source_id), None)
        self._changed.discard((org, source_id))

    def _changing(self, org: str, source_id: str) -> Deliveries:
        place = (org, source_id)
        self._changed.add(place)
        return self._books.setdefault(place, Deliveries())
