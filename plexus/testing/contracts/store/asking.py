"""What a question may cost, and that it can be ended from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plexus.domain.errors import QueryError
from plexus.ports.store import Question, Selection, Store
from plexus.testing.contracts.store.suite import ALWAYS, StoreSuite, submission, values_of

POINTS = 100

Ask = Callable[[Store, Question], Any]

QUESTIONS: dict[str, Ask] = {
    "raw": lambda store, question: store.raw("acme", "rig-01", None, ALWAYS, 1_000, question=question),
    "buckets": lambda store, question: store.buckets("acme", None, None, ALWAYS, 1_000, question=question),
    "events": lambda store, question: store.events(
        "acme", "rig-01", ALWAYS, None, 1_000, newest=True, question=question
    ),
    "scan": lambda store, question: list(store.scan("acme", Selection(), question=question)),
    "count": lambda store, question: store.count("acme", Selection(), question=question),
}


class AskingContract(StoreSuite):
    """`Question`, in every method that takes one."""

    def test_a_question_that_may_read_enough_is_answered(self) -> None:
        with self.store() as store:
            _fill(store)
            for ask in QUESTIONS.values():
                assert ask(store, Question(max_rows=POINTS)) == ask(store, Question())

    def test_a_question_that_reads_too_much_is_refused_with_what_to_do(self) -> None:
        with self.store() as store:
            _fill(store)
            for name in ("raw", "buckets", "events", "scan"):  # a count may come from statistics, and read nothing
                assert "more than 9 rows; narrow the window" in _refusal(store, name, Question(max_rows=9))

    def test_a_question_counts_what_it_reads(self) -> None:
        with self.store() as store:
            _fill(store)
            question = Question(max_rows=POINTS)
            QUESTIONS["raw"](store, question)
            assert question.rows == POINTS
            assert "more than" in _refusal(store, "raw", question)

    def test_a_question_that_was_cancelled_is_ended_with_the_reason(self) -> None:
        with self.store() as store:
            _fill(store)
            for name in QUESTIONS:
                question = Question()
                question.cancel("the client left")
                assert "the client left" in _refusal(store, name, question)

    def test_a_scan_that_is_cancelled_ends_at_its_next_part(self) -> None:
        with self.store() as store:
            for _ in range(3):
                store.commit([submission(*(("rpm", i, i) for i in range(20_000)))])
            question = Question()
            found = store.scan("acme", Selection(), question=question)
            next(found)
            question.cancel()
            try:
                list(found)
            except QueryError:
                return
            raise AssertionError("it went on to its end")

    def test_other_questions_go_on_when_one_was_ended(self) -> None:
        with self.store() as store:
            _fill(store)
            ended = Question()
            ended.cancel()
            for name in QUESTIONS:
                _refusal(store, name, ended)
                _refusal(store, name, Question(max_rows=0))
            assert len(values_of(store, "rpm")) == POINTS


def _fill(store: Store) -> None:
    for is_event in (False, True):
        store.commit([submission(*(("rpm", 500 * i, i) for i in range(POINTS)), is_event=is_event)])


def _refusal(store: Store, name: str, question: Question) -> str:
    try:
        QUESTIONS[name](store, question)
    except QueryError as exc:
        return str(exc)
    return f"{name} was answered"
