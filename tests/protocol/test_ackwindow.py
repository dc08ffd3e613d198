"""Answers to numbered telemetry: never above what is stored, never later than they have to be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.protocol.ackwindow import PATIENCE_S, AckWindow, Answer
from plexus.protocol.frames import ErrorFrame, TelemetryAck


def ack(seq: int) -> TelemetryAck:
    return TelemetryAck(seq)


def error(seq: int) -> ErrorFrame:
    return ErrorFrame("RATE_LIMITED", "", seq)


def test_in_order_each_is_answered_at_once() -> None:
    window = AckWindow()
    assert [window.settle(seq, 0.0) for seq in (1, 2, 3)] == [[ack(1)], [ack(2)], [ack(3)]]
    assert window.deadline is None


def test_a_hole_holds_the_answer_until_it_is_filled() -> None:
    window = AckWindow()
    assert window.settle(2, 0.0) == []
    assert window.settle(3, 0.0) == []
    assert window.settle(1, 0.1) == [ack(3)]


def test_a_hole_is_given_up_after_a_quarter_of_a_second() -> None:
    window = AckWindow()
    window.settle(2, 10.0)
    assert window.deadline == 10.0 + PATIENCE_S
    assert window.tick(10.0 + PATIENCE_S - 0.001) == []
    assert window.tick(10.0 + PATIENCE_S) == [ack(2)]
    assert window.deadline is None


def test_many_holes_of_one_age_are_given_up_together() -> None:
    window = AckWindow()
    for seq in (2, 4, 6, 8):
        window.settle(seq, 0.0)
    window.settle(10, 0.2)
    assert window.tick(PATIENCE_S) == [ack(8)]
    assert window.deadline == 0.2 + PATIENCE_S


def test_a_frame_that_arrived_is_waited_for_however_long_its_commit_takes() -> None:
    window = AckWindow()
    window.settle(2, 0.0)
    window.arrive(1)
    assert window.deadline is None
    assert window.tick(60.0) == []
    assert window.settle(1, 61.0) == [ack(2)]


def test_a_refusal_waits_for_what_is_below_it() -> None:
    window = AckWindow()
    assert window.settle(2, 0.0, error(2)) == []
    assert window.settle(1, 0.0) == [ack(1), error(2)]


def test_what_was_stored_above_a_refusal_is_acknowledged_after_it() -> None:
    window = AckWindow()
    window.settle(1, 0.0)
    window.settle(3, 0.0)
    window.settle(4, 0.0, error(4))
    assert window.settle(2, 0.0, error(2)) == [error(2), ack(3), error(4)]


def test_a_late_frame_that_a_higher_answer_covered_is_not_answered_again() -> None:
    window = AckWindow()
    window.settle(2, 0.0)
    window.tick(PATIENCE_S)
    window.arrive(1)
    assert window.settle(1, 1.0) == []
    assert window.settle(1, 1.0, error(1)) == [error(1)]


def test_numbering_from_0_holds_nothing_up() -> None:
    window = AckWindow()
    assert window.settle(0, 0.0) == []
    assert window.settle(1, 0.0) == [ack(1)]


@given(st.permutations(range(1, 9)), st.sets(st.integers(1, 8)), st.permutations(range(8)))
@settings(max_examples=100)
def test_nothing_is_answered_before_everything_below_it_is_settled(
    order: list[int], refused: set[int], settling: list[int]
) -> None:
    window, settled, said = AckWindow(), set[int](), list[Answer]()
    for seq in order:
        window.arrive(seq)
    for at, index in enumerate(settling):
        seq = order[index]
        settled.add(seq)
        answers = window.settle(seq, at * 1.0, error(seq) if seq in refused else None) + window.tick(at * 1.0)
        for answer in answers:
            assert answer.seq is not None
            assert set(range(1, answer.seq + 1)) <= settled
        said += answers
    numbers = [answer.seq for answer in said if answer.seq is not None]
    assert numbers == sorted(numbers)
    assert {answer.seq for answer in said if isinstance(answer, ErrorFrame)} == refused
    assert not any(isinstance(answer, TelemetryAck) and answer.seq in refused for answer in said)
    assert numbers[-1] == 8
