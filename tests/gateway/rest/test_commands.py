from __future__ import annotations

from typing import Any

import pytest

from plexus.domain.command import CommandOutcome
from plexus.domain.declaration import Declaration, Parameter
from plexus.domain.errors import StoreError
from plexus.gateway.core import Limits
from plexus.protocol import frames
from tests.gateway.rest.house import EVERYTHING, NOW_MS, House, key

COMMANDS = "/v1/sources/rig/commands"


def test_a_command_reaches_the_device_that_is_connected(house: House) -> None:
    link = house.connect("rig")
    answer = house.request("POST", COMMANDS, json={"command": "reboot", "params": {"delay_s": 3}})
    (call,) = link.calls
    assert (answer.status_code, answer.json()) == (200, {"queued": True, "run_id": call.call_id})
    assert (call.command, call.params) == ("reboot", {"delay_s": 3})


def test_params_may_be_missing_or_null(house: House) -> None:
    link = house.connect("rig")
    for body in ({"command": "a"}, {"command": "b", "params": None}):
        house.request("POST", COMMANDS, json=body)
    assert [call.params for call in link.calls] == [{}, {}]


def test_a_command_for_a_device_that_is_offline_is_not_queued_and_can_be_asked_for(house: House) -> None:
    house.stored("rig", "t", 1)
    answer = house.request("POST", COMMANDS, json={"command": "reboot"})
    run_id = answer.json()["run_id"]
    assert (answer.status_code, answer.json()) == (200, {"queued": False, "run_id": run_id})
    assert house.get(f"/v1/commands/{run_id}")["command"]["state"] == "offline"


def test_a_command_for_an_unknown_source_is_not_found(house: House) -> None:
    status, error = house.refused("POST", COMMANDS, json={"command": "reboot"})
    assert status == 404
    assert "'rig'" in error


def test_a_command_never_reaches_the_same_name_of_another_organisation(house: House) -> None:
    link = house.connect("rig", org="other")
    assert house.refused("POST", COMMANDS, json={"command": "reboot"})[0] == 404
    assert link.calls == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "command"),
        ({"command": ""}, "command: Expected `str` of length >= 1"),
        ({"command": "x" * 129}, "command: Expected `str` of length <= 128"),
        ({"command": 5}, "command: Expected `str`, got `int`"),
        ({"command": "a", "params": [1]}, "params: Expected `object | null`, got `array`"),
        ([], "Expected `object`"),
    ],
)
def test_a_malformed_command_is_refused_by_field(house: House, body: Any, says: str) -> None:
    house.connect("rig")
    status, error = house.refused("POST", COMMANDS, json=body)
    assert status == 400
    assert says in error


def test_parameters_of_the_largest_size_are_taken_and_one_byte_more_is_refused(house: House) -> None:
    link = house.connect("rig")
    room = Limits().params_bytes - len('{"text":""}')
    assert house.request("POST", COMMANDS, json={"command": "a", "params": {"text": "x" * room}}).status_code == 200
    status, error = house.refused("POST", COMMANDS, json={"command": "a", "params": {"text": "x" * (room + 1)}})
    assert status == 413
    assert "65536 bytes" in error
    assert len(link.calls) == 1


def test_a_command_that_cannot_be_kept_is_refused_and_not_sent(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    link = house.connect("rig")

    def full(entry: object) -> None:
        raise StoreError("commands.db: database or disk is full")

    monkeypatch.setattr(house.core.devices.book, "put", full)
    assert house.refused("POST", COMMANDS, json={"command": "a"})[0] == 503
    assert link.calls == []


# --- what became of it -----------------------------------------------------------------------------------------

DOSE = Declaration(
    "dose",
    title="Dose",
    danger="dangerous",
    idempotent=True,
    params={"ml": Parameter("ml", "integer", minimum=1, maximum=9, unit="ml")},
)


def _send(house: House, command: str, **params: Any) -> str:
    answer = house.request("POST", COMMANDS, json={"command": command, "params": params})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["run_id"])


def _status(house: House, run_id: str, seq: int, state: str, **fields: Any) -> None:
    house.heard("rig", frames.CommandStatus(run_id, seq, state, **fields))


def test_what_a_source_declares_is_told_with_its_parameters(house: House) -> None:
    house.connect("rig", declared={"dose": DOSE})
    assert house.get(COMMANDS) == {
        "source_id": "rig",
        "online": True,
        "declared": [
            {
                "name": "dose",
                "typed": True,
                "title": "Dose",
                "danger": "dangerous",
                "idempotent": True,
                "expires_in_s": 30.0,
                "concurrency": "accept",
                "params": {"ml": {"type": "integer", "minimum": 1, "maximum": 9, "unit": "ml", "required": True}},
            }
        ],
        "commands": [],
        "next": None,
    }


def test_descriptions_of_older_devices_are_told_as_far_as_they_are_any(house: House) -> None:
    described: list[dict[str, Any]] = [
        {"name": "reboot", "description": "Reboot", "params": [{"name": "s"}]},
        {"name": 5},
        {"name": "x"},
    ]
    house.connect("rig", described=described)
    assert house.get(COMMANDS)["declared"] == [
        {"name": "reboot", "typed": False, "params": [{"name": "s"}], "description": "Reboot"},
        {"name": "x", "typed": False, "params": []},
    ]


