"""When a run's data is in: all that was taken is stored, and a device that still sends is waited for, for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs

from plexus.adapters.store.memory import MemoryStore
from plexus.gateway.core import Core, Limits
from plexus.gateway.rest.settling import QUIET_S, settled
from plexus.gateway.settings import Settings
from plexus.ports.store import Submission
from plexus.protocol.columns import Columns
from tests.gateway.commanding import Link
from tests.support.gateway import PATIENCE_S, MoodyStore, core_of, http, running
from tests.support.waiting import eventually


class Wait:
    """A sleep that moves the gateway's clock, and lets `happen` do something at each."""

    def __init__(self, *happen: Any) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._happen = list(happen)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if self._happen:
            self._happen.pop(0)()


def _run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def _core(wait: Wait, store: MemoryStore | None = None, settle_s: float = 2.0) -> Core:
    return core_of(store, monotonic=lambda: wait.now, limits=Limits(settle_s=settle_s))


def _point(core: Core) -> Submission:
    columns = Columns()
    columns.add("rig", "t", 1, is_event=False, value=1, tags=None, run_id=None)
    return Submission("default", "rig", columns, core.wall_ns())


def test_what_was_taken_before_is_stored_first() -> None:
    async def test() -> None:
        wait, store = Wait(), MemoryStore()
        core = _core(wait, store)
        core.committer.start()
        core.committer.enqueue(_point(core))
        assert await settled(core, "default", "rig", wait)
        assert store.names("default", "rig") == ["t"]
        await core.committer.stop()

    _run(test())


def test_a_device_that_is_not_connected_is_not_waited_for() -> None:
    async def test() -> None:
        wait = Wait()
        core = _core(wait)
        core.committer.start()
        assert await settled(core, "default", "rig", wait)
        assert await settled(core, "default", None, wait)
        assert wait.slept == []
        await core.committer.stop()

    _run(test())


def test_a_connected_device_is_waited_for_until_it_is_quiet() -> None:
    async def test() -> None:
        def sends() -> None:
            now["ns"] += 1
            core.presence.heard("default", "rig")

        now = {"ns": 5}
        wait = Wait(sends, sends)
        core = _core(wait)
        core.presence._wall_ns = lambda: now["ns"]
        core.devices.joined("default", "rig", Link())
        core.committer.start()
        assert await settled(core, "default", "rig", wait)
        assert wait.slept == [QUIET_S] * 3
        await core.committer.stop()

    _run(test())


def test_a_device_that_never_is_quiet_is_not_waited_for_any_longer_than_that() -> None:
    async def test() -> None:
        def sends() -> None:
            now["ns"] += 1
            core.presence.heard("default", "rig")

        now = {"ns": 5}
        wait = Wait(*[sends] * 100)
        core = _core(wait, settle_s=1.1)
        core.presence._wall_ns = lambda: now["ns"]
        core.devices.joined("default", "rig", Link())
        core.committer.start()
        assert not await settled(core, "default", "rig", wait)
        assert wait.now <= 1.1 + 1e-9
        await core.committer.stop()

    _run(test())


def test_a_store_that_hangs_is_not_waited_for_for_ever() -> None:
    async def test() -> None:
        wait, store = Wait(), MoodyStore()
        core = _core(wait, store, settle_s=0.02)
        store.open.clear()
        core.committer.start()
        core.committer.enqueue(_point(core))
        assert not await settled(core, "default", "rig", wait)
        store.open.set()
        await core.committer.stop()

    _run(test())


def test_a_store_that_fails_ends_the_waiting() -> None:
    async def test() -> None:
        wait, store = Wait(), MoodyStore()
        core = _core(wait, store)
        store.full()
        core.committer.start()
        assert not await settled(core, "default", "rig", wait)
        await core.committer.stop()

    _run(test())


def test_without_patience_nothing_is_waited_for() -> None:
    async def test() -> None:
        wait = Wait()
        core = attrs.evolve(_core(wait), limits=Limits(settle_s=0.0))
        assert not await settled(core, "default", "rig", wait)

    _run(test())


def test_a_run_that_is_closed_is_judged_by_what_was_taken_before_and_is_stored_after() -> None:
    store = MoodyStore()
    patient = Settings(limits=Limits(settle_s=6 * PATIENCE_S))
    hot = {"source_id": "rig", "points": [{"metric": "t", "value": 90}]}
    with (
        running(store=store, settings=patient) as gateway,
        http(gateway) as client,
        ThreadPoolExecutor(2) as others,
    ):
        opened = {"name": "x", "pass_criteria": [{"metric": "t", "operator": ">", "value": 80}]}
        path = f"/api/runs/{client.post('/api/runs', json=opened).json()['run']['id']}"
        store.open.clear()
        sent = others.submit(client.post, "/ingest", json=hot)
        assert store.entered.acquire(timeout=PATIENCE_S)
        closed = others.submit(client.patch, path, json={"status": "completed"})
        eventually(lambda: closed.done() or gateway.core.committer._queue, what="the run's wait for the store")
        store.open.set()
        assert sent.result(PATIENCE_S).json()["count"] == 1
        assert closed.result(PATIENCE_S).json()["run"]["test_result"]["passed"] is True
