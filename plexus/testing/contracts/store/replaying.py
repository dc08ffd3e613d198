"""The order of commits: where it is, and what a source had in it."""

from __future__ import annotations

from typing import Any

from plexus.ports.store import Replayed, Selection, Store
from plexus.protocol.columns import Columns
from plexus.testing.contracts.store.suite import StoreSuite, columns, named, refuses, submission

MANY = 1_000


def everything(store: Store, *, org: str = "acme", source_id: str = "rig-01", first: int = 1, most: int = MANY) -> Any:
    """What a source had from a group on, asked for until nothing is left, by numbers; None as the store says it."""
    found: list[tuple[int, Columns]] = []
    end = store.head().seq
    while True:
        part = store.replay(org, source_id, first, most)
        if part is None:
            return None
        found.extend(part.groups)
        if part.next_seq > end:
            return found
        assert part.next_seq > first, "a replay that does not go on"
        first = part.next_seq


class ReplayingContract(StoreSuite):
    """How a store answers `head` and `replay`."""

    def test_an_empty_store_begins_with_group_one(self) -> None:
        with self.store() as store:
            assert store.head().seq == 0
            assert store.replay("acme", "rig-01", 1, MANY) == Replayed([], 1)

    def test_a_group_has_one_number_and_the_next_a_higher_one(self) -> None:
        with self.store() as store:
            first = store.commit([submission(("a", 0, 1)), submission(("a", 1, 2), source_id="rig-02")])
            second = store.commit([submission(("a", 2, 3))])
            assert first[0].seq == first[1].seq < second[0].seq == store.head().seq

    def test_the_order_keeps_its_name(self) -> None:
        with self.store() as store, self.store() as other:
            before = store.head().log
            store.commit([submission(("a", 0, 1))])
            assert store.head().log == before != other.head().log

    def test_a_source_is_replayed_group_by_group_in_the_order_of_commit(self) -> None:
        with self.store() as store:
            numbers = [
                store.commit(
                    [
                        submission(("a", 5 - turn, turn), ("b", 0, "x", {"unit": "V"})),
                        submission(("a", 0, 1), source_id="rig-02"),
                        submission(("a", 0, 1), org="globex"),
                        submission(("door", 0, "open"), is_event=True),
                    ]
                )[0].seq
                for turn in range(3)
            ]
            expected = []
            for turn, seq in enumerate(numbers):
                own = columns([("a", 5 - turn, turn), ("b", 0, "x", {"unit": "V"})])
                own.extend(columns([("door", 0, "open")], is_event=True))
                expected.append((seq, own))
            assert everything(store) == expected

    def test_a_replay_begins_with_the_group_that_is_named(self) -> None:
        with self.store() as store:
            numbers = [store.commit([submission(("a", turn, turn))])[0].seq for turn in range(3)]
            assert [seq for seq, _ in everything(store, first=numbers[1])] == numbers[1:]
            assert everything(store, first=store.head().seq + 1) == []

    def test_a_replay_is_cut_between_groups(self) -> None:
        with self.store() as store:
            for turn in range(4):
                store.commit([submission(("a", turn, turn), ("b", turn, turn))])
            part = store.replay("acme", "rig-01", 1, 3)
            assert part is not None
            assert sum(len(own) for _, own in part.groups) in (2, 4)
            assert [len(own) for _, own in everything(store, most=3)] == [2] * 4

    def test_a_group_that_is_still_to_come_is_not_replayed(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1))])
            assert store.replay("acme", "rig-01", store.head().seq + 2, MANY) is None
            assert store.replay("acme", "rig-01", 0, MANY) is None

    def test_a_repeat_is_not_replayed_twice(self) -> None:
        with self.store() as store:
            for _ in range(2):
                store.commit([submission(("a", 0, 1), batch=named(1))])
            assert [own.value for _, own in everything(store)] == [[1]]

    def test_a_replay_is_not_changed_by_what_becomes_of_the_columns(self) -> None:
        with self.store() as store:
            sent = submission(("a", 0, {"b": [1]}))
            store.commit([sent])
            sent.columns.value[0]["b"].append(2)  # type: ignore[index,call-overload,union-attr]
            assert [own.value for _, own in everything(store)] == [[{"b": [1]}]]

    def test_what_was_removed_is_not_replayed(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1), ("b", 0, 2))])
            store.remove("acme", Selection(["rig-01"], ["a"]))
            store.commit([submission(("a", 1, 3))])
            # A store may have let go of the order up to there, and says so.
            assert [own.value for _, own in everything(store) or ()] in ([[2], [3]], [])
            assert [own.value for _, own in everything(store, first=store.head().seq)] == [[3]]

    def test_a_renamed_source_is_replayed_whole_under_its_new_name(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1)), submission(("a", 0, 10), source_id="rig-02")])
            store.commit([submission(("a", 1, 2))])
            store.rename("acme", "rig-01", "left-arm")
            store.commit([submission(("a", 2, 3), source_id="left-arm")])
            own = [columns for _, columns in everything(store, source_id="left-arm")]
            assert [columns.value for columns in own] == [[1], [2], [3]]
            assert {name for columns in own for name in columns.sources()} == {"left-arm"}
            assert [columns.value for _, columns in everything(store, source_id="rig-02")] == [[10]]

    def test_a_name_that_was_left_is_not_replayed_from_before_that(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1))])
            left = store.head().seq
            store.rename("acme", "rig-01", "left-arm")
            store.commit([submission(("a", 1, 2))])
            assert store.replay("acme", "rig-01", left, MANY) is None
            assert [columns.value for _, columns in everything(store, first=left + 1)] == [[2]]

    def test_nothing_is_replayed_after_closing(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1))])
            store.close()
            assert refuses(store.head)
            assert refuses(lambda: store.replay("acme", "rig-01", 1, MANY))
