"""Questions that may be large: how many at once, how many wait, how long, and for whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import attrs
import pytest

from plexus.domain.errors import QueryError
from plexus.gateway.asgi import Disconnected, HttpError, Message
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.gateway.rest.lines import Turns
from plexus.gateway.rest.questions import Questions
from plexus.ports.store import Question
from tests.support.waiting import eventually

LIMITS = attrs.evolve(Limits(), questions_at_once=2, questions_waiting=2)


class Bench:
    """Questions with gates: `held(name)` is a question that runs until its gate is opened."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.meters = Meters()
        self.questions = Questions(limits, self.meters)
        self.gone = asyncio.Event()
        self.gates: dict[str, threading.Event] = {}
        self.begun: list[str] = []
        self.asked: list[Question] = []

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def ask(self, name: str, org: str = "acme") -> asyncio.Task[str]:
        gate = self.gates[name] = threading.Event()

        def answer(question: Question) -> str:
            self.begun.append(name)
            self.asked.append(question)
            while not gate.wait(0.01):
                question.check()
            return name

        return asyncio.ensure_future(self.questions.ask(org, self.receive, answer))

    def open(self) -> None:
        for gate in self.gates.values():
            gate.set()

    def outcomes(self, outcome: str) -> float:
        return self.meters.registry.get_sample_value("plexus_questions_total", {"outcome": outcome}) or 0.0


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def begun(bench: Bench, count: int) -> None:
    await asyncio.to_thread(eventually, lambda: len(bench.begun) >= count)


def test_so_many_run_at_once_and_the_next_when_one_is_done() -> None:
    async def work() -> None:
        bench = Bench()
        tasks = [bench.ask(name) for name in "abc"]
        await begun(bench, 2)
        assert sorted(bench.begun) == ["a", "b"]  # on two threads: either may be the first
        bench.gates["a"].set()
        assert await tasks[0] == "a"
        await begun(bench, 3)
        bench.open()
        assert await asyncio.gather(*tasks) == ["a", "b", "c"]
        assert bench.outcomes("answered") == 3

    run(work())


def test_too_many_that_wait_are_refused_and_may_come_back() -> None:
    async def work() -> None:
        bench = Bench()
        tasks = [bench.ask(name) for name in "abcd"]
        await begun(bench, 2)
        with pytest.raises(HttpError, match="wait for an answer already") as refused:
            await bench.ask("e")
        assert refused.value.status == 429
        assert dict(refused.value.headers)[b"retry-after"] == b"1"
        assert bench.outcomes("busy") == 1
        bench.open()
        await asyncio.gather(*tasks)
        late = bench.ask("f")
        bench.open()
        assert await late == "f"

    run(work())


def test_organisations_take_turns() -> None:
    async def work() -> None:
        turns = Turns(1, 10)
        first = turns.take("a")
        waiting = [turns.take(org) for org in ("a", "a", "b", "c")]
        assert first.done()
        order = []
        current = first
        for _ in range(4):
            turns.give_back(current)
            current = next(turn for turn in waiting if turn.done() and turn not in order)
            order.append(current)
        assert [waiting.index(turn) for turn in order] == [0, 2, 3, 1]

    run(work())


def test_a_turn_that_nobody_waits_for_is_passed_over() -> None:
    async def work() -> None:
        turns = Turns(1, 10)
        first, second, third = (turns.take("a") for _ in range(3))
        turns.give_back(second)
        turns.give_back(first)
        assert third.done()
        turns.give_back(third)
        assert turns.take("a").done()

    run(work())


def test_a_question_that_takes_too_long_is_ended_with_504() -> None:
    async def work() -> None:
        bench = Bench(attrs.evolve(LIMITS, question_s=0.05))
        with pytest.raises(HttpError, match=r"longer than 0\.05 s") as late:
            await bench.ask("a")
        assert late.value.status == 504
        assert bench.outcomes("time_out") == 1
        # It was cancelled, so its thread ends and its turn is free again.
        with pytest.raises(QueryError):
            bench.asked[0].check()
        quick = bench.questions.ask("acme", bench.receive, lambda _question: "b")
        assert await quick == "b"

    run(work())


def test_the_wait_for_a_turn_counts_as_well() -> None:
    async def work() -> None:
        bench = Bench(attrs.evolve(LIMITS, questions_at_once=1))
        first = bench.ask("a")
        await begun(bench, 1)
        short = Questions(attrs.evolve(LIMITS, question_s=0.05, questions_at_once=0), bench.meters)
        with pytest.raises(HttpError, match="longer than"):
            await short.ask("acme", bench.receive, lambda _question: "b")
        bench.open()
        await first

    run(work())


def test_a_question_is_cancelled_when_its_client_leaves() -> None:
    async def work() -> None:
        bench = Bench()
        task = bench.ask("a")
        await begun(bench, 1)
        bench.gone.set()
        with pytest.raises(Disconnected):
            await task
        with pytest.raises(QueryError, match="nobody waits"):
            bench.asked[0].check()
        assert bench.outcomes("left") == 1

    run(work())


def test_a_question_that_waits_is_forgotten_when_its_client_leaves() -> None:
    async def work() -> None:
        bench = Bench(attrs.evolve(LIMITS, questions_at_once=1))
        stays = asyncio.Event()

        async def never() -> Message:
            await stays.wait()
            return {"type": "http.disconnect"}

        gate = threading.Event()
        first = asyncio.ensure_future(bench.questions.ask("acme", never, lambda _question: gate.wait(10)))
        await asyncio.sleep(0)
        second = bench.ask("b")
        bench.gone.set()
        with pytest.raises(Disconnected):
            await second
        gate.set()
        await first
        assert bench.begun == []

    run(work())


def test_a_thread_that_does_not_stop_keeps_its_turn() -> None:
    async def work() -> None:
        bench = Bench(attrs.evolve(LIMITS, questions_at_once=1, question_s=0.05))
        gate, ended = threading.Event(), []

        def stubborn(_question: Question) -> None:
            gate.wait(10)
            ended.append(True)

        with pytest.raises(HttpError, match="longer than"):
            await bench.questions.ask("acme", bench.receive, stubborn)
        with pytest.raises(HttpError, match="longer than"):
            await bench.questions.ask("acme", bench.receive, lambda _question: ended.append(False))
        gate.set()
        await asyncio.to_thread(eventually, lambda: ended == [True])
        assert ended == [True]

    run(work())


def test_a_question_has_the_budget_of_rows_of_the_limits() -> None:
    async def work() -> None:
        bench = Bench(attrs.evolve(LIMITS, question_rows=100))
        with pytest.raises(QueryError, match="more than 100 rows"):
            await bench.questions.ask("acme", bench.receive, lambda question: question.read(101))
        assert bench.outcomes("refused") == 1

    run(work())
