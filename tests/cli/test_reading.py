from __future__ import annotations

import json
import threading

import pytest

from plexus.cli import main
from plexus.gateway import Gateway
from tests.cli.conftest import Command, put
from tests.support.waiting import eventually


def test_sources_are_listed(plexus: Command, filled: Gateway) -> None:
    ended = plexus("sources")
    assert ended.code == 0
    heading, row = ended.out.splitlines()
    assert heading.split() == ["SOURCE", "STATE", "LAST", "SEEN"]
    assert row.split()[:2] == ["drone-01", "online"]


def test_sources_can_be_chosen_by_their_state(plexus: Command, filled: Gateway) -> None:
    assert "drone-01" in plexus("sources", "--status", "online").out
    assert plexus("sources", "--status", "offline").out == ""


def test_sources_are_json_for_a_program(plexus: Command, filled: Gateway) -> None:
    source = json.loads(plexus("sources", "--json").out)
    assert (source["source_id"], source["online"]) == ("drone-01", True)


def test_without_a_source_it_says_how_to_make_one(plexus: Command, gateway: Gateway) -> None:
    ended = plexus("sources")
    assert (ended.code, ended.out) == (0, "")
    assert "plexus send" in ended.err


def test_latest_values_are_shown(plexus: Command, filled: Gateway) -> None:
    rows = [line.split() for line in plexus("latest", "drone-01").out.splitlines()]
    assert ["battery.voltage", "12.25"] in rows


def test_a_device_cannot_steer_the_terminal(plexus: Command, filled: Gateway) -> None:
    out = plexus("latest", "drone-01").out
    assert "\x1b" not in out
    assert r"RUN\x1b[2J" in out


def test_latest_values_are_json_for_a_program(plexus: Command, filled: Gateway) -> None:
    assert json.loads(plexus("latest", "drone-01", "--json").out)["battery.voltage"] == 12.25


def test_json_has_no_nan(plexus: Command, gateway: Gateway) -> None:
    put(gateway, {"metric": "m", "value": "NaN", "non_finite": True, "class": "metric"})
    assert json.loads(plexus("latest", "drone-01", "--json").out) == {"m": "NaN"}


def test_an_unknown_source_is_one_line(plexus: Command, filled: Gateway) -> None:
    ended = plexus("latest", "drone-02")
    assert ended.code == 1
    assert "'drone-02'" in ended.err
    assert ended.err.count("\n") == 1


def test_values_are_listed_in_time(plexus: Command, filled: Gateway) -> None:
    heading, *rows = plexus("query", "drone-01", "battery.voltage", "--last", "5m").out.splitlines()
    assert heading.split() == ["TIME", "METRIC", "VALUE"]
    assert [row.split()[-1] for row in rows] == ["12.5", "12.25"]


def test_long_windows_are_listed_in_buckets(plexus: Command, filled: Gateway) -> None:
    heading, *rows = plexus("query", "drone-01", "battery.voltage", "--last", "2d", "--interval", "1d").out.splitlines()
    assert heading.split() == ["TIME", "METRIC", "AVG", "MIN", "MAX", "COUNT"]
    assert sum(int(row.split()[-1]) for row in rows) == 2


def test_values_are_json_for_a_program(plexus: Command, filled: Gateway) -> None:
    answer = json.loads(plexus("query", "drone-01", "battery.voltage", "--last", "5m", "--json").out)
    assert answer["interval"] == "raw"
    assert answer["series"]["battery.voltage"]["value"] == [12.5, 12.25]


def test_a_window_may_be_given_by_its_ends(plexus: Command, filled: Gateway) -> None:
    ended = plexus("query", "drone-01", "battery.voltage", "--start", "0", "--end", "2020-01-01T00:00:00Z")
    assert (ended.code, ended.out) == (0, "")
    assert "no values" in ended.err


def test_a_time_without_an_offset_is_refused_with_the_fix(plexus: Command, filled: Gateway) -> None:
    ended = plexus("query", "drone-01", "battery.voltage", "--start", "2026-05-01T10:00:00")
    assert ended.code == 2
    assert "add Z or an offset" in ended.err


def test_whoami_shows_the_organisation_and_not_the_key(plexus: Command, gateway: Gateway) -> None:
    ended = plexus("whoami")
    assert ended.code == 0
    assert "default" in ended.out
    assert "PLEXUS_API_KEY" in ended.out
    assert gateway.api_key not in ended.out
    assert json.loads(plexus("whoami", "--json").out)["org_id"] == "default"


def test_tail_shows_readings_as_they_come_until_the_key_is_revoked(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(main(["tail", "drone-01", "battery.voltage", "--json"])))
    thread.start()
    eventually(lambda: len(gateway.core.sockets) == 1)
    put(gateway, {"metric": "motor.rpm", "value": 1}, {"metric": "battery.voltage", "value": 12.5, "timestamp": 5})
    put(gateway, {"metric": "battery.voltage", "value": 12.25, "timestamp": 6})
    shown = ""

    def both() -> bool:
        nonlocal shown
        shown += capsys.readouterr().out
        return shown.count("\n") == 2

    eventually(both)
    assert [json.loads(line)["value"] for line in shown.splitlines()] == [12.5, 12.25]
    key = gateway.core.keyring.find(gateway.api_key)
    assert key is not None
    gateway.core.keyring.revoke(key.key_id)
    thread.join(20)
    assert ended == [1]
    assert "4401" in capsys.readouterr().err
