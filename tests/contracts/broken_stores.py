"""Stores that are broken on purpose, each in one way; the contract is to catch every one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from plexus.adapters.store.memory import MemoryStore
from plexus.adapters.store.memoryrows import Row
from plexus.domain.errors import StoreError
from plexus.domain.event import Event
from plexus.domain.loss import merged
from plexus.domain.series import BucketSeries
from plexus.domain.values import Value
from plexus.ports.store import Question, RawSeries, Receipt, Submission, Window
from plexus.protocol.columns import Columns


class LosesAPoint(MemoryStore):
    """Loses the last point of what was gathered with others."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        if len(group) < 2 or len(group[-1].columns) < 2:
            return super().commit(group)
        last = group[-1].columns
        short = Columns(*(getattr(last, field.name)[:-1] for field in attrs.fields(Columns)))
        receipts = super().commit([*group[:-1], attrs.evolve(group[-1], columns=short)])
        return [*receipts[:-1], attrs.evolve(receipts[-1], stored=len(last))]


class StoresRepeats(MemoryStore):
    """Answers a repeat rightly, and stores it all the same."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        receipts = super().commit(group)
        repeated = [one for one, receipt in zip(group, receipts, strict=True) if receipt.verdict == "duplicate"]
        super().commit([attrs.evolve(one, batch=None) for one in repeated])
        return receipts


class CountsALossTwice(MemoryStore):
    """A repeat's losses are added again."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        receipts = super().commit(group)
        for item, receipt in zip(group, receipts, strict=True):
            if receipt.verdict == "duplicate":
                merged(self._orgs[item.org].losses[item.source_id], item.losses)
        return receipts


class MovesTheWatermarkOnFailure(MemoryStore):
    """Judges on the state itself."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        try:
            return super().commit(group)
        except StoreError:
            if not self._closed:
                super().commit([attrs.evolve(one, columns=Columns()) for one in group])
            raise


class StoresHalfAGroup(MemoryStore):
    """Commits one submission at a time."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        return [*super().commit([]), *(receipt for one in group for receipt in super(type(self), self).commit([one]))]


class CrossesOrganisations(MemoryStore):
    """Forgets to ask whose source it is when it aggregates over all of them."""

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
        found: dict[str, Mapping[str, BucketSeries]] = {}
        for one in {org, *self._orgs}:
            found.update(super().buckets(one, source_ids, metrics, window, bucket_ms, question=question))
        return found


class SharesStreams(MemoryStore):
    """Keeps streams without their organisation."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        shared = [attrs.evolve(one, org="acme") if one.batch else one for one in group]
        return super().commit(shared)


class SharesStreamsOfSources(MemoryStore):
    """Goes on with a stream whoever sends the next batch."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        for one in group:
            known = one.batch and self._streams.get((one.org, one.batch.stream))
            if known:
                known.source_id = one.source_id
        return super().commit(group)


class KeepsTheOrderOfArrival(MemoryStore):
    """Does not sort."""

    def _ascending(self, org: str) -> list[Row]:
        self._check_open()
        return list(self._orgs[org].rows)


class SortsEqualTimes(MemoryStore):
    """Sorts by value too."""

    def _ascending(self, org: str) -> list[Row]:
        return sorted(super()._ascending(org), key=lambda row: (row.t_ns, repr(row.value)))


class TruncatedTooEarly(MemoryStore):
    """Says that there is more when the limit is just met."""

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
        found = super().raw(org, source_id, metrics, window, limit, question=question)
        return attrs.evolve(found, truncated=sum(map(len, found.series.values())) >= limit)


class LimitsEachMetric(MemoryStore):
    """Gives every metric the whole limit."""

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
        names = self.names(org, source_id) if metrics is None else metrics
        parts = [
            super(LimitsEachMetric, self).raw(org, source_id, [name], window, limit, question=question)
            for name in names
        ]
        series = {name: found for part in parts for name, found in part.series.items()}
        return RawSeries(series, any(part.truncated for part in parts))


class LatestByCommit(MemoryStore):
    """Takes what came last for what is newest."""

    def latest(self, org: str, source_id: str) -> Mapping[str, tuple[int, Value]]:
        super().latest(org, source_id)
        rows = [row for row in self._orgs[org].rows if row.source_id == source_id and not row.is_event]
        return {row.metric: (row.t_ns, row.value) for row in rows}


class HoldsTheWindowsEnd(MemoryStore):
    """Takes windows for closed ones."""

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
        return super().raw(
            org, source_id, metrics, attrs.evolve(window, end_ns=window.end_ns + 1), limit, question=question
        )


class FloatsIntegers(MemoryStore):
    """Keeps numbers as floats, as a column of doubles does."""

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
        found = super().raw(org, source_id, metrics, window, limit, question=question)
        return attrs.evolve(found, series={name: _floats(series) for name, series in found.series.items()})


class RoundsTimesTwice(MemoryStore):
    """Divides by a float."""

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
        found = super().raw(org, source_id, metrics, window, limit, question=question)
        series = {
            name: attrs.evolve(one, timestamp_ms=[float(round(ms * 1_000_000)) / 1e6 for ms in one.timestamp_ms])
            for name, one in found.series.items()
        }
        return attrs.evolve(found, series=series)


class AggregatesBooleans(MemoryStore):
    """Takes True for 1, as Python does."""

    lying = False

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
        self.lying = True
        try:
            return super().buckets(org, source_ids, metrics, window, bucket_ms, question=question)
        finally:
            self.lying = False

    def _ascending(self, org: str) -> list[Row]:
        rows = super()._ascending(org)
        if not self.lying:
            return rows
        return [attrs.evolve(row, value=int(row.value)) if isinstance(row.value, bool) else row for row in rows]


class RoundsBucketsTowardsZero(MemoryStore):
    """Divides as most databases do."""

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
        found = super().buckets(org, source_ids, metrics, window, bucket_ms, question=question)
        return {
            source: {
                metric: attrs.evolve(one, timestamp_ms=[ms + bucket_ms if ms < 0 else ms for ms in one.timestamp_ms])
                for metric, one in series.items()
            }
            for source, series in found.items()
        }


class ForgetsTags(MemoryStore):
    """Answers events bare."""

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
        found = super().events(org, source_id, window, name, limit, newest=newest, question=question)
        return [attrs.evolve(event, tags={}) for event in found]


class NewestFirst(MemoryStore):
    """Answers the newest events in the order it read them."""

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
        found = super().events(org, source_id, window, name, limit, newest=newest, question=question)
        return found[::-1] if newest else found


class CountsRepeatsAsSigns(MemoryStore):
    """Takes the arrival of a repeat for news of its source."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        receipts = super().commit(group)
        for one in group:
            self._orgs[one.org].seen_ns.update(dict.fromkeys(one.columns.source_id, one.arrival_ns))
        return receipts


def _floats(series: Any) -> Any:
    return attrs.evolve(series, value=[float(value) if type(value) is int else value for value in series.value])
