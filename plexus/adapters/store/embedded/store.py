"""The store port on the journal, the catalogue and the hot table; see the package for what holds between them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from plexus.adapters.store.embedded import queries, record
from plexus.adapters.store.embedded.journal import Journal, Row
from plexus.adapters.store.embedded.newest import Newest
from plexus.adapters.store.embedded.streams import Key, Streams
from plexus.domain.event import Event
from plexus.domain.loss import Loss
from plexus.domain.series import BucketSeries
from plexus.domain.values import Value
from plexus.ports.store import RawSeries, Receipt, Submission, Window
from plexus.protocol.ledger import Draft

_log = logging.getLogger(__name__)


class EmbeddedStore:
    """Keeps points in `data_dir`, which is made when it is not there.

    Raises StoreError when another gateway holds the directory, when a newer version wrote it, and when the disk fails.
    A journal row that cannot be read does not stop it: `damage` has a sentence for each, and so has the log.
    """

    def __init__(self, data_dir: Path) -> None:
        self._writing = threading.Lock()
        self._journal = Journal(Path(data_dir))
        try:
            self._newest = Newest()
            self._streams = Streams(self._journal)
            self.damage = self._replay()
        except BaseException:
            self._journal.close()
            raise

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        """Store a group in one transaction, durable on return."""
        with self._writing:
            self._journal.check()
            drafts: dict[Key, Draft] = {}
            seen_ns: dict[Key, int] = {}
            receipts = [self._judge(submission, drafts, seen_ns) for submission in group]
            stored = [item for item, receipt in zip(group, receipts, strict=True) if receipt.verdict == "store"]
            moved = {key: draft for key, draft in drafts.items() if draft.moved}
            blocks = record.gather(stored)
            if blocks or moved:
                steps = [
                    record.Step(*key, draft.state.source_id, draft.watermark, draft.prints, seen_ns[key])
                    for key, draft in moved.items()
                ]
                row = record.Record(blocks, steps, record.declared(stored))
                body = record.pack(row)
                leaving = self._streams.leaving(moved)
                seq = self._journal.append(body, row.points, leaving)
                self._streams.settle(seq, moved, seen_ns, leaving)
                self._newest.add(row, body)
            return receipts

    def sources(self, org: str) -> Mapping[str, int]:
        """Every source that has points."""
        with self._newest.catalogue() as catalogue:
            return catalogue.sources(org)

    def names(self, org: str, source_id: str) -> list[str]:
        """Names of the source's metrics, sorted."""
        with self._newest.catalogue() as catalogue:
            return catalogue.names(org, source_id)

    def latest(self, org: str, source_id: str) -> Mapping[str, tuple[int, Value]]:
        """The newest value of each metric."""
        with self._newest.catalogue() as catalogue:
            return catalogue.latest(org, source_id)

    def raw(self, org: str, source_id: str, metrics: Sequence[str] | None, window: Window, limit: int) -> RawSeries:
        """Raw values of the named metrics of one source."""
        with self._newest.fed() as catalogue:
            picked = catalogue.pick(org, [source_id], metrics)
        rows = self._newest.hot.ask(queries.RAW, [list(picked), *queries.bounds(window), limit + 1])
        return queries.raw_series(rows, picked, limit)

    def buckets(
        self,
        org: str,
        source_ids: Sequence[str] | None,
        metrics: Sequence[str] | None,
        window: Window,
        bucket_ms: int,
    ) -> Mapping[str, Mapping[str, BucketSeries]]:
        """Aggregates by source and metric."""
        with self._newest.fed() as catalogue:
            picked = catalogue.pick(org, source_ids, metrics)
        start, end = queries.bounds(window)
        length = bucket_ms * queries.NS_PER_MS
        rows = self._newest.hot.ask(
            queries.BUCKETS, {"series": list(picked), "start": start, "end": end, "length": length}
        )
        return queries.bucket_series(rows, picked, bucket_ms)

    def events(
        self, org: str, source_id: str, window: Window, name: str | None, limit: int, *, newest: bool
    ) -> list[Event]:
        """Events of one source, ascending in time."""
        with self._newest.fed() as catalogue:
            picked = catalogue.pick_events(org, source_id, name)
        sql = queries.NEWEST_EVENTS if newest else queries.OLDEST_EVENTS
        rows = self._newest.hot.ask(sql, [list(picked), *queries.bounds(window), limit])
        return queries.events(reversed(rows) if newest else rows, picked)

    def losses(self, org: str, source_id: str) -> Sequence[Loss]:
        """What the source's devices declared to have dropped."""
        with self._newest.catalogue() as catalogue:
            return catalogue.losses(org, source_id)

    def close(self) -> None:
        """Let go of the directory; what is stored is stored."""
        with self._writing:
            self._newest.close()
            self._journal.close()

    def _judge(self, submission: Submission, drafts: dict[Key, Draft], seen_ns: dict[Key, int]) -> Receipt:
        if submission.batch is None:
            return Receipt("store", len(submission.columns))
        key = (submission.org, submission.batch.stream)
        if key not in drafts:
            drafts[key] = self._streams.draft(*key, submission.source_id)
        seen_ns[key] = submission.arrival_ns
        verdict = drafts[key].judge(submission.batch)
        return Receipt(verdict, len(submission.columns) if verdict == "store" else 0, drafts[key].watermark)

    def _replay(self) -> tuple[str, ...]:
        """Make everything in memory from the journal; returns a sentence for each row that cannot be read."""
        damage = []
        for row in self._journal.rows():
            try:
                found = _read(row)
            except record.DamagedRecord as exc:
                damage.append(self._journal.damaged(row.seq, str(exc)))
            else:
                self._streams.replay(row.seq, found.steps)
                self._newest.add(found, row.body)
        for sentence in damage:
            _log.error("%s", sentence)
        return tuple(damage)


def _read(row: Row) -> record.Record:
    if row.fault:
        raise record.DamagedRecord(row.fault)
    return record.unpack(row.body)
