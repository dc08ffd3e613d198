"""Stores that do not keep the contract of `head` and `replay` are caught by name."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.adapters.store.memoryrows import copied
from plexus.ports.store import Head, Receipt, Replayed, Store, Submission
from plexus.protocol.columns import Columns
from plexus.testing.contracts import failures
from plexus.testing.contracts.store import ReplayingContract


class Numberless(MemoryStore):
    """Does not say under which number it committed."""

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        return [attrs.evolve(receipt, seq=0) for receipt in super().commit(group)]


class Nameless(MemoryStore):
    """Calls every order the same."""

    def head(self) -> Head:
        return attrs.evolve(super().head(), log="log")


class Renamed(MemoryStore):
    """Calls its order by its last number."""

    def head(self) -> Head:
        head = super().head()
        return Head(f"{head.log}{head.seq}", head.seq)


class FromTheBeginning(MemoryStore):
    """Always begins with the first group."""

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        found = super().replay(org, source_id, first, max_points)
        return found if found is None else super().replay(org, source_id, 1, 1_000_000)


class OrgBlind(MemoryStore):
    """Keeps organisations together."""

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        with self._lock:
            self._groups = [[("acme", columns) for _, columns in group] for group in self._groups]
        return super().replay("acme", source_id, first, max_points)


class SourceBlind(MemoryStore):
    """Gives whole groups."""

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        found = super().replay(org, source_id, first, max_points)
        if found is None:
            return None
        whole = []
        for seq, _ in found.groups:
            own = Columns()
            for name, columns in self._groups[seq - 1]:
                if name == org:
                    own.extend(columns)
            whole.append((seq, own))
        return Replayed(whole, found.next_seq)


class Endless(MemoryStore):
    """Gives all at once."""

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        return super().replay(org, source_id, first, 1_000_000)


class Halves(MemoryStore):
    """Cuts inside of a group."""

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        found = super().replay(org, source_id, first, max_points)
        if found is None or sum(len(own) for _, own in found.groups) <= max_points:
            return found
        *whole, (seq, last) = found.groups
        return Replayed([*whole, (seq, last.rows([0]))], found.next_seq)


class Patient(MemoryStore):
    """Has nothing of what is to come, and says so as if it were all."""

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        return super().replay(org, source_id, first, max_points) or Replayed([], first)


class OldNames(MemoryStore):
    """Replays under the names that sources had then."""

    def rename(self, org: str, source_id: str, new: str) -> None:
        before = [[(name, copied(own)) for name, own in group] for group in self._groups]
        super().rename(org, source_id, new)
        self._groups = before


class Silent(MemoryStore):
    """Has nothing of a name that was left, and says so as if there had been nothing."""

    def rename(self, org: str, source_id: str, new: str) -> None:
        super().rename(org, source_id, new)
        self._left.clear()


IN_ORDER = "test_a_source_is_replayed_group_by_group_in_the_order_of_commit"
REMOVED = "test_what_was_removed_is_not_replayed"
NAMED = "test_a_replay_begins_with_the_group_that_is_named"
NAME = "test_the_order_keeps_its_name"
CUT = "test_a_replay_is_cut_between_groups"
RENAMED = "test_a_renamed_source_is_replayed_whole_under_its_new_name"
LEFT = "test_a_name_that_was_left_is_not_replayed_from_before_that"
NUMBER = "test_a_group_has_one_number_and_the_next_a_higher_one"


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (Numberless, {NUMBER, IN_ORDER, NAMED}),
        (Nameless, {NAME}),
        (Renamed, {NAME}),
        (FromTheBeginning, {NAMED, CUT, REMOVED, LEFT}),
        (OrgBlind, {IN_ORDER}),
        (SourceBlind, {IN_ORDER, RENAMED}),
        (Endless, {CUT}),
        (Halves, {CUT}),
        (OldNames, {RENAMED}),
        (Silent, {LEFT}),
        (Patient, {"test_a_group_that_is_still_to_come_is_not_replayed", LEFT}),
    ],
)
def test_a_broken_store_fails_by_name(broken: type[MemoryStore], caught_by: set[str]) -> None:
    class Suite(ReplayingContract):
        def make(self) -> Store:
            return broken()

    assert set(failures(Suite)) == caught_by
