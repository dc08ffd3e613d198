"""What is done to a batch that was chosen, in the last moment before it is sent for the first time.

Its stamps are put right where they were made before the clock was told a time; small batches of the backlog are put
together. Both are frozen, durably where the batch is durable, before anything of it is on its way: after a crash the
same name must mean the same content.
"""

from __future__ import annotations

from plexus.device.backlog import Backlog
from plexus.device.lanes import Key, LiveLane, key_of
from plexus.device.link import Link
from plexus.device.rework import MERGED_BYTES, MERGED_POINTS, MERGED_POINTS_OVER_REQUESTS, Rework
from plexus.domain.errors import ProtocolError
from plexus.protocol.batch import Batch


class Readying:
    """Makes batches of the live lane and of the backlog ready for a link."""

    def __init__(self, live: LiveLane, backlog: Backlog, rework: Rework) -> None:
        self._live = live
        self._backlog = backlog
        self._rework = rework

    def ready(self, batch: Batch, link: Link) -> Batch | None:
        """What is sent in the place of `batch`, which is `next` of its lane; None: not now, something failed.

        Raises ProtocolError when it cannot be read.
        """
        if self._live.next() is not batch:
            return self._put_right(batch) if batch.unsynced is not None else self._merged(batch, link)
        if batch.unsynced is None:
            return batch
        right = self._rework.put_right(batch)
        self._live.put_right(batch, right)
        return right

    def _put_right(self, batch: Batch) -> Batch | None:
        """Put right what comes next in the backlog, many at once."""
        rights: dict[Key, Batch] = {key_of(batch): self._rework.put_right(batch)}
        for each in self._backlog.ahead():
            if each.unsynced is not None and key_of(each) not in rights:
                try:
                    rights[key_of(each)] = self._rework.put_right(each)
                except ProtocolError:
                    # Its turn comes: it is given up then.
                    continue
        return rights[key_of(batch)] if self._backlog.rewrite(list(rights.values())) else None

    def _merged(self, batch: Batch, link: Link) -> Batch:
        """The batch, or one that holds it and small ones behind it, so that a slow link catches up."""
        most, least = (MERGED_POINTS_OVER_REQUESTS, 2) if link.one_at_a_time else (MERGED_POINTS, 4)
        if batch.count > most // least or batch.losses or len(batch.body) > MERGED_BYTES // least:
            return batch
        run = self._backlog.run(most, MERGED_BYTES)
        whole = self._rework.merged(run, link.features) if len(run) >= least else None
        return whole if whole is not None and self._backlog.replace(run, whole) else batch
