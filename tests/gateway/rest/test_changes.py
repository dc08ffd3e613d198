"""Large changes: one at a time, a bounded number waiting, and to their end whoever asked for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import attrs
import pytest

from plexus.domain.errors import StoreError
from plexus.gateway.asgi import Disconnected, HttpError, Message
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.gateway.rest.changes import Changes


class Bench:
    """Changes that are made when `go_on` is set."""

    def __init__(self, **limits: Any) -> None:
        self.meters = Meters()
        self.changes = Changes(attrs.evolve(Limits(), **limits), self.meters)
        self.gone, self.go_on, self.begun = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.made: list[str] = []

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def make(self, name: str, org: str = "acme", fault: Exception | None = None) -> asyncio.Task[str]:
        async def work() -> str:
            self.begun.set()
            await self.go_on.wait()
            if fault is not None:
                raise fault
            self.made.append(name)
            return name

        return asyncio.ensure_future(self.changes.make(org, self.receive, work))

    def outcomes(self, outcome: str) -> float:
        return self.meters.registry.get_sample_value("plexus_changes_total", {"outcome": outcome}) or 0.0


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def test_they_are_made_one_after_the_other_and_organisations_take_turns() -> None:
    async def work() -> None:
        bench = Bench()
        tasks = [bench.make("a1", "a"), bench.make("a2", "a"), bench.make("a3", "a"), bench.make("b1", "b")]
        await bench.begun.wait()
        assert bench.made == []
        bench.go_on.set()
        await asyncio.gather(*tasks)
        assert bench.made == ["a1", "a2", "b1", "a3"]
        assert bench.outcomes("answered") == 4

    run(work())


def test_too_many_that_wait_are_refused() -> None:
    async def work() -> None:
        bench = Bench(questions_waiting=1)
        tasks = [bench.make("a"), bench.make("b")]
        await bench.begun.wait()
        with pytest.raises(HttpError, match="1 changes of this organisation wait already") as refused:
            await bench.make("c")
        assert (refused.value.status, dict(refused.value.headers)) == (429, {b"retry-after": b"10"})
        assert bench.outcomes("busy") == 1
        bench.go_on.set()
        await asyncio.gather(*tasks)
        assert bench.made == ["a", "b"]

    run(work())


def test_one_that_takes_too_long_goes_on_and_the_next_has_to_wait_for_it() -> None:
    async def work() -> None:
        bench = Bench(question_s=0.01)
        with pytest.raises(HttpError, match="it goes on") as late:
            await bench.make("a")
        assert late.value.status == 504
        with pytest.raises(HttpError, match="nothing was changed") as never:
            await bench.make("b")
        assert never.value.status == 504
        assert bench.outcomes("time_out") == 2
        bench.go_on.set()
        bench.changes._longest_s = 20.0
        assert await bench.make("c") == "c"
        assert bench.made == ["a", "c"]

    run(work())


def test_one_that_has_begun_goes_to_its_end_though_its_client_left_and_one_that_waits_does_not_begin() -> None:
    async def work() -> None:
        bench = Bench()
        first, second = bench.make("a"), bench.make("b")
        await bench.begun.wait()
        bench.gone.set()
        for task in (first, second):
            with pytest.raises(Disconnected):
                await task
        assert bench.outcomes("left") == 2
        bench.gone.clear()
        bench.go_on.set()
        await bench.make("c")
        assert bench.made == ["a", "c"]

    run(work())


def test_what_fails_when_nobody_waits_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        bench = Bench()
        task = bench.make("a", fault=StoreError("the disk is gone"))
        await bench.begun.wait()
        bench.gone.set()
        with pytest.raises(Disconnected):
            await task
        bench.gone.clear()
        bench.go_on.set()
        await bench.make("b")

    with caplog.at_level(logging.ERROR, "plexus.gateway"):
        run(work())
    assert "the disk is gone" in caplog.text


def test_what_fails_is_told_to_who_asked() -> None:
    async def work() -> None:
        bench = Bench()
        bench.go_on.set()
        with pytest.raises(StoreError, match="the disk is gone"):
            await bench.make("a", fault=StoreError("the disk is gone"))
        assert await bench.make("b") == "b"

    run(work())
