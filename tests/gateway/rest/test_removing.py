"""Renaming and deleting sources, and removing wrong data, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Run
from plexus.gateway import Gateway
from plexus.gateway.rest import judging, removing
from plexus.gateway.rest.criteria import judge
from plexus.ports.keyring import SCOPES
from plexus.ports.store import Selection
from plexus.testing.contracts.commandbook import entry as command
from tests.gateway.rest.house import NOW_MS, House, key
from tests.support import plain

KEY = "plx_a-key-for-removing-0123456789"
AFTER = "2025-05-11T13:20:59.001Z"
"""One millisecond after the first point that `stored` commits."""
DATA = "/v1/sources/rig/data"


@pytest.fixture
def house(house: House) -> Iterator[House]:
    house.stored("rig", "t", 1, 2, 3)
    house.stored("rig", "u,v", 4)
    house.stored("rig", "door", "open", event=True)
    house.stored("arm", "t", 5)
    house._loop.run_until_complete(_start(house))
    yield house
    house._loop.run_until_complete(house.core.committer.stop())


async def _start(house: House) -> None:
    house.core.committer.start()


def trail(house: House) -> list[tuple[str, str, dict[str, Any]]]:
    return [(one.action, one.subject, dict(one.detail)) for _number, one in house.core.audit.entries("acme")]


def delete(house: House, path: str) -> Any:
    answer = house.request("DELETE", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestData:
    def test_metrics_and_events_of_one_source_are_removed(self, house: House) -> None:
        gone = delete(house, f"{DATA}?metrics=t,door&metric=u%2Cv&confirm=5")
        assert gone == {"points": 5, "dry_run": False}
        assert house.get("/v1/sources")["devices"][0]["source_id"] == "arm"
        assert house.get("/v1/sources/arm/metrics") == ["t"]

    def test_it_is_in_the_trail_with_what_was_asked_for(self, house: House) -> None:
        delete(house, f"{DATA}?metrics=t&end={AFTER}&confirm=1")
        asked = {"points": 1, "metrics": ["t"], "start": None, "end": AFTER}
        assert trail(house) == [("data.remove", "rig", asked)]

    @pytest.mark.parametrize(
        ("asked", "points", "left"),
        [
            (f"start={AFTER}", 2, [1]),
            (f"end={AFTER}", 3, [2, 3]),
            (f"metrics=t&start={AFTER}&end=2025-05-11T13:20:59.002Z", 1, [1, 3]),
        ],
    )
    def test_only_points_inside_of_the_window_are_removed(
        self, house: House, asked: str, points: int, left: list[int]
    ) -> None:
        assert delete(house, f"{DATA}?{asked}&confirm={points}")["points"] == points
        query = house.get("/v1/sources/rig/metrics/query", metrics="t", last="1h", interval="raw")
        assert query["series"]["t"]["value"] == left

    def test_a_dry_run_counts_what_would_go_and_removes_nothing(self, house: House) -> None:
        assert delete(house, f"{DATA}?metrics=t,door&dry_run=1") == {"points": 4, "dry_run": True}
        assert house.get("/v1/sources/rig/metrics") == ["t", "u,v"]
        assert trail(house) == []

    def test_nothing_is_removed_that_was_not_confirmed(self, house: House) -> None:
        status, error = house.refused("DELETE", f"{DATA}?metrics=t")
        assert (status, error.startswith("confirm is required: ask with dry_run=1 first")) == (400, True)
        status, error = house.refused("DELETE", f"{DATA}?metrics=t&confirm=2")
        assert (status, error) == (409, "it would be 3 points and not 2; nothing is removed: confirm 3")
        assert house.get("/v1/sources/rig/metrics/latest")["metrics"]["t"] == 3
        assert trail(house) == []

    @pytest.mark.parametrize(
        ("asked", "named"),
        [
            ("", "name metrics, start or end"),
            ("metrics=", "empty"),
            (f"start={AFTER}&end=2025-05-11T13:00:00Z", "must be before end"),
            ("start=yesterday", "start"),
            ("metrics=t&dry_run=yes", "dry_run"),
            ("metrics=t&confirm=-1", "confirm"),
            ("metrics=t&confirm=x", "confirm"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, house: House, asked: str, named: str) -> None:
        confirmed = asked if "confirm" in asked or "dry_run" in asked else f"{asked}&confirm=5"
        status, error = house.refused("DELETE", f"{DATA}?{confirmed}")
        assert status == 400
        assert named in error

    def test_more_events_than_can_be_counted_are_for_a_narrower_window(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(removing, "MAX_EVENTS", 1)
        house.stored("rig", "door", "shut", event=True)
        status, error = house.refused("DELETE", f"{DATA}?metrics=door&dry_run=1")
        assert (status, "narrow the window" in error) == (400, True)


class TestDelete:
    def test_a_source_goes_with_all_that_is_kept_of_it(self, house: House) -> None:
        house.registry.claim("acme", "rig", "install")
        house.registry.put_run("acme", Run("r1", "r1", "rig", "running", NOW_MS))
        house.core.metadata.put("acme", "rig", MetricInfo("t", high=2.0))
        house.core.devices.book.put(command("r"))
        assert delete(house, "/v1/sources/rig") == {"source_id": "rig"}
        assert house.refused("GET", "/v1/sources/rig")[0] == 404
        assert [one["source_id"] for one in house.get("/v1/sources")["devices"]] == ["arm"]
        assert house.registry.given("acme", "rig", "install") is None
        assert house.core.metadata.alert("acme", "rig", "t", 3) == 0
        assert house.core.presence.last_seen_ms("acme", "rig") is None
        assert house.refused("GET", "/v1/commands/r")[0] == 404
        assert house.refused("GET", "/api/runs/r1")[0] == 404
        assert trail(house) == [("source.delete", "rig", {})]

    def test_its_name_is_free_again(self, house: House) -> None:
        house.registry.claim("acme", "rig", "install")
        delete(house, "/v1/sources/rig")
        assert house.registry.claim("acme", "rig", "another") == "rig"

    def test_a_key_of_one_source_deletes_that_source(self, house: House) -> None:
        only = key("admin", source_id="rig")
        assert house.request("DELETE", "/v1/sources/rig", by=only).status_code == 200


class TestRename:
    def test_a_source_is_renamed_with_all_that_is_kept_of_it(self, house: House) -> None:
        house.registry.claim("acme", "rig", "install")
        house.registry.put_run("acme", Run("r1", "r1", "rig", "running", NOW_MS))
        house.core.metadata.put("acme", "rig", MetricInfo("t", high=2.0))
        house.core.devices.book.put(command("r"))
        text, _info = house.core.keyring.create("acme", "rig", ["write"], source_id="rig")
        answer = house.request("PATCH", "/v1/sources/rig", json={"source_id": "oven"})
        assert answer.json() == {"source_id": "oven", "online": True, "last_seen_ms": NOW_MS}
        assert house.get("/v1/sources/oven/metrics") == ["t", "u,v"]
        assert house.refused("GET", "/v1/sources/rig")[0] == 404
        assert house.registry.claim("acme", "rig", "install") == "oven"
        assert house.core.metadata.alert("acme", "oven", "t", 3) == 1
        assert house.get("/v1/commands/r")["command"]["source_id"] == "oven"
        assert house.get("/api/runs/r1")["run"]["source_id"] == "oven"
        renamed = house.core.keyring.find(text)
        assert renamed is not None
        assert renamed.source_id == "oven"
        assert trail(house) == [("source.rename", "rig", {"source_id": "oven"})]

    @pytest.mark.parametrize("taken", ["arm", "rig", "idle"])
    def test_a_name_that_is_known_is_refused(self, house: House, taken: str) -> None:
        house.registry.register("acme", "idle", "{}")
        status, error = house.refused("PATCH", "/v1/sources/rig", json={"source_id": taken})
        assert (status, error.startswith(f"there is a source {taken!r} already")) == (409, True)
        assert trail(house) == []

    @pytest.mark.parametrize("name", ["", "Rig", "a/b", "é", "oven\n"])
    def test_a_name_that_is_none_is_refused(self, house: House, name: str) -> None:
        assert house.refused("PATCH", "/v1/sources/rig", json={"source_id": name})[0] == 400

    def test_a_key_of_one_source_gives_no_other_name(self, house: House) -> None:
        only = key("admin", source_id="rig")
        assert house.refused("PATCH", "/v1/sources/rig", by=only, json={"source_id": "oven"})[0] == 403

    def test_the_organisation_in_a_body_is_passed_over(self, house: House) -> None:
        body = {"source_id": "oven", "org": "other", "org_id": "other"}
        assert house.request("PATCH", "/v1/sources/rig", json=body).status_code == 200
        assert house.get("/v1/sources", by=key(*SCOPES, org="other")) == {"devices": []}


@contextmanager
def opened(folder: Path) -> Iterator[httpx.Client]:
    """A client of a gateway on disk."""
    with (
        Gateway(data_dir=folder / "data", bootstrap_key=KEY) as gateway,
        plain.client(base_url=gateway.url, headers={"x-api-key": KEY}) as client,
    ):
        yield client


def test_a_gateway_on_disk_renames_removes_and_deletes_for_ever(tmp_path: Path) -> None:
    points = [{"metric": name, "value": 1.5} for name in ("t", "t", "u")]
    with opened(tmp_path) as client:
        assert client.post("/ingest", json={"source_id": "rig", "points": points}).json()["success"] is True
        assert client.post("/ingest", json={"source_id": "arm", "points": points}).json()["success"] is True
        assert client.patch("/v1/sources/rig", json={"source_id": "oven"}).status_code == 200
        assert client.delete("/v1/sources/oven/data?metrics=t&dry_run=1").json()["points"] == 2
        assert client.delete("/v1/sources/oven/data?metrics=t&confirm=2").json()["points"] == 2
        assert client.delete("/v1/sources/arm").json() == {"source_id": "arm"}
    with opened(tmp_path) as client:
        assert [one["source_id"] for one in client.get("/v1/sources").json()["devices"]] == ["oven"]
        assert client.get("/v1/sources/oven/metrics").json() == ["u"]
        entries = client.get("/v1/admin/audit").json()["entries"]
        assert [entry["action"] for entry in entries] == [
            "source.delete",
            "data.remove",
            "source.rename",
            "key.create",
        ]


@pytest.mark.parametrize("removed", ["/v1/sources/rig", "/v1/sources/rig/data?metrics=t&confirm=1"])
def test_a_run_of_everybody_is_judged_without_what_was_removed_also_after_a_restart(
    tmp_path: Path, removed: str
) -> None:
    def judged(client: httpx.Client) -> tuple[bool, bool]:
        """By its id, and in the list."""
        listed = client.get("/api/runs").json()["runs"][0]["test_result"]
        return client.get(path).json()["run"]["test_result"]["passed"], listed["passed"]

    begun = {"name": "x", "pass_criteria": [{"metric": "t", "operator": "<", "value": 80}]}
    with opened(tmp_path) as client:
        path = f"/api/runs/{client.post('/api/runs', json=begun).json()['run']['id']}"
        for source_id, value in (("rig", 90), ("arm", 20)):
            point = {"metric": "t", "value": value}
            assert client.post("/ingest", json={"source_id": source_id, "points": [point]}).status_code == 200
        client.patch(path, json={"status": "completed"})
        assert judged(client) == (False, False)
        assert client.delete(removed).status_code == 200
        assert judged(client) == (True, True)
    with opened(tmp_path) as client:
        assert judged(client) == (True, True)


def test_a_judgement_that_was_under_way_while_points_were_removed_is_not_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any) -> Any:
        found = judge(*arguments)
        house.store.remove("acme", Selection(["rig"], ["t"]))
        house.core.judgements.forget("acme")
        return found

    criteria = [{"metric": "t", "operator": ">", "value": 4}]
    body = {"name": "x", "started_at": "2025-05-11T13:00:00Z", "pass_criteria": criteria}
    path = f"/api/runs/{house.request('POST', '/api/runs', json=body).json()['run']['id']}"
    with monkeypatch.context() as patch:
        patch.setattr(judging, "judge", slowly)
        closed = house.request("PATCH", path, json={"status": "completed"}).json()
    assert closed["run"]["test_result"]["passed"] is False
    assert house.get(path)["run"]["test_result"]["passed"] is True
