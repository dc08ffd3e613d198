"""The parts of the store's contract about scans and about what questions may cost catch stores that break them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs
import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.domain.series import BucketSeries
from plexus.ports.store import Question, RawSeries, Selection, Store, Window
from plexus.protocol.columns import Columns
from plexus.testing.contracts import failures
from plexus.testing.contracts.store import AskingContract, ScanningContract


class ScansEvents(MemoryStore):
    """Takes events for points."""

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        for event in [row for row in self._ascending(org) if row.is_event]:
            part = Columns()
            part.add(event.source_id, event.metric, event.t_ns, is_event=False, value=event.value)
            yield part
        yield from super().scan(org, selection, question=question)


class ScansByTime(MemoryStore):
    """Keeps the order in which points lie."""

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        part = Columns()
        for row in self._chosen(org, selection):
            part.add(row.source_id, row.metric, row.t_ns, is_event=False, value=row.value, tags=row.tags)
            part.run_id[-1] = row.run_id
        for start in range(0, len(part), 50_000):
            if question is not None:
                question.read(min(50_000, len(part) - start))
            yield Columns(*(getattr(part, field.name)[start : start + 50_000] for field in attrs.fields(Columns)))


class IgnoresTheWindow(MemoryStore):
    """Counts all of time."""

    def count(self, org: str, selection: Selection, *, question: Question | None = None) -> int:
        return super().count(org, attrs.evolve(selection, window=None), question=question)


class ForgetsRuns(MemoryStore):
    """Scans points bare."""

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        for part in super().scan(org, selection, question=question):
            yield attrs.evolve(part, run_id=[None] * len(part))


class ScansAtOnce(MemoryStore):
    """Makes one part of everything."""

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        whole = Columns()
        for part in super().scan(org, selection, question=question):
            whole.extend(part)
        if len(whole):
            yield whole


class LosesTheSeams(MemoryStore):
    """Drops the last point of a part that is full."""

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        for part in super().scan(org, selection, question=question):
            last = len(part) - (len(part) == 50_000)
            yield Columns(*(getattr(part, field.name)[:last] for field in attrs.fields(Columns)))


class ScansWhatComesLater(MemoryStore):
    """Looks again for every part."""

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        for place, part in enumerate(super().scan(org, selection, question=question)):
            again = list(super().scan(org, selection, question=question)) if place else [part]
            yield again[min(place, len(again) - 1)]


class ReadsWithoutEnd(MemoryStore):
    """Aggregates whatever it costs."""

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
        if question is not None:
            question.check()
        return super().buckets(org, source_ids, metrics, window, bucket_ms)


class NeverEnds(MemoryStore):
    """Does not hear that it is cancelled, or what it may read."""

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
        return super().raw(org, source_id, metrics, window, limit)


class ChecksOnce(MemoryStore):
    """Looks at the question when a scan begins, and not again."""

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        if question is not None:
            question.read(self.count(org, selection))
        yield from super().scan(org, selection)


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (
            ScansEvents,
            {
                "test_a_scan_and_a_count_are_of_metrics_and_of_one_organisation",
            },
        ),
        (
            ScansByTime,
            {
                "test_a_scan_ascends_by_source_metric_and_time",
                "test_equal_times_of_a_scan_keep_the_order_of_commit",
                "test_a_selection_picks_sources_metrics_and_a_window",
            },
        ),
        (
            IgnoresTheWindow,
            {"test_a_selection_picks_sources_metrics_and_a_window", "test_a_count_is_what_a_scan_gives"},
        ),
        (ForgetsRuns, {"test_a_scan_gives_points_as_they_came_with_tags_and_runs"}),
        (
            ScansAtOnce,
            {
                "test_parts_are_bounded_and_nothing_of_a_scan_is_missed_or_twice",
                "test_a_scan_that_is_cancelled_ends_at_its_next_part",
            },
        ),
        (
            LosesTheSeams,
            {
                "test_parts_are_bounded_and_nothing_of_a_scan_is_missed_or_twice",
                "test_a_scan_shows_one_moment",
            },
        ),
        (ScansWhatComesLater, {"test_a_scan_shows_one_moment"}),
        (ReadsWithoutEnd, {"test_a_question_that_reads_too_much_is_refused_with_what_to_do"}),
        (
            NeverEnds,
            {
                "test_a_question_that_reads_too_much_is_refused_with_what_to_do",
                "test_a_question_counts_what_it_reads",
                "test_a_question_that_was_cancelled_is_ended_with_the_reason",
            },
        ),
        (ChecksOnce, {"test_a_scan_that_is_cancelled_ends_at_its_next_part"}),
    ],
)
def test_a_store_that_scans_or_asks_wrongly_fails_by_name(broken: type[MemoryStore], caught_by: set[str]) -> None:
    class Suite(ScanningContract, AskingContract):
        def make(self) -> Store:
            return broken()

    assert set(failures(Suite)) == caught_by