def test_a_source_that_is_offline_declares_nothing(house: House) -> None:
    house.stored("rig", "t", 1, at_ms=NOW_MS - 1)
    assert house.get(COMMANDS)["declared"] == []


def test_a_run_is_told_with_its_states_and_its_result(house: House) -> None:
    house.connect("rig", declared={"dose": DOSE})
    run_id = _send(house, "dose", ml=5)
    house.now_ns += 1_500_000_000
    _status(house, run_id, 1, "acknowledged")
    _status(house, run_id, 2, "progress", progress=40.0, message="half")
    _status(house, run_id, 3, "succeeded", result={"ml": 5})
    item = {
        "run_id": run_id,
        "source_id": "rig",
        "command": "dose",
        "kind": "run",
        "state": "succeeded",
        "actor": EVERYTHING.key_id,
        "attempts": 1,
        "asked_ms": NOW_MS,
        "expires_ms": NOW_MS + 30_000,
        "changed_ms": NOW_MS + 1_500,
        "error_code": None,
        "error_message": None,
    }
    assert house.get(COMMANDS)["commands"] == [item]
    told = house.get(f"/v1/commands/{run_id}")["command"]
    steps = [(step["state"], step["progress"], step["message"]) for step in told.pop("steps")]
    assert told == {**item, "params": {"ml": 5}, "result": {"ml": 5}}
    assert steps == [
        ("queued", None, None),
        ("acknowledged", None, None),
        ("running", 40, "half"),
        ("succeeded", None, None),
    ]


def test_what_went_wrong_is_told(house: House) -> None:
    house.connect("rig", declared={"dose": DOSE})
    run_id = _send(house, "dose", ml=50)
    _status(house, run_id, 1, "failed", error_code="bad_params", error_message="ml must be at most 9, not 50")
    call_id = _send(house, "reboot")
    house.heard("rig", CommandOutcome(call_id, "reboot", "error", error="no power"))
    told = [(item["error_code"], item["error_message"]) for item in house.get(COMMANDS)["commands"]]
    assert told == [(None, "no power"), ("bad_params", "ml must be at most 9, not 50")]


def test_a_command_that_nobody_acknowledged_is_expired_when_it_is_looked_at(house: House) -> None:
    house.connect("rig", declared={"dose": DOSE})
    run_id = _send(house, "dose", ml=5)
    house.now_s += 30.0
    assert house.get(f"/v1/commands/{run_id}")["command"]["state"] == "expired"


def test_commands_are_newest_first_in_pages_that_go_on(house: House) -> None:
    house.connect("rig")
    ids = [_send(house, f"c{number}") for number in range(5)]
    first = house.get(COMMANDS, limit=2)
    rest = house.get(COMMANDS, limit=3, before=first["next"])
    assert [item["run_id"] for item in [*first["commands"], *rest["commands"]]] == ids[::-1]
    assert rest["next"] is None


def test_commands_are_chosen_by_state(house: House) -> None:
    house.connect("rig", declared={"dose": DOSE})
    done, _open = _send(house, "dose", ml=1), _send(house, "dose", ml=2)
    _status(house, done, 1, "succeeded")
    assert [item["run_id"] for item in house.get(COMMANDS, state="succeeded")["commands"]] == [done]
    assert house.get(COMMANDS, state="failed")["commands"] == []


@pytest.mark.parametrize("query", ["state=done", "limit=0", "limit=1001", "limit=x", "before=-1", "before=x"])
def test_a_question_that_cannot_be_answered_is_refused_by_name(house: House, query: str) -> None:
    house.connect("rig")
    status, error = house.refused("GET", f"{COMMANDS}?{query}")
    assert status == 400
    assert query.partition("=")[0] in error


def test_commands_of_another_source_or_organisation_are_not_found(house: House) -> None:
    house.connect("rig")
    run_id = _send(house, "reboot")
    for stranger in (key("read", org="other"), key("read", source_id="arm")):
        assert house.refused("GET", COMMANDS, by=stranger)[0] == 404
        assert house.refused("GET", f"/v1/commands/{run_id}", by=stranger)[0] == 404
    assert house.refused("GET", "/v1/commands/none")[0] == 404


def test_reading_needs_read_and_sending_needs_commands(house: House) -> None:
    link = house.connect("rig")
    run_id = _send(house, "reboot")
    sender, reader = key("commands"), key("read")
    assert house.refused("POST", COMMANDS, by=reader, json={"command": "a"})[0] == 403
    assert house.refused("GET", COMMANDS, by=sender)[0] == 403
    assert house.refused("GET", f"/v1/commands/{run_id}", by=sender)[0] == 403
    assert len(link.calls) == 1
    refused = house.core.meters.registry.get_sample_value("plexus_rejects_total", {"reason": "scope"})
    assert refused == 3


def test_a_key_of_one_source_commands_that_source_only(house: House) -> None:
    house.connect("rig")
    arm = house.connect("arm")
    only = key("commands", source_id="rig")
    assert house.request("POST", COMMANDS, by=only, json={"command": "a"}).status_code == 200
    assert house.refused("POST", "/v1/sources/arm/commands", by=only, json={"command": "a"})[0] == 404
    assert arm.calls == []
