"""A store in memory: the model that every other store is compared with. Nothing survives the process.

Rows are kept in the order of commit, a list an organisation, and every question reads them all.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import attrs

from plexus.adapters.store.memoryrows import (
    Row,
    bucket_series,
    copied,
    grouped,
    inside,
    looked_at,
    metric_of,
    milliseconds,
    rows_of,
    selected,
    time_of,
    without,
)
from plexus.domain.errors import StoreError
from plexus.domain.event import Event
from plexus.domain.loss import Loss, merged
from plexus.domain.series import BucketSeries, Series
from plexus.domain.values import Value
from plexus.ports.store import Head, Question, RawSeries, Receipt, Replayed, Selection, StreamInfo, Submission, Window
from plexus.protocol.columns import Columns
from plexus.protocol.ledger import SILENT_NS, Draft, StreamState, is_silent, refusal_of_silent

_log = logging.getLogger(__name__)

_NS_PER_MS = 1_000_000

SCAN_POINTS = 50_000
"""Points in a part of a scan at most."""


@attrs.define
class _Organisation:
    rows: list[Row] = attrs.field(factory=list)
    seen_ns: dict[str, int] = attrs.field(factory=dict)
    losses: dict[str, dict[str, Loss]] = attrs.field(factory=lambda: defaultdict(dict))


class MemoryStore:
    """Keeps everything until `close`, and even then: there is nothing to let go of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orgs: dict[str, _Organisation] = defaultdict(_Organisation)
        self._streams: dict[tuple[str, str], StreamState] = {}
        self._heard: dict[tuple[str, str], int] = {}
        self._log = secrets.token_hex(8)
        self._groups: list[list[tuple[str, Columns]]] = []
        self._left: dict[tuple[str, str], int] = {}
        """By (org, source) that got another name: the last group before that."""
        self._closed = False

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        """Store a group, all of it or nothing."""
        with self._lock:
            self._check_open()
            drafts: dict[tuple[str, str], Draft] = {}
            receipts = [self._judge(submission, drafts) for submission in group]
            stored = [item for item, receipt in zip(group, receipts, strict=True) if receipt.verdict == "store"]
            rows = [(item, list(rows_of(item))) for item in stored]
            for item, new in rows:
                org = self._orgs[item.org]
                org.rows.extend(new)
                org.seen_ns.update({row.source_id: item.arrival_ns for row in new})
                if item.batch is not None:
                    merged(org.losses[item.source_id], item.losses)
            moved = {key: draft.settle() for key, draft in drafts.items() if draft.moved}
            self._streams.update(moved)
            for item in group:
                if item.batch is not None and (item.org, item.batch.stream) in moved:
                    self._heard[item.org, item.batch.stream] = item.arrival_ns
            if stored:
                self._groups.append([(item.org, copied(item.columns)) for item in stored])
            return receipts

    def sources(self, org: str) -> Mapping[str, int]:
        """Every source that has points."""
        with self._lock:
            self._check_open()
            return dict(self._orgs[org].seen_ns)

    def names(self, org: str, source_id: str) -> list[str]:
        """Names of the source's metrics, sorted."""
        return sorted({row.metric for row in self._metrics(org, [source_id], None)})

    def latest(self, org: str, source_id: str) -> Mapping[str, tuple[int, Value]]:
        """The newest value of each metric: rows are ascending, so the last one stays."""
        return {row.metric: (row.t_ns, row.value) for row in self._metrics(org, [source_id], None)}

    def raw(
        self,
        org: str,
        source_id: str,
        metrics: Sequence[str] | None,
        window: Window,
        limit: int,
        *,
        question: Question | None = None,
    ) -> RawSeries:
        """Raw values of the named metrics of one source."""
        rows = looked_at(question, inside(window, self._metrics(org, [source_id], metrics)))
        rows = [row for _, same in groupby(rows, key=time_of) for row in sorted(same, key=metric_of)]
        series = {
            metric: Series([milliseconds(row.t_ns) for row in part], [row.value for row in part])
            for metric, part in grouped(rows[:limit], metric_of).items()
        }
        return RawSeries(series, truncated=len(rows) > limit)

    def buckets(
        self,
        org: str,
        source_ids: Sequence[str] | None,
        metrics: Sequence[str] | None,
        window: Window,
        bucket_ms: int,
        *,
        question: Question | None = None,
    ) -> Mapping[str, Mapping[str, BucketSeries]]:
        """Aggregates by source and metric."""
        rows = looked_at(question, inside(window, self._metrics(org, source_ids, metrics)))
        return {
            source_id: {
                metric: bucket_series(part, bucket_ms) for metric, part in grouped(of_source, metric_of).items()
            }
            for source_id, of_source in grouped(rows, lambda row: row.source_id).items()
        }

    def events(
        self,
        org: str,
        source_id: str,
        window: Window,
        name: str | None,
        limit: int,
        *,
        newest: bool,
        question: Question | None = None,
    ) -> list[Event]:
        """Events of one source, ascending in time."""
        rows = looked_at(
            question,
            (
                row
                for row in inside(window, self._ascending(org))
                if row.is_event and row.source_id == source_id and name in (None, row.metric)
            ),
        )
        chosen = rows[max(0, len(rows) - limit) :] if newest else rows[:limit]
        return [Event(row.metric, row.value, milliseconds(row.t_ns), row.tags, row.source_id) for row in chosen]

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        """Metrics' points by source, metric and time."""
        rows = sorted(self._chosen(org, selection), key=lambda row: (row.source_id, row.metric))
        for start in range(0, len(rows), SCAN_POINTS):
            part = Columns()
            for row in looked_at(question, rows[start : start + SCAN_POINTS]):
                tags = row.tags or None
                part.add(
                    row.source_id, row.metric, row.t_ns, is_event=False, value=row.value, tags=tags, run_id=row.run_id
                )
            yield part

    def count(self, org: str, selection: Selection, *, question: Question | None = None) -> int:
        """How many points `scan` gives."""
        return len(looked_at(question, self._chosen(org, selection)))

    def losses(self, org: str, source_id: str) -> Sequence[Loss]:
        """What the source's devices declared to have dropped."""
        with self._lock:
            self._check_open()
            return [loss for _reason, loss in sorted(self._orgs[org].losses[source_id].items())]

    def head(self) -> Head:
        """Where the order of commits is; a name of this object's own, since nothing of it survives."""
        with self._lock:
            self._check_open()
            return Head(self._log, len(self._groups))

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        """The source's points in the order of commit."""
        with self._lock:
            self._check_open()
            if not 1 <= first <= len(self._groups) + 1 or first <= self._left.get((org, source_id), 0):
                return None
            found: list[tuple[int, Columns]] = []
            points = 0
            for seq in range(first, len(self._groups) + 1):
                own = Columns()
                for name, columns in self._groups[seq - 1]:
                    if name == org:
                        own.extend(columns.of_source(source_id))
                if len(own):
                    found.append((seq, own))
                    points += len(own)
                if points >= max_points:
                    return Replayed(found, seq + 1)
            return Replayed(found, len(self._groups) + 1)

    def streams(self, org: str, source_id: str) -> Sequence[StreamInfo]:
        """The streams that began with this source, the one heard of last first."""
        with self._lock:
            self._check_open()
            found = [
                StreamInfo(stream, state.watermark, self._heard[own, stream])
                for (own, stream), state in self._streams.items()
                if own == org and state.source_id == source_id and not state.was_let_go
            ]
        return sorted(found, key=lambda info: (-info.seen_ns, info.stream))

    def remove(self, org: str, selection: Selection) -> int:
        """Remove points, and sources of which nothing is left."""
        with self._lock:
            self._check_open()
            own = self._orgs[org]
            before = len(own.rows)
            had = {row.source_id for row in own.rows}
            own.rows = [row for row in own.rows if not selected(selection, row.source_id, row.metric, row.t_ns)]
            self._groups = [
                [(name, without(columns, selection) if name == org else columns) for name, columns in group]
                for group in self._groups
            ]
            for source_id in had - {row.source_id for row in own.rows}:
                own.seen_ns.pop(source_id, None)
                own.losses.pop(source_id, None)
            return before - len(own.rows)

    def rename(self, org: str, source_id: str, new: str) -> None:
        """Give a source another name."""
        with self._lock:
            self._check_open()
            own = self._orgs[org]
            if new in own.seen_ns:
                raise StoreError(f"source {new!r} has points already; choose another name, or remove them first")
            if new == source_id:
                return
            own.rows = [attrs.evolve(row, source_id=new) if row.source_id == source_id else row for row in own.rows]
            if source_id in own.seen_ns:
                own.seen_ns[new] = own.seen_ns.pop(source_id)
            merged(own.losses[new], own.losses.pop(source_id, {}).values())
            for group in self._groups:
                for name, columns in group:
                    if name == org:
                        columns.source_id = [new if one == source_id else one for one in columns.source_id]
            self._left[org, source_id] = len(self._groups)
            for (name, _stream), state in self._streams.items():
                if name == org and state.source_id == source_id:
                    state.source_id = new

    def maintain(self, now_ns: int) -> bool:
        """Let go of streams that are silent for long; there is nothing else to do."""
        with self._lock:
            self._check_open()
            for key, state in self._streams.items():
                if is_silent(self._heard[key], now_ns - SILENT_NS):
                    state.let_go()
        return False

    def snapshot(self, folder: Path) -> None:
        """Nothing of it is in files."""
        raise StoreError(f"no snapshot in {folder}: this store is in memory only; name a data directory to keep points")

    def close(self) -> None:
        """Answer no more."""
        self._closed = True

    def _judge(self, submission: Submission, drafts: dict[tuple[str, str], Draft]) -> Receipt:
        if submission.batch is None:
            return Receipt("store", len(submission.columns), seq=len(self._groups) + 1)
        key = (submission.org, submission.batch.stream)
        if key not in drafts:
            drafts[key] = Draft(self._streams.get(key) or StreamState(submission.source_id))
        verdict = drafts[key].judge(submission.batch, submission.source_id)
        if drafts[key].state.was_let_go:
            _log.warning("%s", refusal_of_silent(submission.org, submission.source_id, submission.batch))
        stored = len(submission.columns) if verdict == "store" else 0
        return Receipt(verdict, stored, drafts[key].watermark, len(self._groups) + 1)

    def _chosen(self, org: str, selection: Selection) -> Iterable[Row]:
        rows = self._metrics(org, selection.source_ids, selection.metrics)
        return rows if selection.window is None else inside(selection.window, rows)

    def _metrics(self, org: str, source_ids: Sequence[str] | None, metrics: Sequence[str] | None) -> Iterator[Row]:
        for row in self._ascending(org):
            named = metrics is None or row.metric in metrics
            if named and not row.is_event and (source_ids is None or row.source_id in source_ids):
                yield row

    def _ascending(self, org: str) -> list[Row]:
        """All rows of an organisation by time; the sort is stable, so equal times keep the order of commit."""
        with self._lock:
            self._check_open()
            return sorted(self._orgs[org].rows, key=lambda row: row.t_ns)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
