from __future__ import annotations

import json
from typing import Any

import pytest

from plexus.api import requests
from plexus.domain.errors import QueryError

HOUR = (("last", "1h"),)


def test_metrics_travel_together_in_one_field() -> None:
    request = requests.query("drone-01", ["battery.voltage", "motor.rpm"], HOUR, "1m")
    assert (
        request.target == "/v1/sources/drone-01/metrics/query?metrics=battery.voltage%2Cmotor.rpm&last=1h&interval=1m"
    )


def test_one_metric_needs_no_list() -> None:
    assert requests.query("drone-01", "motor.rpm", HOUR, None).params == (("metrics", "motor.rpm"), *HOUR)


def test_no_metric_means_all_of_them() -> None:
    assert requests.query("drone-01", None, HOUR, None).params == HOUR


def test_what_a_url_cannot_carry_is_escaped() -> None:
    assert requests.metric_stream("a.b", "größe & ?#").target == (
        "/v1/sources/a.b/metrics/stream?metrics=gr%C3%B6%C3%9Fe%20%26%20%3F%23"
    )


def test_only_what_changes_nothing_may_be_asked_twice() -> None:
    assert requests.latest("drone-01").idempotent
    assert not requests.command("drone-01", "reboot", None).idempotent


def test_a_command_carries_its_parameters() -> None:
    body = requests.command("drone-01", "reboot", {"delay_s": 3}).body
    assert json.loads(body or "") == {"command": "reboot", "params": {"delay_s": 3}}


def test_events_can_be_the_first_or_the_last_of_a_window() -> None:
    assert requests.events("drone-01", HOUR, "mode", 5, None).params == (*HOUR, ("name", "mode"), ("limit", "5"))
    assert requests.events("drone-01", HOUR, None, None, 5).params == (*HOUR, ("tail", "5"))


@pytest.mark.parametrize("source_id", ["", "../etc", "a/b", "Drone", "drone 01", "drone\n", "x" * 257, 7, None])
def test_a_source_that_cannot_be_is_refused_before_the_request(source_id: Any) -> None:
    with pytest.raises(QueryError, match="cannot be the name of a source"):
        requests.source(source_id)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: requests.sources("away"), "online or offline"),
        (lambda: requests.query("a1", [], HOUR, None), "metrics is empty"),
        (lambda: requests.query("a1", [""], HOUR, None), "must not be empty"),
        (lambda: requests.query("a1", ["a,b"], HOUR, None), "comma"),
        (lambda: requests.query("a1", ["m" * 513], HOUR, None), "512 bytes"),
        (lambda: requests.query("a1", [3], HOUR, None), "must be a string"),  # type: ignore[list-item]
        (lambda: requests.query("a1", None, HOUR, "2m"), "raw, 1m, 10m, 1h, 1d"),
        (lambda: requests.fleet_metrics("cpu.percent", HOUR, "raw"), "1m, 10m, 1h, 1d"),
        (lambda: requests.fleet_metrics("", HOUR, None), "must not be empty"),
        (lambda: requests.events("a1", HOUR, None, 5, 5), "not both"),
        (lambda: requests.events("a1", HOUR, None, 0, None), "limit must be a whole number"),
        (lambda: requests.events("a1", HOUR, None, None, 1.5), "tail must be a whole number"),  # type: ignore[arg-type]
        (lambda: requests.events("a1", HOUR, "", None, None), "name=''"),
        (lambda: requests.command("a1", "", None), "name of a command"),
        (lambda: requests.command("a1", "go", {"speed": float("nan")}), "params of command 'go'"),
        (lambda: requests.command("a1", "go", {"by": object()}), "params of command 'go'"),
        (lambda: requests.command("a1", "go", 5), "params of command 'go'"),  # type: ignore[arg-type]
    ],
)
def test_what_the_server_would_refuse_is_refused_before_the_request(build: Any, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        build()
