"""`plexus events`: what happened, from the history and as it happens."""

from __future__ import annotations

import json
import subprocess
import threading
import time

import pytest

from plexus.cli import main
from plexus.gateway import Gateway
from tests.cli.conftest import PLEXUS, Command, put
from tests.support.waiting import eventually


@pytest.fixture
def eventful(gateway: Gateway) -> Gateway:
    now = time.time() * 1000
    for age_s, source_id, name, value in (
        (30, "drone-01", "state_change", "boot"),
        (20, "drone-02", "state_change", "boot"),
        (10, "drone-01", "fault", {"code": 7}),
    ):
        point = {"class": "event", "metric": name, "value": value, "timestamp": now - age_s * 1000}
        put(gateway, {**point, "tags": {"by": "test\x1b"}}, source_id=source_id)
    return gateway


def happened(gateway: Gateway, value: str, source_id: str = "drone-01") -> None:
    put(gateway, {"class": "event", "metric": "state_change", "value": value}, source_id=source_id)


def names(out: str) -> list[tuple[str, str]]:
    return [(event["source_id"], event["name"]) for event in map(json.loads, out.splitlines())]


def test_events_of_a_source_are_listed_in_time(plexus: Command, eventful: Gateway) -> None:
    ended = plexus("events", "drone-01")
    first, second = ended.out.splitlines()
    assert (ended.code, first.split()[2:4], second.split()[2:4]) == (
        *(0, ["state_change", "boot"]),
        ["fault", '{"code":7}'],
    )
    assert "\x1b" not in ended.out


def test_without_a_source_they_are_of_all_in_one_order(plexus: Command, eventful: Gateway) -> None:
    found = names(plexus("events", "--json").out)
    assert found == [("drone-01", "state_change"), ("drone-02", "state_change"), ("drone-01", "fault")]
    assert [line.split()[2] for line in plexus("events").out.splitlines()] == ["drone-01", "drone-02", "drone-01"]


def test_the_first_and_the_last_can_be_had_over_all_sources(plexus: Command, eventful: Gateway) -> None:
    assert names(plexus("events", "--limit", "2", "--json").out) == [
        ("drone-01", "state_change"),
        ("drone-02", "state_change"),
    ]
    assert names(plexus("events", "--tail", "1", "--json").out) == [("drone-01", "fault")]


def test_events_can_be_chosen_by_name_and_window(plexus: Command, eventful: Gateway) -> None:
    assert names(plexus("events", "drone-01", "--name", "fault", "--json").out) == [("drone-01", "fault")]
    ended = plexus("events", "drone-01", "--start", "0", "--end", "2020-01-01T00:00:00Z")
    assert (ended.code, ended.out) == (0, "")
    assert "no events" in ended.err


def test_followed_events_begin_where_they_are_asked_to(plexus: Command, eventful: Gateway) -> None:
    ended = plexus("events", "drone-01", "--follow", "--since", "5m", "--count", "2", "--json")
    assert (ended.code, names(ended.out)) == (0, [("drone-01", "state_change"), ("drone-01", "fault")])


def test_followed_events_can_be_chosen_by_name(plexus: Command, eventful: Gateway) -> None:
    words = ("--follow", "--since", "5m", "--name", "fault", "--count", "1", "--json")
    assert names(plexus("events", *words).out) == [("drone-01", "fault")]


def test_events_are_shown_as_they_happen(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    put(gateway, {"metric": "m", "value": 1})
    ended: list[int] = []
    words = ["events", "drone-01", "--follow", "--count", "2", "--json"]
    thread = threading.Thread(target=lambda: ended.append(main(words)))
    thread.start()
    eventually(lambda: len(gateway.core.sockets) == 1)
    happened(gateway, "armed")
    happened(gateway, "flying")
    thread.join(20)
    assert ended == [0]
    assert [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()] == ["armed", "flying"]


def test_options_of_the_other_kind_are_refused(plexus: Command, gateway: Gateway) -> None:
    followed = plexus("events", "--follow", "--last", "1h")
    assert (followed.code, "--since" in followed.err) == (2, True)
    listed = plexus("events", "--since", "1h")
    assert (listed.code, "--follow" in listed.err) == (2, True)


def test_a_reader_that_has_enough_is_no_error(gateway: Gateway) -> None:
    put(
        gateway,
        *({"class": "event", "metric": "e", "value": "x" * 200, "tags": {"n": str(index)}} for index in range(2000)),
    )
    process = subprocess.Popen([PLEXUS, "events", "drone-01"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), said) == (0, b"")
