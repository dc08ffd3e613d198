from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.rest.house import House

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


def test_a_command_for_a_device_that_is_offline_is_not_queued(house: House) -> None:
    house.stored("rig", "t", 1)
    answer = house.request("POST", COMMANDS, json={"command": "reboot"})
    assert (answer.status_code, answer.json()) == (200, {"queued": False, "run_id": None})


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
