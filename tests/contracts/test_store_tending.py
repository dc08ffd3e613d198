"""The contract catches stores that are not tended as it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.ports.store import Receipt, Selection, Store, StreamInfo, Submission
from plexus.protocol.ledger import LET_GO
from plexus.testing.contracts import failures
from plexus.testing.contracts.store.tending import TendingContract


class LosesWhatItSeals(MemoryStore):
    """Housekeeping takes the oldest point with it."""

    def maintain(self, now_ns: int) -> bool:
        super().maintain(now_ns)
        for org in self._orgs.values():
            del org.rows[:1]
        return False


class SealsTwice(MemoryStore):
    """Housekeeping shows a point from the journal and from the history."""

    def maintain(self, now_ns: int) -> bool:
        super().maintain(now_ns)
        for org in self._orgs.values():
            org.rows += org.rows[:1]
        return False


class ForgetsStreams(MemoryStore):
    """Housekeeping takes the watermarks with the rows that moved them."""

    def maintain(self, now_ns: int) -> bool:
        super().maintain(now_ns)
        self._streams.clear()
        return False


class ForgetsSilentStreams(MemoryStore):
    """Lets go of streams without a trace."""

    def maintain(self, now_ns: int) -> bool:
        super().maintain(now_ns)
        self._streams = {key: state for key, state in self._streams.items() if not state.was_let_go}
        self._heard = {key: self._heard[key] for key in self._streams}
        return False


class ListsSilentStreams(MemoryStore):
    """Shows what is left of them."""

    def streams(self, org: str, source_id: str) -> Sequence[StreamInfo]:
        gone = [
            StreamInfo(stream, state.watermark, self._heard[own, stream])
            for (own, stream), state in self._streams.items()
            if own == org and state.source_id == source_id and state.was_let_go
        ]
        return [*super().streams(org, source_id), *gone]


class RemovalTakesSilentStreams(MemoryStore):
    """Removes what is left of streams with their source."""

    def remove(self, org: str, selection: Selection) -> int:
        removed = super().remove(org, selection)
        self._streams = {key: state for key, state in self._streams.items() if not state.was_let_go}
        return removed


class RepeatsOfSilentStreams(MemoryStore):
    """Takes the batches of a stream that it let go of for stored ones, which would lose them."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        receipts = super().commit(group)
        return [attrs.evolve(one, verdict="duplicate") if one.upto == LET_GO else one for one in receipts]


class ForgetsLosses(MemoryStore):
    """Housekeeping takes the losses with the rows that declared them."""

    def maintain(self, now_ns: int) -> bool:
        super().maintain(now_ns)
        for org in self._orgs.values():
            org.losses.clear()
        return False


class ListsEveryStream(MemoryStore):
    """Streams of other organisations too."""

    def streams(self, org: str, source_id: str) -> Sequence[StreamInfo]:
        names = [org, *(other for other in self._orgs if other != org)]
        return [info for name in names for info in super(ListsEveryStream, self).streams(name, source_id)]


class RemovesFromEveryone(MemoryStore):
    """Forgets whose points they are."""

    def remove(self, org: str, selection: Selection) -> int:
        removed = [super(RemovesFromEveryone, self).remove(name, selection) for name in [org, *self._orgs]]
        return removed[0]


class RemovesWholeMetrics(MemoryStore):
    """Does not look at the window."""

    def remove(self, org: str, selection: Selection) -> int:
        return super().remove(org, attrs.evolve(selection, window=None))


class KeepsEmptySources(MemoryStore):
    """A source stays known when nothing of it is left."""

    def remove(self, org: str, selection: Selection) -> int:
        before = dict(self._orgs[org].seen_ns)
        removed = super().remove(org, selection)
        self._orgs[org].seen_ns.update(before)
        return removed


class RemovesMetricsOnly(MemoryStore):
    """Leaves events."""

    def remove(self, org: str, selection: Selection) -> int:
        events = [row for row in self._orgs[org].rows if row.is_event]
        removed = super().remove(org, selection)
        kept = [row for row in events if row not in self._orgs[org].rows]
        self._orgs[org].rows += kept
        return removed - len(kept)


