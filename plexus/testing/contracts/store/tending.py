"""Streams, removal, renaming and housekeeping: nothing of it changes an answer that it should not change."""

from __future__ import annotations

import tempfile
from pathlib import Path

from plexus.domain.loss import Loss
from plexus.ports.store import Receipt, Selection, Store, StreamInfo
from plexus.protocol.batch import MAX_N
from plexus.testing.contracts.store.suite import (
    ALWAYS,
    NS_PER_MS,
    T0_MS,
    StoreSuite,
    after,
    named,
    raw_of,
    refuses,
    submission,
    values_of,
)

T0_NS = T0_MS * NS_PER_MS
DAY_NS = 86_400 * 10**9
LATER_NS = T0_NS + 30 * DAY_NS
OTHER = "f" * 32


def tend(store: Store, now_ns: int = LATER_NS, most: int = 10_000) -> None:
    """Do all the housekeeping that is due at this time, and what is due an hour later."""
    for when in (now_ns, now_ns + 3_600 * 10**9):
        left = most
        while store.maintain(when):
            left -= 1
            assert left, "housekeeping has no end"


def fill(store: Store) -> None:
    """Two sources with metrics and events, and another organisation with the same names."""
    for org in ("acme", "globex"):
        for source_id in ("rig-01", "rig-02"):
            store.commit([submission(*(("rpm", i, i) for i in range(10)), org=org, source_id=source_id, arrival_ns=5)])
            store.commit([submission(("temp", 3, "warm"), ("temp", 1, 20.5), org=org, source_id=source_id)])
            store.commit([submission(("boot", 2, "cold"), org=org, source_id=source_id, is_event=True)])


