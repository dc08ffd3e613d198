"""What became of what each source sent, counted since the gateway started; declared losses are in the store."""

from __future__ import annotations

import attrs

from plexus.ports.store import Receipt, Submission


@attrs.define
class Deliveries:
    """Batches and points of one source, since the gateway started.

    Attributes:
        batches: named batches that were stored.
        duplicates: batches that were known already, acknowledged and not stored again.
        gaps_refused: batches that came before one that is missing, and were asked for again.
        forks: batches whose name was taken by other content.
    """

    batches: int = 0
    duplicates: int = 0
    gaps_refused: int = 0
    forks: int = 0

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
        self._books: dict[tuple[str, str], Deliveries] = {}

    def note(self, submission: Submission, receipt: Receipt) -> None:
        """A submission was judged and, as far as it was new, stored; what has no batch name is not counted."""
        if submission.batch is not None:
            self._books.setdefault((submission.org, submission.source_id), Deliveries()).note(receipt)

    def of(self, org: str, source_id: str) -> Deliveries:
        """What is counted of a source."""
        return self._books.get((org, source_id)) or Deliveries()
