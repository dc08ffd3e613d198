"""What a store takes, what it refuses, and what a failure leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from plexus.domain.loss import Loss
from plexus.ports.store import Receipt, Store, Submission
from plexus.protocol.ledger import DIGESTS_KEPT
from plexus.testing.contracts.store.suite import (
    ALWAYS,
    T0_MS,
    StoreSuite,
    named,
    raw_of,
    refuses,
    submission,
    values_of,
)


class CommitContract(StoreSuite):
    """What is stored, and what is not."""

    def test_what_is_stored_is_in_every_answer_once(self) -> None:
        with self.store() as store:
            receipts = store.commit([submission(("up", 0, "x")), submission(("rpm", 0, 1.5), ("rpm", 1, 2.5))])
            assert receipts == [Receipt("store", 1), Receipt("store", 2)]
            assert raw_of(store) == {
                "rpm": repr([(T0_MS + 0.0, 1.5), (T0_MS + 1.0, 2.5)]),
                "up": repr([(T0_MS + 0.0, "x")]),
            }
            assert store.names("acme", "rig-01") == ["rpm", "up"]
            assert store.latest("acme", "rig-01")["rpm"][1] == 2.5
            assert store.buckets("acme", None, None, ALWAYS, 1_000)["rig-01"]["rpm"].count == [2]
            assert list(store.sources("acme")) == ["rig-01"]

    def test_an_empty_store_answers_with_nothing(self) -> None:
        with self.store() as store:
            assert dict(store.sources("acme")) == {}
            assert store.names("acme", "rig-01") == []
            assert dict(store.latest("acme", "rig-01")) == {}
            assert raw_of(store) == {}
            assert dict(store.buckets("acme", None, None, ALWAYS, 60_000)) == {}
            assert store.events("acme", "rig-01", ALWAYS, None, 10, newest=True) == []

    def test_an_empty_group_is_answered_with_an_empty_list(self) -> None:
        with self.store() as store:
            assert store.commit([]) == []

    def test_a_submission_without_a_name_is_always_stored(self) -> None:
        with self.store() as store:
            same = submission(("rpm", 0, 1.5))
            assert store.commit([same]) == store.commit([same]) == [Receipt("store", 1)]
            assert values_of(store, "rpm") == [1.5, 1.5]

    def test_a_repeat_is_acknowledged_and_not_stored(self) -> None:
        with self.store() as store:
            first = submission(("rpm", 0, 1.5), batch=named(1))
            assert store.commit([first]) == [Receipt("store", 1, 1)]
            assert store.commit([first]) == [Receipt("duplicate", 0, 1)]
            assert values_of(store, "rpm") == [1.5]

    def test_a_repeat_inside_one_group_is_not_stored(self) -> None:
        with self.store() as store:
            first = submission(("rpm", 0, 1.5), batch=named(1))
            assert store.commit([first, first]) == [Receipt("store", 1, 1), Receipt("duplicate", 0, 1)]
            assert values_of(store, "rpm") == [1.5]

    def test_a_repeat_under_another_source_is_a_repeat(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1.5), batch=named(1))])
            renamed = submission(("rpm", 0, 1.5), source_id="rig-01_2", batch=named(1))
            assert store.commit([renamed]) == [Receipt("duplicate", 0, 1)]
            assert list(store.sources("acme")) == ["rig-01"]

    def test_a_stream_takes_nothing_new_from_another_source_than_its_first(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1.5), batch=named(1))])
            others = [named(2), named(2, base=2), named(9, base=9), named(1, digest="ee")]
            foreign = [submission(("rpm", 1, 9), source_id="rig-02", batch=name) for name in others]
            assert store.commit(foreign) == [Receipt("fork", 0, 1)] * 4
            assert list(store.sources("acme")) == ["rig-01"]
            assert store.commit([submission(("rpm", 1, 2.5), batch=named(2))]) == [Receipt("store", 1, 2)]
            assert values_of(store, "rpm") == [1.5, 2.5]

    def test_a_stream_is_its_first_sources_inside_one_group_too(self) -> None:
        with self.store() as store:
            group = [submission(batch=named(1)), submission(source_id="rig-02", batch=named(2))]
            assert [receipt.verdict for receipt in store.commit(group)] == ["store", "fork"]
            other = submission(source_id="rig-02", batch=named(2, stream="f" * 32, base=2))
            assert [receipt.verdict for receipt in store.commit([other])] == ["store"]

    def test_a_renamed_source_goes_on_with_its_stream_and_its_old_name_does_not(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1.5), batch=named(1))])
            store.rename("acme", "rig-01", "left-arm")
            old, new = (submission(("rpm", 1, 2.5), source_id=name, batch=named(2)) for name in ("rig-01", "left-arm"))
            assert store.commit([old]) == [Receipt("fork", 0, 1)]
            assert store.commit([new]) == [Receipt("store", 1, 2)]
            assert values_of(store, "rpm", source_id="left-arm") == [1.5, 2.5]

    def test_an_earlier_repeat_is_a_repeat(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", n, n), batch=named(n)) for n in (1, 2, 3)])
            assert store.commit([submission(("rpm", 1, 1), batch=named(1))]) == [Receipt("duplicate", 0, 3)]

    def test_earlier_submissions_of_a_group_count_for_later_ones(self) -> None:
        with self.store() as store:
            group = [submission(("rpm", n, n), batch=named(n)) for n in (1, 2, 4, 3, 4)]
            verdicts = [(receipt.verdict, receipt.upto) for receipt in store.commit(group)]
            assert verdicts == [("store", 1), ("store", 2), ("gap", 2), ("store", 3), ("store", 4)]
            assert values_of(store, "rpm") == [1, 2, 3, 4]

    def test_a_gap_is_refused_and_nothing_of_it_is_stored(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1.5), batch=named(1))])
            assert store.commit([submission(("rpm", 1, 2.5), batch=named(3))]) == [Receipt("gap", 0, 1)]
            assert values_of(store, "rpm") == [1.5]

    def test_an_unknown_stream_begins_where_its_base_says(self) -> None:
        with self.store() as store:
            assert store.commit([submission(("rpm", 0, 1.5), batch=named(2))]) == [Receipt("gap", 0, 0)]
            other = named(7, base=7, stream="f" * 32)
            assert store.commit([submission(("rpm", 0, 1.5), batch=other)]) == [Receipt("store", 1, 7)]

    def test_a_base_raises_the_watermark_also_when_the_batch_is_refused(self) -> None:
        with self.store() as store:
            assert store.commit([submission(("rpm", 0, 1.5), batch=named(9, base=5))]) == [Receipt("gap", 0, 4)]
            assert store.commit([submission(("rpm", 0, 1.5), batch=named(5))]) == [Receipt("store", 1, 5)]

    def test_the_same_number_with_other_content_is_a_fork(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1.5), batch=named(1))])
            other = submission(("rpm", 0, 9.5), batch=named(1, digest="ee"))
            assert store.commit([other]) == [Receipt("fork", 0, 1)]
            assert values_of(store, "rpm") == [1.5]

    def test_a_repeat_is_known_while_its_digest_is_kept_and_a_fork_after_that(self) -> None:
        with self.store() as store:
            last = DIGESTS_KEPT + 1
            store.commit([submission(batch=named(n)) for n in range(1, last + 1)])
            assert store.commit([submission(batch=named(2))]) == [Receipt("duplicate", 0, last)]
            assert store.commit([submission(batch=named(1))]) == [Receipt("fork", 0, last)]

    def test_a_batch_that_was_given_up_is_a_fork_when_it_comes_after_all(self) -> None:
        with self.store() as store:
            store.commit([submission(batch=named(1)), submission(batch=named(5, base=5))])
            assert store.commit([submission(batch=named(3))]) == [Receipt("fork", 0, 5)]
            assert store.commit([submission(batch=named(1))]) == [Receipt("duplicate", 0, 5)]

    def test_a_named_batch_without_points_moves_the_watermark(self) -> None:
        with self.store() as store:
            assert store.commit([submission(batch=named(1))]) == [Receipt("store", 0, 1)]
            assert store.commit([submission(("rpm", 0, 1.5), batch=named(2))]) == [Receipt("store", 1, 2)]
            assert list(store.sources("acme")) == ["rig-01"]

    def test_a_declared_loss_is_kept_once_however_often_it_comes(self) -> None:
        with self.store() as store:
            gap = submission(batch=named(1), losses=[Loss("buffer_full", 7, 10.0, 20.0)])
            store.commit([gap])
            assert store.commit([gap]) == [Receipt("duplicate", 0, 1)]
            assert list(store.losses("acme", "rig-01")) == [Loss("buffer_full", 7, 10.0, 20.0)]

    def test_losses_add_up_by_reason_over_streams(self) -> None:
        with self.store() as store:
            store.commit([submission(batch=named(1), losses=[Loss("refused", 1), Loss("buffer_full", 2, 10.0, 20.0)])])
            store.commit([submission(batch=named(1, stream="f" * 32), losses=[Loss("buffer_full", 3, 5.0, 15.0)])])
            found = list(store.losses("acme", "rig-01"))
            assert found == [Loss("buffer_full", 5, 5.0, 20.0), Loss("refused", 1)]

    def test_a_loss_of_a_group_that_fails_is_not_kept(self) -> None:
        with self.store() as store:
            gap = submission(batch=named(1), losses=[Loss("buffer_full", 7)])
            assert self._fails(store, [gap, submission(("bad", 0, object()))])
            assert list(store.losses("acme", "rig-01")) == []

    def test_a_loss_without_a_batch_name_is_passed_over(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1.5), losses=[Loss("buffer_full", 7)])])
            assert list(store.losses("acme", "rig-01")) == []

    def test_losses_of_other_sources_and_organisations_are_theirs(self) -> None:
        with self.store() as store:
            store.commit([submission(batch=named(1), losses=[Loss("buffer_full", 7)])])
            assert list(store.losses("acme", "rig-02")) == []
            assert list(store.losses("globex", "rig-01")) == []

    def test_streams_of_two_organisations_never_meet(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1.5), batch=named(1))])
            other = submission(("rpm", 0, 2.5), org="globex", batch=named(1))
            assert store.commit([other]) == [Receipt("store", 1, 1)]

    def test_a_group_that_fails_stores_nothing(self) -> None:
        with self.store() as store:
            assert self._fails(store, [submission(("rpm", 0, 1.5)), submission(("bad", 0, object()))])
            assert dict(store.sources("acme")) == {}
            assert raw_of(store) == {}
            store.commit([submission(("rpm", 0, 2.5))])
            assert values_of(store, "rpm") == [2.5]

    def test_a_group_that_fails_moves_no_watermark(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1), batch=named(1))])
            second = submission(("rpm", 1, 2), batch=named(2))
            fresh = submission(("rpm", 2, 3), batch=named(1, stream="f" * 32))
            assert self._fails(store, [second, fresh, submission(("bad", 0, object()))])
            assert store.commit([second, fresh]) == [Receipt("store", 1, 2), Receipt("store", 1, 1)]
            assert values_of(store, "rpm") == [1, 2, 3]

    def test_an_integer_that_no_answer_could_hold_is_refused(self) -> None:
        with self.store() as store:
            assert self._fails(store, [submission(("big", 0, 2**64))])
            assert self._fails(store, [submission(("big", 0, {"deep": [-(2**63) - 1]}))])
            assert raw_of(store) == {}

    def test_other_threads_see_what_was_committed(self) -> None:
        with self.store() as store:
            seen: list[int] = []
            for n in range(1, 6):
                writer = threading.Thread(target=store.commit, args=([submission(("rpm", n, n))],))
                writer.start()
                writer.join()
                reader = threading.Thread(target=lambda: seen.append(len(values_of(store, "rpm"))))
                reader.start()
                reader.join()
            assert seen == [1, 2, 3, 4, 5]

    def test_a_closed_storerefuses(self) -> None:
        with self.store() as store:
            store.close()
            assert self._fails(store, [submission(("rpm", 0, 1.5))])
            for question in (
                lambda: store.sources("acme"),
                lambda: store.names("acme", "rig-01"),
                lambda: store.latest("acme", "rig-01"),
                lambda: store.raw("acme", "rig-01", None, ALWAYS, 10),
                lambda: store.buckets("acme", None, None, ALWAYS, 60_000),
                lambda: store.events("acme", "rig-01", ALWAYS, None, 10, newest=True),
                lambda: store.losses("acme", "rig-01"),
            ):
                assert refuses(question)

    @staticmethod
    def _fails(store: Store, group: Sequence[Submission]) -> bool:
        return refuses(lambda: store.commit(group))
