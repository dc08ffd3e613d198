"""What is remembered of a stream: verdicts, the digests that are kept, and drafts that leave no trace."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.protocol.batch import MAX_N, BatchName
from plexus.protocol.ledger import (
    DIGESTS_KEPT,
    PRINT_BYTES,
    SILENT_NS,
    UNSET_CLOCK_NS,
    Draft,
    StreamState,
    Verdict,
    is_silent,
    print_of,
)

STREAM = "0" * 32


def name(n: int, base: int = 1, digest: str | None = None) -> BatchName:
    return BatchName(STREAM, n, base, digest or f"{n:032x}")


def judged(state: StreamState, *names: BatchName) -> list[Verdict]:
    draft = Draft(state)
    verdicts: list[Verdict] = [draft.judge(one) for one in names]
    draft.settle()
    return verdicts


def test_a_stream_begins_with_batch_one() -> None:
    assert judged(StreamState("rig-01"), name(2), name(1), name(2)) == ["gap", "store", "store"]


def test_a_base_is_where_an_unknown_stream_begins() -> None:
    state = StreamState("rig-01")
    assert judged(state, name(7, base=7)) == ["store"]
    assert state.watermark == 7


def test_a_base_raises_the_watermark_of_a_refused_batch_too() -> None:
    state = StreamState("rig-01")
    assert judged(state, name(9, base=5)) == ["gap"]
    assert state.watermark == 4


def test_a_base_never_lowers_the_watermark() -> None:
    state = StreamState("rig-01")
    assert judged(state, name(1), name(2), name(3, base=1)) == ["store", "store", "store"]
    assert judged(state, name(2, base=2)) == ["duplicate"]
    assert state.watermark == 3


def test_a_repeat_is_known_among_pending_and_settled_batches() -> None:
    state = StreamState("rig-01")
    assert judged(state, name(1), name(1)) == ["store", "duplicate"]
    assert judged(state, name(1), name(2), name(2), name(1)) == ["duplicate", "store", "duplicate", "duplicate"]


def test_other_content_under_a_name_is_a_fork() -> None:
    state = StreamState("rig-01")
    assert judged(state, name(1), name(1, digest="ee")) == ["store", "fork"]
    assert judged(state, name(1, digest="ee")) == ["fork"]
    assert state.watermark == 1


def test_a_batch_that_was_given_up_is_a_fork_when_it_comes_after_all() -> None:
    state = StreamState("rig-01")
    assert judged(state, name(1), name(5, base=5), name(3)) == ["store", "store", "fork"]
    assert judged(state, name(3), name(1)) == ["fork", "duplicate"]


def test_a_digest_of_any_length_is_told_from_others() -> None:
    digests = ["0", "00", "f", "f" * 31, "f" * 32, "f" * 33, "f" * 128]
    assert len({print_of(digest) for digest in digests}) == len(digests)
    assert {len(print_of(digest)) for digest in digests} == {PRINT_BYTES}


def test_the_last_1024_digests_are_kept_whatever_the_groups() -> None:
    for size in (1, 7, DIGESTS_KEPT, 3 * DIGESTS_KEPT):
        state = StreamState("rig-01")
        last = DIGESTS_KEPT + 5
        for first in range(1, last + 1, size):
            judged(state, *map(name, range(first, min(first + size, last + 1))))
        assert judged(state, name(6), name(5), name(last)) == ["duplicate", "fork", "duplicate"]
        assert len(state.prints) == DIGESTS_KEPT * PRINT_BYTES


def test_an_old_digest_is_a_fork_inside_the_group_as_it_is_after_it() -> None:
    names = [name(n) for n in range(1, DIGESTS_KEPT + 2)]
    assert judged(StreamState("rig-01"), *names, name(1), name(2))[-2:] == ["fork", "duplicate"]


def test_a_leap_of_the_base_costs_no_memory() -> None:
    state = StreamState("rig-01")
    judged(state, name(1), name(2**53, base=2**53))
    assert len(state.prints) == DIGESTS_KEPT * PRINT_BYTES
    assert judged(state, name(1), name(2**53 - 1), name(2**53)) == ["fork", "fork", "duplicate"]


def test_a_draft_that_is_dropped_leaves_no_trace() -> None:
    state = StreamState("rig-01")
    judged(state, name(1))
    before = (state.watermark, bytes(state.prints))
    draft = Draft(state)
    assert [draft.judge(name(2)), draft.judge(name(9, base=8))] == ["store", "gap"]
    assert draft.moved
    assert (state.watermark, bytes(state.prints)) == before
    assert judged(state, name(2)) == ["store"]


def test_a_draft_that_refused_everything_has_not_moved() -> None:
    state = StreamState("rig-01")
    judged(state, name(1))
    draft = Draft(state)
    assert [draft.judge(name(1)), draft.judge(name(3)), draft.judge(name(1, digest="ee"))] == [
        "duplicate",
        "gap",
        "fork",
    ]
    assert not draft.moved


def test_the_first_commit_fixes_the_source() -> None:
    first = Draft(StreamState("rig-01"))
    assert first.judge(name(1), "rig-01") == "store"
    state = first.settle()
    assert Draft(state).judge(name(2), "rig-02") == "fork"
    assert Draft(state).judge(name(2), "rig-01") == "store"


def test_every_batch_of_a_stream_that_was_let_go_of_is_a_fork_and_nothing_moves() -> None:
    state = StreamState("rig-01")
    judged(state, name(1), name(2))
    assert not state.was_let_go
    state.let_go()
    assert state.was_let_go
    names = [name(n, base, digest) for n in (1, 2, 3, 57, MAX_N) for base in (1, n) for digest in (None, "ee")]
    for source_id in ("rig-01", "rig-02", None):
        draft = Draft(state)
        assert {draft.judge(one, source_id) for one in names} == {"fork"}
        assert not draft.moved
    assert state.source_id == "rig-01"
    assert not state.prints


def test_a_stream_is_silent_when_it_was_heard_of_by_a_clock_that_was_set_and_too_long_ago() -> None:
    now = UNSET_CLOCK_NS + 2 * SILENT_NS
    heard = {
        now - SILENT_NS - 1: True,
        now - SILENT_NS: False,
        UNSET_CLOCK_NS + 1: True,
        UNSET_CLOCK_NS: False,
        0: False,
    }
    assert {seen_ns: is_silent(seen_ns, now - SILENT_NS) for seen_ns in heard} == heard


def test_a_stream_is_silent_after_400_days() -> None:
    assert SILENT_NS == 400 * 24 * 3_600 * 1_000_000_000


@st.composite
def _batches(draw: st.DrawFn) -> BatchName:
    n = draw(st.integers(1, 12))
    return name(n, draw(st.integers(1, n)), draw(st.sampled_from([None, None, None, "ee"])))


@settings(max_examples=100)
@given(st.lists(st.lists(_batches(), max_size=6), max_size=8))
def test_groups_change_nothing_of_what_is_answered(groups: list[list[BatchName]]) -> None:
    """The same batches in groups, and one by one against a plain model, get the same answers."""
    state, watermark, digests = StreamState("rig-01"), 0, dict[int, str]()
    for group in groups:
        expected: list[Verdict] = []
        for batch in group:
            watermark = max(watermark, batch.base - 1)
            if batch.n <= watermark:
                expected.append("duplicate" if digests.get(batch.n) == batch.digest else "fork")
            elif batch.n > watermark + 1:
                expected.append("gap")
            else:
                watermark, digests[batch.n] = batch.n, batch.digest
                expected.append("store")
        assert judged(state, *group) == expected
        assert state.watermark == watermark


def test_a_stream_knows_repeats_of_another_source_and_takes_nothing_else_from_it() -> None:
    state = StreamState("rig-01")
    judged(state, name(1), name(2))
    draft = Draft(state)
    others = [name(1), name(2, digest="ee"), name(3), name(9, base=9), name(2, base=2)]
    assert [draft.judge(one, "rig-02") for one in others] == ["duplicate", "fork", "fork", "fork", "duplicate"]
    assert not draft.moved
    assert draft.judge(name(3), "rig-01") == "store"
