"""Short calls: how many at once, how many wait, how long, and what never holds them up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import attrs
import httpx
import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.gateway import Gateway
from plexus.gateway.asgi import HttpError, Message
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.gateway.rest import quick
from plexus.gateway.rest.caller import Caller, build_desk
from plexus.gateway.rest.lines import FullError, Turns
from plexus.gateway.rest.quick import AT_ONCE, Quick
from plexus.gateway.settings import Settings
from plexus.ports.store import Selection
from tests.gateway.rest.house import EVERYTHING
from tests.gateway.test_ingest import point
from tests.support.gateway import core_of, http, running
from tests.support.waiting import eventually


class Bench:
    """Short calls that last until `go_on`."""

    def __init__(self, **limits: Any) -> None:
        self.meters = Meters()
        self.quick = Quick(attrs.evolve(Limits(), **limits), self.meters)
        self.go_on = threading.Event()
        self.begun: list[str] = []

    def ask(self, name: str, org: str = "acme", *, always: bool = False) -> asyncio.Task[str]:
        def call() -> str:
            self.begun.append(name)
            assert self.go_on.wait(20)
            return name

        return asyncio.ensure_future(self.quick.ask(org, call, always=always))

    async def filled(self) -> list[asyncio.Task[str]]:
        """Every thread has one."""
        tasks = [self.ask("holds") for _ in range(AT_ONCE)]
        await asyncio.to_thread(eventually, lambda: len(self.begun) == AT_ONCE)
        return tasks

    def outcomes(self, outcome: str) -> float:
        return self.meters.registry.get_sample_value("plexus_quick_calls_total", {"outcome": outcome}) or 0.0


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def test_too_many_that_wait_are_refused_with_503_and_may_come_back() -> None:
    async def work() -> None:
        bench = Bench(quick_waiting=2)
        tasks = [*await bench.filled(), bench.ask("waits"), bench.ask("waits")]
        await asyncio.sleep(0)
        with pytest.raises(HttpError, match="2 requests of this organisation wait") as refused:
            await bench.ask("one too many")
        assert (refused.value.status, dict(refused.value.headers)) == (503, {b"retry-after": b"1"})
        assert bench.outcomes("busy") == 1
        other = bench.ask("another's", org="other")
        bench.go_on.set()
        await asyncio.gather(*tasks, other)
        assert bench.begun.count("one too many") == 0
        assert bench.outcomes("answered") == len(tasks) + 1
        assert await bench.ask("later") == "later"

    run(work())


def test_what_waited_too_long_is_a_503_and_was_not_called() -> None:
    async def work() -> None:
        bench = Bench()
        tasks = await bench.filled()
        bench.quick._longest_s = 0.01
        with pytest.raises(HttpError, match="nothing was done") as late:
            await bench.ask("late")
        assert (late.value.status, dict(late.value.headers)) == (503, {b"retry-after": b"1"})
        assert bench.outcomes("late") == 1
        bench.go_on.set()
        await asyncio.gather(*tasks)
        assert "late" not in bench.begun

    run(work())


def test_what_takes_too_long_is_a_504_and_keeps_its_thread_until_it_is_done() -> None:
    async def work() -> None:
        bench = Bench(quick_s=0.01)
        asked = [bench.ask("slow") for _ in range(AT_ONCE)]
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert [end.status for end in ends if isinstance(end, HttpError)] == [504] * AT_ONCE
        assert bench.outcomes("time_out") == AT_ONCE
        with pytest.raises(HttpError, match="turn did not come"):
            await bench.ask("waits for a thread")
        bench.go_on.set()
        bench.quick._longest_s = 20.0
        assert await bench.ask("next") == "next"

    run(work())


def test_what_must_be_done_is_done_however_many_wait() -> None:
    async def work() -> None:
        bench = Bench(quick_waiting=0)
        tasks = await bench.filled()
        bench.quick._longest_s = 0.0
        note = bench.ask("note", always=True)
        await asyncio.sleep(0)
        bench.go_on.set()
        assert await note == "note"
        await asyncio.gather(*tasks, return_exceptions=True)

    run(work())


def test_what_a_request_did_is_in_the_audit_trail_though_the_line_is_full() -> None:
    async def work() -> None:
        bench = Bench(quick_waiting=0)
        core = core_of()
        caller = Caller(core, EVERYTHING, attrs.evolve(build_desk(core), quick=bench.quick), nobody_leaves)
        tasks = await bench.filled()
        note = asyncio.ensure_future(caller.note("source.register", "rig"))
        await asyncio.sleep(0)
        bench.go_on.set()
        await asyncio.gather(note, *tasks)
        assert [entry.subject for _, entry in core.audit.entries("acme")] == ["rig"]

    run(work())


async def nobody_leaves() -> Message:
    await asyncio.get_running_loop().create_future()
    return {}


def test_who_left_takes_no_place_of_who_comes() -> None:
    async def work() -> None:
        turns = Turns(1, 1)
        first, second = turns.take("a"), turns.take("a")
        with pytest.raises(FullError):
            turns.take("a")
        turns.give_back(second)
        third = turns.take("a")
        turns.give_back(first)
        assert third.done()

    run(work())


class SlowToRemove(MemoryStore):
    """A store whose removals last until `go_on`."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)
        self.removing = 0

    def remove(self, org: str, selection: Selection) -> int:
        self.removing += 1
        self.begun.release()
        assert self.go_on.wait(20)
        return super().remove(org, selection)


def measured(gateway: Gateway, name: str, outcome: str) -> float:
    return gateway.core.meters.registry.get_sample_value(f"plexus_{name}_total", {"outcome": outcome}) or 0.0


def remove(gateway: Gateway, source_id: str) -> httpx.Response:
    with http(gateway) as client:
        return client.delete(f"/v1/sources/{source_id}/data", params={"metrics": "a", "confirm": "1"})


def test_removals_that_take_long_hold_up_no_short_call_and_no_question() -> None:
    store = SlowToRemove()
    with running(store=store) as gateway, http(gateway) as client:
        names = [f"rig-{number:02}" for number in range(AT_ONCE + 1)]
        for name in names:
            body = {"source_id": name, "points": [{**point(1), "metric": "a"}]}
            client.post("/ingest", json=body).raise_for_status()
        answers: list[httpx.Response] = []
        threads = [threading.Thread(target=lambda name=name: answers.append(remove(gateway, name))) for name in names]
        for thread in threads:
            thread.start()
        assert store.begun.acquire(timeout=20)
        try:
            asked = f"/v1/sources/{names[0]}/metrics"
            assert client.get(asked + "/latest").status_code == 200
            assert client.get(asked + "/query", params={"metrics": "a", "last": "1h"}).status_code == 200
            assert store.removing == 1  # the others wait for their turn
        finally:
            store.go_on.set()
            for thread in threads:
                thread.join()
        assert [answer.json() for answer in answers] == [{"points": 1, "dry_run": False}] * len(names)
        assert measured(gateway, "changes", "answered") == len(names)


def test_a_full_line_is_seen_from_outside_and_in_the_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "AT_ONCE", 0)
    with running(settings=Settings(limits=Limits(quick_waiting=0))) as gateway, http(gateway) as client:
        answer = client.get("/v1/sources")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "nothing was done" in answer.json()["error"]
        assert 'plexus_quick_calls_total{outcome="busy"} 1.0' in client.get("/metrics").text
