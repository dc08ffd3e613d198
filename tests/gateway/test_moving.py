"""Renaming and deleting sources of which somebody is connected, and what a gateway that was killed goes on with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from plexus.adapters.commandbook.memory import MemoryCommandbook
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.registry.sqlite import SqliteRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.adapters.tallies.memory import MemoryTallies
from plexus.domain.errors import StoreError
from plexus.gateway import Gateway, moving
from plexus.ports.registry import Move
from plexus.ports.store import Submission
from plexus.ports.tallies import Tally
from plexus.protocol.columns import Columns
from plexus.protocol.frames import UNAVAILABLE
from plexus.testing.contracts.commandbook import entry
from plexus.testing.memory import MemoryHouse
from tests.gateway.test_ingest import STREAM, point, stored
from tests.support.gateway import Wire, device, http, make_key, reader, running, socket

NAME = {"stream": STREAM, "n": 1, "base": 1, "digest": "ab"}
RENAMED = {"source_id": "left-arm"}


def rename(gateway: Gateway, source_id: str = "drone-01", **body: Any) -> httpx.Response:
    with http(gateway) as client:
        return client.patch(f"/v1/sources/{source_id}", json={**RENAMED, **body})


def delete(gateway: Gateway, source_id: str = "drone-01") -> httpx.Response:
    with http(gateway) as client:
        return client.delete(f"/v1/sources/{source_id}")


def said(wire: Wire, *points: dict[str, Any]) -> None:
    """Send points, and hear that they are stored."""
    wire.telemetry(*points, seq=1)
    assert wire.hear() == {"type": "telemetry_ack", "seq": 1}


class TestConnected:
    def test_a_device_is_told_to_come_back_and_gets_the_new_name_for_its_old_one(self, gateway: Gateway) -> None:
        with device(gateway, install_id="a") as wire:
            assert rename(gateway).json()["source_id"] == "left-arm"
            assert wire.closed() == (1012, "the source has another name now; connect again")
        with device(gateway, install_id="a") as wire:
            assert wire.authenticated["source_id"] == "left-arm"

    def test_a_key_of_the_source_still_lets_the_device_in_under_the_name_that_it_declares(
        self, gateway: Gateway
    ) -> None:
        own = make_key(gateway, "write", source_id="drone-01")
        with device(gateway, key=own, install_id="a"):
            rename(gateway)
        with device(gateway, key=own, install_id="a") as wire:
            assert wire.authenticated["source_id"] == "left-arm"

    def test_that_key_lets_nobody_in_who_was_never_there(self, gateway: Gateway) -> None:
        own = make_key(gateway, "write", source_id="drone-01")
        with device(gateway, key=own, install_id="a"):
            rename(gateway)
        with socket(gateway, "/ws/device") as wire:
            wire.say(type="device_auth", api_key=own, source_id="drone-01", install_id="b")
            assert wire.hear()["code"] == "not_permitted"
        assert gateway.core.registry.registered("default") == ["left-arm"]

    def test_a_batch_that_the_device_sends_again_is_not_stored_twice(self, gateway: Gateway) -> None:
        hello: dict[str, Any] = {"acks": True, "ext": {"batch": 1}, "install_id": "a"}
        with device(gateway, **hello) as wire:
            wire.telemetry(point(1), batch=NAME)
            assert wire.hear()["upto"] == 1
            rename(gateway)
        with device(gateway, **hello) as wire:
            wire.telemetry(point(1), batch=NAME)
            assert wire.hear()["upto"] == 1
            wire.telemetry(point(2), batch={**NAME, "n": 2})
            assert wire.hear()["upto"] == 2
        assert (stored(gateway, "left-arm"), stored(gateway, "drone-01")) == ([1, 2], [])
        with http(gateway) as client:
            delivery = client.get("/v1/sources/left-arm/delivery").json()
        assert (delivery["batches"], delivery["duplicates"]) == (2, 1)

    def test_readers_of_the_old_name_are_told_too(self, gateway: Gateway) -> None:
        with device(gateway, install_id="a"), reader(gateway, "/v1/sources/drone-01/metrics/stream") as wire:
            rename(gateway)
            assert wire.closed()[0] == 1012

    def test_a_reader_goes_on_with_its_cursor_under_the_new_name(self, gateway: Gateway) -> None:
        with device(gateway, acks=True, install_id="a") as wire:
            with reader(gateway, "/v1/sources/drone-01/metrics/stream?cursor=") as live:
                cursor = live.hear()["cursor"]
            said(wire, point(1))
            rename(gateway)
        old, new = (f"/v1/sources/{name}/metrics/stream?cursor={cursor}" for name in ("drone-01", "left-arm"))
        with reader(gateway, new) as resumed, reader(gateway, old) as left:
            assert resumed.hear()["resumed"] is True
            assert [told["value"] for told in resumed.hear()["points"]] == [1]
            assert left.hear()["resumed"] is False

    def test_who_comes_back_to_a_deleted_source_is_not_told_its_points(self, gateway: Gateway) -> None:
        path = "/v1/sources/drone-01/metrics/stream"
        with device(gateway, acks=True, install_id="a") as wire:
            with reader(gateway, f"{path}?cursor=") as live:
                cursor = live.hear()["cursor"]
            said(wire, point(1))
            delete(gateway)
        with device(gateway, acks=True, install_id="a") as wire, reader(gateway, f"{path}?cursor={cursor}") as live:
            live.hear()
            said(wire, point(2))
            assert [told["value"] for told in live.hear()["points"]] == [2]

    def test_the_device_of_a_deleted_source_comes_back_as_a_new_one(self, gateway: Gateway) -> None:
        with device(gateway, acks=True, install_id="a") as wire:
            said(wire, point(1))
            assert delete(gateway).json() == {"source_id": "drone-01"}
            assert wire.closed() == (1012, "the source was deleted")
        with device(gateway, acks=True, install_id="a") as wire:
            assert wire.authenticated["source_id"] == "drone-01"
            said(wire, point(2))
        assert stored(gateway, "drone-01") == [2]

    def test_a_source_of_which_somebody_does_not_leave_keeps_its_name(
        self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(moving, "LEAVE_S", 0.0)
        with device(gateway, install_id="a") as wire:
            answer = rename(gateway)
            assert (answer.status_code, "does not end" in answer.json()["error"]) == (503, True)
            wire.closed()
        assert gateway.core.registry.registered("default") == ["drone-01"]

    def test_nobody_is_let_in_under_a_name_that_is_moving(self, gateway: Gateway) -> None:
        gateway.core.moving.places.add(("default", "drone-01"))
        with socket(gateway, "/ws/device") as wire:
            wire.say(type="device_auth", api_key=make_key(gateway, "write"), source_id="drone-01")
            assert wire.hear()["code"] == UNAVAILABLE
            assert wire.closed()[0] == 1013

    def test_a_range_follows_its_metric(self, gateway: Gateway) -> None:
        with device(gateway, install_id="a"):
            with http(gateway) as client:
                client.put("/v1/sources/drone-01/metrics/motor.rpm", json={"high": 2})
            rename(gateway)
        with device(gateway, install_id="a") as wire, reader(gateway, "/v1/sources/left-arm/metrics/stream") as live:
            wire.telemetry(point(1), point(3))
            assert [told["alert"] for told in live.hear()["points"]] == [0, 1]


def test_our_own_device_goes_on_under_the_new_name_and_loses_nothing() -> None:
    with MemoryHouse() as house:
        px = house.device("drone-01")
        px.send("t", 1.0)
        px.flush_buffer()
        core = house._core
        moved = moving.move(core, "default", "drone-01", "left-arm")
        asyncio.run_coroutine_threadsafe(moved, house._loop).result(10)
        px.send("t", 2.0)
        px.flush_buffer()
        latest, names = house.reader().metrics.latest("left-arm"), core.store.sources("default")
    assert (latest, set(names)) == ({"t": 2.0}, {"left-arm"})


def test_a_move_that_the_trail_could_not_take_is_not_made(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_entry: object) -> None:
        raise StoreError("audit.db: the disk is full")

    with device(gateway, install_id="a"):
        pass
    monkeypatch.setattr(gateway.core.audit, "record", full)
    assert (rename(gateway).status_code, delete(gateway).status_code) == (503, 503)
    assert gateway.core.registry.registered("default") == ["drone-01"]


class KilledError(Exception):
    """What ends a gateway here."""


def keepers() -> moving.Keepers:
    """A source that everybody knows."""
    made = moving.Keepers(MemoryRegistry(), MemoryStore(), MemoryKeyring(), MemoryCommandbook(), MemoryTallies())
    made.registry.claim("acme", "rig", "install")
    made.keyring.create("acme", "rig", ["write"], source_id="rig")
    made.commandbook.put(entry("r"))
    made.tallies.save({("acme", "rig"): Tally(batches=7)})
    columns = Columns()
    columns.add("rig", "t", 1, is_event=False, value=1.5, tags=None, run_id=None)
    made.store.commit([Submission("acme", "rig", columns, 1)])
    return made


def seen(of: moving.Keepers, name: str) -> tuple[bool, bool, bool, bool, bool]:
    """Who knows the source by this name: registry, store, keyring, commands, tallies."""
    return (
        name in of.registry.registered("acme"),
        name in of.store.sources("acme"),
        any(info.source_id == name for info in of.keyring.list()),
        bool(of.commandbook.entries("acme", name)),
        ("acme", name) in of.tallies.load(),
    )


KEPT = [
    ("store", "rename"),
    ("keyring", "rename"),
    ("commandbook", "rename"),
    ("tallies", "rename"),
    ("registry", "end_move"),
]
GONE = [("store", "remove"), ("commandbook", "remove"), ("tallies", "remove"), ("registry", "end_move")]


class TestKilledError:
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize(("keeper", "step"), KEPT)
    def test_a_rename_that_was_begun_is_finished(
        self, monkeypatch: pytest.MonkeyPatch, keeper: str, step: str, when: str
    ) -> None:
        kept = self._killed(monkeypatch, Move("acme", "rig", "oven"), keeper, step, when)
        assert seen(kept, "oven") == (True,) * 5
        assert seen(kept, "rig") == (False,) * 5
        assert kept.tallies.load()["acme", "oven"].batches == 7

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize(("keeper", "step"), GONE)
    def test_a_deletion_that_was_begun_is_finished(
        self, monkeypatch: pytest.MonkeyPatch, keeper: str, step: str, when: str
    ) -> None:
        kept = self._killed(monkeypatch, Move("acme", "rig", None), keeper, step, when)
        registered, has_points, has_key, has_commands, is_counted = seen(kept, "rig")
        assert (registered, has_points, has_commands, is_counted) == (False,) * 4
        assert has_key

    def _killed(self, monkeypatch: pytest.MonkeyPatch, move: Move, keeper: str, step: str, when: str) -> moving.Keepers:
        kept = keepers()
        kept.registry.begin_move(move)
        with monkeypatch.context() as patch:
            patch.setattr(getattr(kept, keeper), step, _dying(getattr(getattr(kept, keeper), step), when))
            with pytest.raises(KilledError):
                moving.follow(kept, move)
        moving.finish(kept)
        assert kept.registry.moves() == []
        return kept

    def test_a_gateway_that_starts_finishes_it_before_anybody_is_let_in(self, tmp_path: Path) -> None:
        with running(data_dir=tmp_path) as gateway, device(gateway, acks=True, install_id="a") as wire:
            said(wire, point(1))
        registry = SqliteRegistry(tmp_path / "registry.db")
        registry.begin_move(Move("default", "drone-01", "left-arm"))
        registry.close()
        with running(data_dir=tmp_path) as gateway:
            assert stored(gateway, "left-arm") == [1]
            with device(gateway, install_id="a") as wire:
                assert wire.authenticated["source_id"] == "left-arm"

    def test_one_that_could_not_go_on_is_finished_by_the_next(
        self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise StoreError("keys.db: the disk is full")

        for name in ("drone-01", "drone-02"):
            with device(gateway, name, acks=True, install_id=name) as wire:
                said(wire, point(1))
        with monkeypatch.context() as patch:
            patch.setattr(gateway.core.keyring, "rename", full)
            assert rename(gateway).status_code == 503
        assert delete(gateway, "drone-02").status_code == 200
        assert gateway.core.registry.moves() == []
        assert (stored(gateway, "left-arm"), gateway.core.registry.registered("default")) == ([1], ["left-arm"])


def _dying(step: Callable[..., Any], when: str) -> Callable[..., Any]:
    def dies(*arguments: Any) -> None:
        if when == "after":
            step(*arguments)
        raise KilledError

    return dies