class RemovalTakesStreams(MemoryStore):
    """A removed batch comes back with its next repeat."""

    def remove(self, org: str, selection: Selection) -> int:
        removed = super().remove(org, selection)
        self._streams.clear()
        return removed


class RenamesForEver(MemoryStore):
    """Takes what comes under the old name for the renamed source's."""

    renamed: tuple[str, str, str] | None = None

    def rename(self, org: str, source_id: str, new: str) -> None:
        super().rename(org, source_id, new)
        self.renamed = org, source_id, new

    def maintain(self, now_ns: int) -> bool:
        if self.renamed is not None:
            org, source_id, new = self.renamed
            self._orgs[org].seen_ns.pop(new, None)
            super().rename(org, source_id, new)
        return super().maintain(now_ns)


class RenamesOverOthers(MemoryStore):
    """Does not look whether the name is free."""

    def rename(self, org: str, source_id: str, new: str) -> None:
        self._orgs[org].seen_ns.pop(new, None)
        super().rename(org, source_id, new)


class RenameLeavesLosses(MemoryStore):
    """Moves points only."""

    def rename(self, org: str, source_id: str, new: str) -> None:
        losses = dict(self._orgs[org].losses[source_id])
        super().rename(org, source_id, new)
        self._orgs[org].losses[new].clear()
        self._orgs[org].losses[source_id].update(losses)


class SnapshotOfNothing(MemoryStore):
    """Says that it is done."""

    def snapshot(self, folder: Path) -> None:
        folder.mkdir()


REMOVED = "test_a_source_that_is_removed_is_not_known_any_more"
WINDOW = "test_a_window_is_removed_and_the_newest_value_is_what_is_left"
EMPTIED = "test_a_metric_of_which_a_window_leaves_nothing_is_not_known_any_more"
RENAMED = "test_a_renamed_source_has_all_that_it_had"
OLD_NAME = "test_the_old_name_is_free_after_renaming"
ONE_SERIES = "test_points_before_and_after_housekeeping_are_one_series"
REPEAT = "test_a_repeat_is_a_repeat_after_housekeeping"
SILENT = "test_no_batch_of_a_stream_that_was_silent_for_400_days_is_stored_as_new"
SILENT_MOVED = "test_a_stream_that_was_let_go_of_stays_so_when_its_source_is_renamed_or_removed"
NO_ANSWER = "test_housekeeping_changes_no_answer"


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (LosesWhatItSeals, {NO_ANSWER, ONE_SERIES, REPEAT, WINDOW, OLD_NAME}),
        (SealsTwice, {NO_ANSWER, ONE_SERIES, REPEAT, WINDOW, OLD_NAME}),
        (
            ForgetsStreams,
            {
                REPEAT,
                "test_streams_are_those_that_began_with_the_source",
                "test_losses_are_the_same_after_housekeeping",
                SILENT,
                SILENT_MOVED,
            },
        ),
        (ForgetsSilentStreams, {SILENT, SILENT_MOVED}),
        (ListsSilentStreams, {SILENT, SILENT_MOVED}),
        (RemovalTakesSilentStreams, {SILENT_MOVED}),
        (RepeatsOfSilentStreams, {SILENT, SILENT_MOVED}),
        (ForgetsLosses, {"test_losses_are_the_same_after_housekeeping"}),
        (ListsEveryStream, {"test_streams_are_those_that_began_with_the_source"}),
        (RemovesFromEveryone, {REMOVED}),
        (RemovesWholeMetrics, {WINDOW, "test_removing_nothing_removes_nothing"}),
        (KeepsEmptySources, {REMOVED}),
        (RemovesMetricsOnly, {REMOVED, EMPTIED}),
        (RemovalTakesStreams, {"test_a_removed_batch_stays_a_repeat", SILENT_MOVED}),
        (RenamesForEver, {OLD_NAME}),
        (RenamesOverOthers, {"test_a_name_that_has_points_is_not_given_to_another"}),
        (RenameLeavesLosses, {RENAMED}),
        (SnapshotOfNothing, {"test_a_snapshot_is_written_or_refused"}),
    ],
)
def test_a_broken_store_fails_by_name(broken: type[MemoryStore], caught_by: set[str]) -> None:
    class Suite(TendingContract):
        def make(self) -> Store:
            return broken()

    assert set(failures(Suite)) == caught_by