class TendingContract(StoreSuite):
    """`streams`, `remove`, `rename`, `maintain` and `snapshot`."""

    def test_housekeeping_changes_no_answer(self) -> None:
        with self.store() as store:
            fill(store)
            before = (raw_of(store), raw_of(store, source_id="rig-02"), store.latest("acme", "rig-01"))
            tend(store)
            assert (raw_of(store), raw_of(store, source_id="rig-02"), store.latest("acme", "rig-01")) == before
            assert [event.value for event in store.events("acme", "rig-01", ALWAYS, None, 9, newest=True)] == ["cold"]
            assert dict(store.sources("acme")) == {"rig-01": 1, "rig-02": 1}
            assert store.names("acme", "rig-01") == ["rpm", "temp"]

    def test_points_before_and_after_housekeeping_are_one_series(self) -> None:
        with self.store() as store:
            for i in range(4):
                store.commit([submission(("rpm", i % 2, i), ("rpm", 5 - i, -i))])
                tend(store, LATER_NS + i * 10**13)
            assert values_of(store, "rpm") == [0, 2, 1, 3, -3, -2, -1, 0]
            counts = store.buckets("acme", None, None, ALWAYS, 1_000)["rig-01"]["rpm"].count
            assert sum(counts) == 8

    def test_a_repeat_is_a_repeat_after_housekeeping(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1), batch=named(1)), submission(("rpm", 1, 2), batch=named(2))])
            tend(store)
            assert store.commit([submission(("rpm", 0, 1), batch=named(1))]) == [Receipt("duplicate", 0, 2)]
            assert store.commit([submission(("rpm", 2, 3), batch=named(3))]) == [Receipt("store", 1, 3)]
            assert values_of(store, "rpm") == [1, 2, 3]

    def test_losses_are_the_same_after_housekeeping(self) -> None:
        with self.store() as store:
            for n in (1, 2):
                store.commit([submission(("rpm", n, 1), batch=named(n), losses=[Loss("buffer_full", 3, 7.0, 9.0)])])
                tend(store, LATER_NS + n * 10**13)
            assert list(store.losses("acme", "rig-01")) == [Loss("buffer_full", 6, 7.0, 9.0)]

    def test_streams_are_those_that_began_with_the_source(self) -> None:
        with self.store() as store:
            assert list(store.streams("acme", "rig-01")) == []
            store.commit([submission(("rpm", 0, 1), batch=named(1), arrival_ns=10)])
            store.commit([submission(("rpm", 1, 1), batch=named(4, base=3, stream=OTHER), arrival_ns=20)])
            store.commit([submission(("rpm", 1, 1), batch=named(3, base=3, stream=OTHER), arrival_ns=30)])
            store.commit([submission(("rpm", 1, 1), source_id="rig-02", batch=named(1), arrival_ns=35)])
            store.commit([submission(("rpm", 1, 1), batch=named(2), arrival_ns=40)])
            expected = [StreamInfo(named(1).stream, 2, 40), StreamInfo(OTHER, 3, 30)]
            assert list(store.streams("acme", "rig-01")) == expected
            tend(store)
            assert list(store.streams("acme", "rig-01")) == expected
            assert list(store.streams("acme", "rig-02")) == []
            assert list(store.streams("globex", "rig-01")) == []

    def test_no_batch_of_a_stream_that_was_silent_for_400_days_is_stored_as_new(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", n, n), batch=named(n), arrival_ns=T0_NS) for n in (1, 2, 3)])
            store.commit([submission(("rpm", 9, 9), batch=named(1, stream=OTHER), arrival_ns=T0_NS + 3 * DAY_NS)])
            tend(store, T0_NS + 399 * DAY_NS)
            assert [info.stream for info in store.streams("acme", "rig-01")] == [OTHER, named(1).stream]
            tend(store, T0_NS + 401 * DAY_NS)
            assert [info.stream for info in store.streams("acme", "rig-01")] == [OTHER]
            self._refuses_all_of_it(store, "rig-01")
            assert store.commit([submission(batch=named(2, stream=OTHER))]) == [Receipt("store", 0, 2)]
            never_heard_of = named(57, base=57, stream="d" * 32)
            assert store.commit([submission(batch=never_heard_of)]) == [Receipt("store", 0, 57)]

    def test_a_stream_that_was_let_go_of_stays_so_when_its_source_is_renamed_or_removed(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", n, n), batch=named(n), arrival_ns=T0_NS) for n in (1, 2, 3)])
            tend(store, T0_NS + 401 * DAY_NS)
            store.rename("acme", "rig-01", "bench")
            self._refuses_all_of_it(store, "bench")
            store.remove("acme", Selection(["bench"]))
            tend(store, T0_NS + 900 * DAY_NS)
            self._refuses_all_of_it(store, "bench")
            assert list(store.streams("acme", "bench")) == []

    @staticmethod
    def _refuses_all_of_it(store: Store, source_id: str) -> None:
        """Whatever `n` and `base` say, and whatever is in it."""
        before = values_of(store, "rpm", source_id=source_id)
        for n, base in ((1, 1), (2, 1), (3, 3), (4, 4), (4, 1), (57, 57), (MAX_N, MAX_N)):
            for digest in (None, "ee"):
                again = submission(("rpm", 0, "again"), source_id=source_id, batch=named(n, base, digest=digest))
                (receipt,) = store.commit([again])
                assert (receipt.verdict, receipt.stored) == ("fork", 0)
        assert values_of(store, "rpm", source_id=source_id) == before

    # --- removal -------------------------------------------------------------------------------------------------

    def test_a_source_that_is_removed_is_not_known_any_more(self) -> None:
        with self.store() as store:
            fill(store)
            assert store.remove("acme", Selection(source_ids=["rig-01"])) == 13
            assert dict(store.sources("acme")) == {"rig-02": 1}
            assert store.names("acme", "rig-01") == []
            assert dict(store.latest("acme", "rig-01")) == {}
            assert raw_of(store) == {}
            assert store.events("acme", "rig-01", ALWAYS, None, 9, newest=True) == []
            assert len(raw_of(store, source_id="rig-02")) == 2
            assert dict(store.sources("globex")) == {"rig-01": 1, "rig-02": 1}
            assert len(raw_of(store, org="globex")) == 2

    def test_a_window_is_removed_and_the_newest_value_is_what_is_left(self) -> None:
        with self.store() as store:
            fill(store)
            tend(store)
            store.commit([submission(("rpm", 20, 20))])
            found = store.remove("acme", Selection(["rig-01"], ["rpm"], after(4, 21)))
            assert found == 7
            assert values_of(store, "rpm") == [0, 1, 2, 3]
            assert store.latest("acme", "rig-01")["rpm"] == (T0_NS + 3 * NS_PER_MS, 3)
            assert values_of(store, "temp") == [20.5, "warm"]
            assert len(values_of(store, "rpm", source_id="rig-02")) == 10

    def test_a_metric_of_which_a_window_leaves_nothing_is_not_known_any_more(self) -> None:
        with self.store() as store:
            fill(store)
            assert store.remove("acme", Selection(None, ["temp", "boot"], after(0, 9))) == 6
            assert store.names("acme", "rig-01") == ["rpm"]
            assert set(store.latest("acme", "rig-02")) == {"rpm"}
            assert store.events("acme", "rig-02", ALWAYS, None, 9, newest=True) == []

    def test_removing_nothing_removes_nothing(self) -> None:
        with self.store() as store:
            fill(store)
            for selection in (Selection([]), Selection(None, ["none"]), Selection(None, None, after(50, 60))):
                assert store.remove("acme", selection) == 0
            assert len(values_of(store, "rpm")) == 10

    def test_a_removed_batch_stays_a_repeat(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1), batch=named(1))])
            store.remove("acme", Selection())
            assert store.commit([submission(("rpm", 0, 1), batch=named(1))]) == [Receipt("duplicate", 0, 1)]
            assert values_of(store, "rpm") == []

    def test_what_comes_after_a_removal_is_there(self) -> None:
        with self.store() as store:
            fill(store)
            store.remove("acme", Selection(["rig-01"]))
            store.commit([submission(("rpm", 2, "new"), arrival_ns=9)])
            tend(store)
            assert values_of(store, "rpm") == ["new"]
            assert dict(store.sources("acme")) == {"rig-01": 9, "rig-02": 1}

    # --- renaming ------------------------------------------------------------------------------------------------

    def test_a_renamed_source_has_all_that_it_had(self) -> None:
        with self.store() as store:
            fill(store)
            tend(store)
            store.commit([submission(("rpm", 30, 30), batch=named(1), losses=[Loss("malformed", 2)])])
            before = raw_of(store)
            store.rename("acme", "rig-01", "bench")
            assert raw_of(store, source_id="bench") == before
            assert raw_of(store) == {}
            assert dict(store.sources("acme")) == {"bench": 1, "rig-02": 1}
            assert list(store.losses("acme", "bench")) == [Loss("malformed", 2)]
            assert [info.watermark for info in store.streams("acme", "bench")] == [1]
            event = store.events("acme", "bench", ALWAYS, None, 9, newest=True)[0]
            assert (event.source_id, event.value) == ("bench", "cold")
            assert len(raw_of(store, org="globex")) == 2

    def test_the_old_name_is_free_after_renaming(self) -> None:
        with self.store() as store:
            fill(store)
            store.rename("acme", "rig-01", "bench")
            store.commit([submission(("rpm", 0, "another's"))])
            tend(store)
            assert values_of(store, "rpm") == ["another's"]
            assert len(values_of(store, "rpm", source_id="bench")) == 10

    def test_a_name_that_has_points_is_not_given_to_another(self) -> None:
        with self.store() as store:
            fill(store)
            assert refuses(lambda: store.rename("acme", "rig-01", "rig-02"))
            assert len(values_of(store, "rpm")) == 10

    def test_a_source_that_is_given_its_own_name_keeps_its_losses(self) -> None:
        with self.store() as store:
            store.commit([submission(batch=named(1), losses=[Loss("malformed", 2)])])
            store.rename("acme", "rig-01", "rig-01")
            assert list(store.losses("acme", "rig-01")) == [Loss("malformed", 2)]

    # --- copies and the end ---------------------------------------------------------------------------------------

    def test_a_snapshot_is_written_or_refused(self) -> None:
        with self.store() as store, tempfile.TemporaryDirectory() as folder:
            fill(store)
            target = Path(folder) / "copy"
            if refuses(lambda: store.snapshot(target)):
                assert not target.exists()
            else:
                assert any(target.iterdir())
                assert refuses(lambda: store.snapshot(target)), "the folder is not empty any more"

    def test_nothing_is_tended_after_close(self) -> None:
        with self.store() as store:
            store.close()
            assert refuses(lambda: store.maintain(LATER_NS))
            assert refuses(lambda: store.remove("acme", Selection()))
            assert refuses(lambda: store.rename("acme", "rig-01", "bench"))
            assert refuses(lambda: store.streams("acme", "rig-01"))
