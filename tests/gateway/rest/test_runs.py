from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from plexus.gateway.rest import judging
from tests.gateway.rest.house import NOW_MS, House, key

NOW_S = NOW_MS / 1_000
NOW_ISO = "2025-05-11T13:21:00+00:00"


def _post(house: House, **body: Any) -> Any:
    answer = house.request("POST", "/api/runs", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["run"]


def _close(house: House, run_id: str, **body: Any) -> Any:
    answer = house.request("PATCH", f"/api/runs/{run_id}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["run"]


# --- 0.5.2 ---------------------------------------------------------------------------------------------------


def test_an_older_device_starts_and_ends_a_run(house: House) -> None:
    started = _post(house, run_id="cycle-1", source_id="rig", status="started", tags={"oven": "A"}, timestamp=NOW_S)
    assert started == {
        "id": "cycle-1",
        "name": "cycle-1",
        "source_id": "rig",
        "status": "running",
        "started_at": NOW_ISO,
        "ended_at": None,
        "tags": {"oven": "A"},
        "metadata": {},
        "pass_criteria": [],
    }
    ended = _post(house, run_id="cycle-1", source_id="rig", status="ended", tags=None, timestamp=NOW_S + 1.5)
    assert ended == {**started, "status": "completed", "ended_at": "2025-05-11T13:21:01.500000+00:00"}
    assert house.get("/api/runs")["runs"] == [ended]


def test_a_start_that_is_told_twice_changes_nothing(house: House) -> None:
    started = {"run_id": "c", "source_id": "rig", "status": "started", "timestamp": NOW_S}
    _post(house, **started)
    ended = _post(house, run_id="c", source_id="rig", status="ended", timestamp=NOW_S + 1)
    assert _post(house, **started) == ended


def test_a_later_start_under_the_same_id_begins_anew(house: House) -> None:
    _post(house, run_id="c", source_id="rig", status="started", timestamp=NOW_S)
    _post(house, run_id="c", source_id="rig", status="ended", timestamp=NOW_S + 1)
    again = _post(house, run_id="c", source_id="rig", status="started", timestamp=NOW_S + 9)
    assert (again["status"], again["ended_at"]) == ("running", None)
    assert len(house.get("/api/runs")["runs"]) == 1


def test_an_end_whose_start_was_lost_is_kept(house: House) -> None:
    ended = _post(house, run_id="c", source_id="rig", status="ended", timestamp=NOW_S)
    assert (ended["status"], ended["started_at"], ended["ended_at"]) == ("completed", NOW_ISO, NOW_ISO)


def test_an_end_that_is_told_again_without_a_time_moves_nothing(house: House) -> None:
    ended = _post(house, run_id="c", source_id="rig", status="ended", timestamp=NOW_S)
    house.now_ns += 3_600 * 1_000_000_000
    assert _post(house, run_id="c", source_id="rig", status="ended") == ended


def test_without_a_time_it_is_now(house: House) -> None:
    assert _post(house, run_id="c", status="started")["started_at"] == NOW_ISO


# --- 0.11.0 --------------------------------------------------------------------------------------------------


def test_a_run_is_opened_under_an_id_of_the_gateways(house: House) -> None:
    house.connect("rig")
    body = {"name": "Flight 7", "source_id": "rig", "started_at": "2025-05-11T15:21:00+02:00", "tags": {"p": "A"}}
    run = _post(house, **body, metadata={"kg": [1.5]}, pass_criteria=None)
    assert run == {
        "id": run["id"],
        "name": "Flight 7",
        "source_id": "rig",
        "status": "running",
        "started_at": NOW_ISO,
        "ended_at": None,
        "tags": {"p": "A"},
        "metadata": {"kg": [1.5]},
        "pass_criteria": [],
    }
    assert _post(house, **body)["id"] != run["id"]


def test_a_run_is_closed_with_its_status_and_time(house: House) -> None:
    run = _post(house, name="x", source_id=None, tags=None)
    closed = _close(house, run["id"], status="aborted", ended_at="2025-05-11T13:22:00Z")
    assert closed == {**run, "status": "aborted", "ended_at": "2025-05-11T13:22:00+00:00"}
    assert "test_result" not in closed


def test_closing_a_run_again_moves_its_end_only_when_one_is_named(house: House) -> None:
    run = _post(house, name="x")
    closed = _close(house, run["id"], status="completed")
    house.now_ns += 3_600 * 1_000_000_000
    assert _close(house, run["id"], status="completed") == closed
    assert _close(house, run["id"], status="aborted") == {**closed, "status": "aborted"}
    named = _close(house, run["id"], status="aborted", ended_at="2025-05-11T13:22:00Z")
    assert named["ended_at"] == "2025-05-11T13:22:00+00:00"


def test_closing_a_run_judges_it(house: House) -> None:
    house.stored("rig", "t", 20, 90, at_ms=NOW_MS + 1)
    criteria = [
        {"metric": "t", "operator": "<", "value": 80, "label": "not too hot"},
        {"metric": "t", "operator": ">=", "value": 20, "label": None},
    ]
    run = _post(house, name="x", source_id="rig", pass_criteria=criteria)
    assert "test_result" not in run
    closed = _close(house, run["id"], status="completed", ended_at="2025-05-11T13:22:00Z")
    assert closed["test_result"] == {
        "passed": False,
        "criteria_results": [
            {"metric": "t", "operator": "<", "value": 80, "label": "not too hot", "passed": False},
            {"metric": "t", "operator": ">=", "value": 20, "label": "", "passed": True},
        ],
    }


CRITERIA = [{"metric": "t", "operator": "<", "value": 80}]


def _closed(house: House, **body: Any) -> Any:
    run = _post(house, name="x", pass_criteria=CRITERIA, **body)
    return _close(house, run["id"], status="completed", ended_at="2025-05-11T13:22:00Z")


def test_a_run_is_asked_for_by_its_id_with_its_judgement(house: House) -> None:
    house.stored("rig", "t", 20, at_ms=NOW_MS + 1)
    closed = _closed(house, source_id="rig")
    assert closed["test_result"]["passed"] is True
    assert house.get(f"/api/runs/{closed['id']}") == {"run": closed}
    assert house.get("/api/runs") == {"runs": [closed]}


def test_a_run_is_judged_again_when_points_of_it_came_late(house: House) -> None:
    house.stored("rig", "t", 20, at_ms=NOW_MS + 1)
    closed = _closed(house, source_id="rig")
    house.now_ns += 3_600 * 1_000_000_000
    house.stored("rig", "t", 90, at_ms=NOW_MS + 2)
    assert house.get(f"/api/runs/{closed['id']}")["run"]["test_result"]["passed"] is False
    assert house.get("/api/runs")["runs"][0]["test_result"]["passed"] is False


def test_a_run_whose_only_points_came_late_passes_then(house: House) -> None:
    house.connect("rig")
    closed = _closed(house, source_id="rig")
    assert closed["test_result"]["passed"] is False
    house.stored("rig", "t", 20, at_ms=NOW_MS + 2)
    assert house.get(f"/api/runs/{closed['id']}")["run"]["test_result"]["passed"] is True


def test_a_run_is_not_judged_twice_on_the_same_data(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.stored("rig", "t", 20, at_ms=NOW_MS + 1)
    closed = _closed(house, source_id="rig")
    monkeypatch.setattr(judging, "judge", None)
    assert house.get(f"/api/runs/{closed['id']}")["run"] == closed


def test_a_run_that_ends_anew_is_judged_anew(house: House) -> None:
    house.stored("rig", "t", 20, at_ms=NOW_MS + 1)
    house.stored("rig", "t", 90, at_ms=NOW_MS + 59_999)
    closed = _closed(house, source_id="rig")
    assert closed["test_result"]["passed"] is False
    again = _close(house, closed["id"], status="completed", ended_at="2025-05-11T13:21:30Z")
    assert again["test_result"]["passed"] is True


def test_a_run_of_the_organisation_is_judged_again_when_any_source_sends(house: House) -> None:
    house.stored("rig", "t", 20, at_ms=NOW_MS + 1)
    closed = _closed(house)
    assert closed["test_result"]["passed"] is True
    house.now_ns += 1
    house.stored("arm", "t", 99, at_ms=NOW_MS + 2)
    assert house.get(f"/api/runs/{closed['id']}")["run"]["test_result"]["passed"] is False


def test_a_list_judges_the_newest_and_shows_the_others_as_they_were_judged_last(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.stored("rig", "t", 20, at_ms=NOW_MS + 1)
    older = _closed(house, source_id="rig", started_at="2025-05-11T13:20:59Z")
    newer = _closed(house, source_id="rig", started_at="2025-05-11T13:21:00Z")
    monkeypatch.setattr(judging, "LISTED_AT_ONCE", 1)
    house.now_ns += 1
    house.stored("rig", "t", 90, at_ms=NOW_MS + 2)
    runs = house.get("/api/runs")["runs"]
    assert [(run["id"], run["test_result"]["passed"]) for run in runs] == [(newer["id"], False), (older["id"], True)]


def test_a_run_that_goes_on_or_has_no_criteria_is_not_judged(house: House) -> None:
    house.stored("rig", "t", 20, at_ms=NOW_MS + 1)
    going = _post(house, name="x", source_id="rig", pass_criteria=CRITERIA)
    plain = _post(house, name="y", source_id="rig")
    _close(house, plain["id"], status="completed", ended_at="2025-05-11T13:22:00Z")
    for run in (going, plain):
        assert "test_result" not in house.get(f"/api/runs/{run['id']}")["run"]
    assert all("test_result" not in run for run in house.get("/api/runs")["runs"])


def test_a_run_of_an_older_device_is_asked_for_too(house: House) -> None:
    _post(house, run_id="c", source_id="rig", status="started", timestamp=NOW_S)
    assert house.get("/api/runs/c")["run"]["status"] == "running"


@pytest.mark.parametrize("run_id", ["thermal/001", "a//b", "/a/", "50 %", "größe?", "a%2Fb", "r.."])
def test_an_id_may_hold_what_a_url_escapes(house: House, run_id: str) -> None:
    house.request("POST", "/api/runs", json={"run_id": run_id, "source_id": "rig", "status": "started"})
    path = f"/api/runs/{quote(run_id, safe='')}"
    assert house.get(path)["run"]["id"] == run_id
    assert house.request("PATCH", path, json={"status": "aborted"}).json()["run"]["status"] == "aborted"


def test_a_run_of_another_source_or_organisation_is_not_found(house: House) -> None:
    _post(house, run_id="c", source_id="rig", status="started", timestamp=NOW_S)
    for stranger in (key("read", org="other"), key("read", source_id="arm")):
        assert house.refused("GET", "/api/runs/c", by=stranger)[0] == 404
    assert "NOT_FOUND" in house.refused("GET", "/api/runs/none")[1]


def test_an_unknown_source_is_not_found_by_the_word_that_clients_look_for(house: House) -> None:
    status, error = house.refused("POST", "/api/runs", json={"name": "x", "source_id": "rig"})
    assert status == 404
    assert "NOT_FOUND" in error
    assert house.request("POST", "/api/sources", json={"slug": "rig"}).status_code == 201
    assert _post(house, name="x", source_id="rig")["source_id"] == "rig"


def test_an_unknown_run_is_not_found(house: House) -> None:
    status, error = house.refused("PATCH", "/api/runs/none", json={"status": "completed"})
    assert status == 404
    assert "NOT_FOUND" in error


# --- both ----------------------------------------------------------------------------------------------------


def test_runs_are_chosen_by_source_and_status(house: House) -> None:
    for run_id, source_id in (("a", "rig"), ("b", "arm"), ("c", "rig")):
        _post(house, run_id=run_id, source_id=source_id, status="started", timestamp=NOW_S)
    _post(house, run_id="c", source_id="rig", status="ended", timestamp=NOW_S)
    assert [run["id"] for run in house.get("/api/runs", source_id="rig")["runs"]] == ["a", "c"]
    assert [run["id"] for run in house.get("/api/runs", status="completed")["runs"]] == ["c"]
    assert [run["id"] for run in house.get("/api/runs", source_id="rig", status="running")["runs"]] == ["a"]
    status, error = house.refused("GET", "/api/runs?status=done")
    assert status == 400
    assert "running, completed, aborted" in error


def test_fields_that_are_not_the_clients_to_set_are_passed_over(house: House) -> None:
    _post(house, run_id="c", status="started", org="other", org_id="other", id="z", ended_at="x")
    assert [run["id"] for run in house.get("/api/runs")["runs"]] == ["c"]
    assert house.get("/api/runs", by=key("read", org="other"))["runs"] == []


def test_a_key_of_one_source_has_the_runs_of_that_source_only(house: House) -> None:
    for source_id in ("rig", "arm"):
        _post(house, run_id=f"of-{source_id}", source_id=source_id, status="started")
    _post(house, run_id="of-all", status="started")
    only = key("read", "write", source_id="rig")
    assert [run["id"] for run in house.get("/api/runs", by=only)["runs"]] == ["of-rig"]
    assert house.refused("PATCH", "/api/runs/of-arm", by=only, json={"status": "aborted"})[0] == 404
    assert house.refused("PATCH", "/api/runs/of-all", by=only, json={"status": "aborted"})[0] == 404
    for body in ({"name": "x", "source_id": "arm"}, {"name": "x"}, {"run_id": "y", "status": "started"}):
        assert house.refused("POST", "/api/runs", by=only, json=body)[0] == 403
    taken = {"run_id": "of-arm", "source_id": "rig", "status": "ended"}
    assert house.refused("POST", "/api/runs", by=only, json=taken)[0] == 403


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "name is required"),
        ({"run_id": "a"}, "status must be 'started' or 'ended'"),
        ({"run_id": "a", "status": "begun"}, "status: Invalid enum value 'begun'"),
        ({"run_id": "", "status": "started"}, "run_id: Expected `str` of length >= 1"),
        ({"run_id": "a", "status": "started", "source_id": "../x"}, "source_id must match"),
        ({"run_id": "a", "status": "started", "timestamp": 1e300}, "timestamp must be seconds or milliseconds"),
        ({"run_id": "a", "status": "started", "timestamp": "now"}, "timestamp: Expected `float | null`"),
        ({"name": "a", "started_at": "2025-05-11T15:21:00"}, "started_at='2025-05-11T15:21:00' has no offset"),
        ({"name": "a", "started_at": 5}, "started_at: Expected `str | null`"),
        ({"name": "a", "tags": {"a": 1}}, "tags"),
        ({"name": "a", "pass_criteria": [{"metric": "a", "operator": "~", "value": 1}]}, "operator"),
    ],
)
def test_a_malformed_run_is_refused_by_field(house: House, body: Any, says: str) -> None:
    status, error = house.refused("POST", "/api/runs", json=body)
    assert status == 400
    assert says in error
    assert house.get("/api/runs")["runs"] == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "status"),
        ({"status": "running"}, "status: Invalid enum value 'running'"),
        ({"status": "completed", "ended_at": "yesterday"}, "ended_at='yesterday' is not ISO 8601"),
        ({"status": "completed", "ended_at": "2025-05-11T13:20:59Z"}, "before its start"),
    ],
)
def test_a_malformed_end_is_refused_by_field(house: House, body: Any, says: str) -> None:
    run = _post(house, name="x")
    status, error = house.refused("PATCH", f"/api/runs/{run['id']}", json=body)
    assert status == 400
    assert says in error
    assert house.get("/api/runs")["runs"] == [run]
