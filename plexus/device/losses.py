"""The way of a loss: counted where it happens, recorded in the buffer, declared to the gateway in a batch of its own.

A loss is in the buffer `RECORD_AFTER_S` after it was counted at the latest, and before the batch that it is about
leaves: there it survives what a batch survives. It is told once there is a link that takes declarations.
"""

from __future__ import annotations

from collections.abc import Sequence

from plexus.device.backlog import Backlog
from plexus.device.counters import Counters, log
from plexus.device.link import Link
from plexus.device.sealer import Sealer
from plexus.domain.loss import Loss
from plexus.protocol.extensions import BATCH, GAPS, NO_FEATURES

RECORD_AFTER_S = 0.25
DECLARE_EVERY_S = 5.0
"""Losses go on for as long as their cause: they are told of together, since each telling is a stream of its own."""


class Losses:
    """Takes losses from the counters to the backlog, and from its record into batches."""

    def __init__(self, backlog: Backlog, tally: Counters, sealer: Sealer) -> None:
        self._backlog = backlog
        self._counters = tally
        self._sealer = sealer
        self._since: float | None = None
        self._declare_at = float("-inf")

    def note(self, now: float, *, at_once: bool) -> None:
        """Record what was counted, when it is time to, or `at_once`."""
        if not self._counters.unrecorded:
            self._since = None
            return
        if self._since is None:
            self._since = now
        if at_once or now >= self._since + RECORD_AFTER_S:
            self.record()
            self._since = None

    def since(self, born: float | None) -> None:
        """What was counted just now was taken at `born`, monotonic seconds, or later: it is owed from then on."""
        if born is not None and self._counters.unrecorded:
            self._since = born if self._since is None else min(self._since, born)

    def record(self) -> None:
        """Record what was counted."""
        if self._counters.unrecorded:
            self._backlog.lose(self._counters.take_unrecorded())

    def declare(self, link: Link | None, now: float, *, at_once: bool) -> None:
        """Seal what is on the record for a link that takes declarations, when it is time to, or `at_once`."""
        due = now >= self._declare_at or (at_once and self._declare_at < float("inf"))
        if due and takes_gaps(link) and self._backlog.declare(self._sealer.declare):
            self._declare_at = now + DECLARE_EVERY_S

    def refused(self, losses: Sequence[Loss], detail: str) -> None:
        """The gateway does not take the declaration of these: they go back on the record, for the next link."""
        log.warning("the gateway does not take the record of a loss: %s", detail)
        self._backlog.lose(losses)
        self._declare_at = float("inf")

    def try_again(self) -> None:
        """A link is new: it may take what another one did not."""
        if self._declare_at == float("inf"):
            self._declare_at = float("-inf")

    def is_told(self, link: Link | None) -> bool:
        """Whether nothing is left to be declared that could be over this link."""
        if not takes_gaps(link):
            return True
        is_refused = self._declare_at == float("inf")
        recorded = not is_refused and self._backlog.is_anything_to_declare()
        owed = self._counters.unrecorded or recorded or self._backlog.in_flight()
        return not owed and self._backlog.next() is None

    def next_time(self, link: Link | None, now: float) -> float | None:
        """When there is something to do, monotonic seconds."""
        if self._since is not None:
            return self._since + RECORD_AFTER_S
        if takes_gaps(link) and self._backlog.is_anything_to_declare():
            return max(now, self._declare_at)
        return None


def takes_gaps(link: Link | None) -> bool:
    """Whether declarations of losses may go over this link."""
    return {BATCH, GAPS} <= (NO_FEATURES if link is None else link.features)
