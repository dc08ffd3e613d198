"""How many names there may be, and what becomes of points that have one too many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from plexus.gateway import decoding
from plexus.gateway.quotas import SOURCE_LIMIT, Quotas
from plexus.ports.store import Submission
from plexus.protocol.columns import Columns, Decoded, PointFault
from plexus.protocol.frames import UNAVAILABLE
from tests.gateway.test_bounds import limited, rejected
from tests.gateway.test_ingest import STREAM, post, stored
from tests.support.gateway import KEY, MoodyStore, device, running, socket

ROOMY = {"org_sources": 100, "source_metrics": 100, "org_series": 100}


def message(*names: tuple[str, str]) -> Decoded:
    """A point for each (source, metric)."""
    columns = Columns()
    for row, (source_id, metric) in enumerate(names):
        columns.add(source_id, metric, row, is_event=False, value=row)
    return Decoded(columns)


def quotas(
    steps: Callable[[Quotas], Coroutine[Any, Any, None]],
    store: MemoryStore | None = None,
    registry: MemoryRegistry | None = None,
    **limits: int,
) -> None:
    asyncio.run(steps(Quotas(store or MemoryStore(), registry or MemoryRegistry(), **{**ROOMY, **limits})))


def kept(decoded: Decoded) -> list[str]:
    return decoded.columns.metric


class TestNames:
    def test_a_source_may_have_so_many_metrics(self) -> None:
        async def steps(made: Quotas) -> None:
            await made.learn("a")
            assert kept(made.narrow("a", message(("r", "m1"), ("r", "m2")))) == ["m1", "m2"]
            narrowed = made.narrow("a", message(("r", "m1"), ("r", "m3"), ("r", "m2"), ("s", "m3")))
            assert kept(narrowed) == ["m1", "m2", "m3"]
            assert narrowed.faults == (PointFault(1, "metric would be one name too many: r has 2", SOURCE_LIMIT),)

        quotas(steps, source_metrics=2)

    def test_an_organisation_may_have_so_many_sources(self) -> None:
        async def steps(made: Quotas) -> None:
            await made.learn("a")
            await made.learn("b")
            narrowed = made.narrow("a", message(("r1", "m"), ("r2", "m"), ("r1", "n")))
            assert kept(narrowed) == ["m", "n"]
            assert [fault.index for fault in narrowed.faults] == [1]
            assert "one source too many" in narrowed.faults[0].error
            assert kept(made.narrow("b", message(("r2", "m")))) == ["m"]

        quotas(steps, org_sources=1)

    def test_an_organisation_may_have_so_many_series_over_all_sources(self) -> None:
        async def steps(made: Quotas) -> None:
            await made.learn("a")
            narrowed = made.narrow("a", message(("r1", "m"), ("r1", "n"), ("r2", "m"), ("r2", "n")))
            assert [fault.index for fault in narrowed.faults] == [3]

        quotas(steps, org_series=3)

    def test_faults_stand_where_the_point_stood_in_the_message(self) -> None:
        async def steps(made: Quotas) -> None:
            await made.learn("a")
            decoded = Decoded(message(("r", "m"), ("r", "n")).columns, (PointFault(0, "bad"), PointFault(2, "bad")))
            assert [fault.index for fault in made.narrow("a", decoded).faults] == [0, 2, 3]

        quotas(steps, source_metrics=1)

    def test_what_the_store_has_counts_after_a_restart(self) -> None:
        store = MemoryStore()
        store.commit([Submission("a", "r", message(("r", "m1"), ("r", "m2")).columns, 1)])

        async def steps(made: Quotas) -> None:
            await made.learn("a")
            assert kept(made.narrow("a", message(("r", "m2"), ("r", "m3")))) == ["m2"]

        quotas(steps, store, source_metrics=2)

    def test_a_source_without_points_counts_and_one_that_has_both_counts_once(self) -> None:
        store, registry = MemoryStore(), MemoryRegistry()
        store.commit([Submission("a", "r", message(("r", "m")).columns, 1)])
        registry.claim("a", "r", "install")
        registry.register("a", "s", "{}")

        async def steps(made: Quotas) -> None:
            await made.learn("a")
            assert [made.knows("a", name) for name in ("r", "s", "t")] == [True, True, False]
            assert [made.take("a", name) for name in ("r", "s", "t")] == [None, None, None]
            assert made.take("a", "u") == "would be one source too many: the organisation has 3"
            assert kept(made.narrow("a", message(("u", "m"), ("t", "m"), ("s", "m")))) == ["m", "m"]
            made.remove("a", "s")
            made.rename("a", "t", "v")
            assert [made.knows("a", name) for name in "rstv"] == [True, False, False, True]
            assert made.take("a", "u") is None
            assert made.take("a", "t") is not None

        quotas(steps, store, registry, org_sources=3)

    def test_a_source_that_is_gone_makes_room(self) -> None:
        async def steps(made: Quotas) -> None:
            await made.learn("a")
            made.narrow("a", message(("r", "m"), ("r", "n")))
            made.remove("a", "r")
            assert kept(made.narrow("a", message(("s", "m"), ("s", "n")))) == ["m", "n"]

        quotas(steps, org_sources=1, org_series=2)

    def test_a_renamed_source_keeps_its_names(self) -> None:
        async def steps(made: Quotas) -> None:
            await made.learn("a")
            made.narrow("a", message(("r", "m")))
            made.rename("a", "r", "s")
            assert kept(made.narrow("a", message(("s", "m"), ("s", "n")))) == ["m"]

        quotas(steps, source_metrics=1)

    def test_a_store_that_cannot_be_read_is_asked_again(self) -> None:
        store = MemoryStore()
        store.close()

        async def steps(made: Quotas) -> None:
            with pytest.raises(StoreError):
                await made.learn("a")
            store._closed = False
            await made.learn("a")
            assert kept(made.narrow("a", message(("r", "m")))) == ["m"]

        quotas(steps, store)


class TestAMillionNames:
    def test_they_are_refused_and_cost_no_memory(self) -> None:
        limits = {"source_metrics": 1_000, "org_series": 1_000}
        with limited(**limits) as gateway, device(gateway, acks=True) as wire:
            quota = gateway.core.intake.quotas
            wire.telemetry({"metric": "first", "value": 1}, seq=1)
            assert wire.hear()["type"] == "telemetry_ack"
            for first in range(0, 1_000_000, 50_000):
                names = [("drone-01", f"name.{number}") for number in range(first, first + 50_000)]
                quota.narrow("default", message(*names))
            assert sum(map(len, quota._orgs["default"].sources.values())) == 1_000
            wire.telemetry({"metric": "one.too.many", "value": 1}, seq=2)
            error = wire.hear()
            assert (error["code"], error["seq"]) == (SOURCE_LIMIT, 2)
            assert "one name too many" in error["detail"]
            assert stored(gateway, "drone-01") == [1]

    def test_the_good_points_beside_them_are_stored_and_the_others_named(self) -> None:
        with limited(source_metrics=1) as gateway:
            points = [{"metric": name, "value": 1} for name in ("a", "b", "a")]
            status, body = post(gateway, {"source_id": "rig-01", "points": points})
            assert (status, body["count"], body["dropped"]) == (200, 2, 1)
            assert body["errors"][0]["index"] == 1
            assert rejected(gateway, "quota") == 1
            batch = {"stream": STREAM, "n": 1, "base": 1, "digest": "ab"}
            with device(gateway, "rig-01", ext={"batch": 1}) as wire:
                wire.telemetry(*points, batch=batch)
                answer = wire.hear()
            assert (answer["type"], [error["index"] for error in answer["errors"]]) == ("batch_ack", [1])


def test_names_that_cannot_be_learnt_are_a_503_and_a_1013() -> None:
    class Unreadable(MoodyStore):
        def sources(self, org: str) -> dict[str, int]:
            raise StoreError("history cannot be read")

    with running(store=Unreadable()) as gateway:
        assert post(gateway, {"source_id": "rig-01", "points": [{"metric": "m", "value": 1}]})[0] == 503
        with socket(gateway, "/ws/device") as wire:
            wire.say(type="device_auth", api_key=KEY, source_id="rig-01")
            assert wire.hear()["code"] == UNAVAILABLE
            assert wire.closed()[0] == 1013


def test_the_names_of_a_message_are_those_of_its_points() -> None:
    body = json.dumps({"points": [{"metric": "m", "value": 1, "source_id": name} for name in ("a", "b", "a")]})
    columns = decoding.parse_body(body.encode(), 1).decoded.columns
    assert (list(columns.sources()), list(columns.names("a"))) == (["a", "b"], ["m", "m"])
