from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from plexus.api import requests
from plexus.domain.errors import ConfigurationError, QueryError
from plexus.domain.metricinfo import MetricInfo

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


def test_a_name_with_a_comma_travels_in_a_field_of_its_own() -> None:
    assert requests.query("a1", ["gain,left", "rpm", "a,b", "volt"], HOUR, None).params == (
        ("metrics", "rpm,volt"),
        ("metric", "gain,left"),
        ("metric", "a,b"),
        *HOUR,
    )
    assert requests.metric_stream("a1", "gain,left").params == (("metric", "gain,left"),)


def test_a_video_stream_names_its_cameras_and_its_seconds() -> None:
    request = requests.video_stream("a1", ["front", "größe & ?#"], 60)
    assert request.target == (
        "/v1/sources/a1/video/stream?camera_id=front&camera_id=gr%C3%B6%C3%9Fe%20%26%20%3F%23&timeout=60.000"
    )
    assert requests.video_stream("a1", (), None).params == ()


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": " "}, "name of a run"),
        ({"name": "r", "tags": ["a"]}, "tags of a run"),
        ({"name": "r", "metadata": {"by": object()}}, "metadata of a run"),
        ({"name": "r", "criteria": [{"metric": "m", "operator": "~", "value": 1}]}, "operator must be one of"),
    ],
)
def test_a_run_that_cannot_be_is_refused_as_on_the_device(arguments: dict[str, Any], words: str) -> None:
    given = {"source_id": None, "tags": None, "metadata": None, "criteria": None, "started_at": 1.0, **arguments}
    with pytest.raises(ConfigurationError, match=words):
        requests.start_run(**given)


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
        (lambda: requests.source_commands("a1", "lost", None, None), "queued, acknowledged"),
        (lambda: requests.source_commands("a1", None, 0, None), "limit must be a whole number"),
        (lambda: requests.source_commands("a1", None, None, -1), "before must be a whole number"),
        (lambda: requests.one_command(""), "run_id must be"),
        (lambda: requests.run("r" * 1_025), "run_id must be"),
        (lambda: requests.runs("A1", None), "cannot be the name of a source"),
        (lambda: requests.runs(None, "ended"), "running, completed, aborted"),
        (lambda: requests.end_run("r", "running", 1.0), "completed or aborted"),
        (lambda: requests.end_run("r", "completed", datetime(2026, 5, 1)), "no time zone"),  # noqa: DTZ001
        (lambda: requests.start_run("r", "A1", None, None, None, 1.0), "cannot be the name of a source"),
        (lambda: requests.start_run("r", None, None, None, None, "noon"), "not ISO 8601"),
        (lambda: requests.register("A1", None, None, None), "cannot be the name of a source"),
        (lambda: requests.register("a1", None, None, {"by": object()}), "metadata of source 'a1'"),
        (lambda: requests.rename("a1", "A2"), "'A2' cannot be the name of a source"),
        (lambda: requests.describe("a1", MetricInfo("m", low=2, high=1)), "must not be above"),
        (lambda: requests.describe("a1", MetricInfo("m", low=float("nan"))), "what is known of 'm'"),
        (lambda: requests.describe("a1", MetricInfo("")), "must not be empty"),
        (lambda: requests.remove("a1", None, None, None, 1), "say which points"),
        (lambda: requests.remove("a1", "m", 2.0, 1.0, None), "must be before end"),
        (lambda: requests.remove("a1", "m", None, None, True), "confirm must be"),
        (lambda: requests.remove("a1", "m", datetime(2026, 5, 1), None, None), "no time zone"),  # noqa: DTZ001
    ],
)
def test_what_the_server_would_refuse_is_refused_before_the_request(build: Any, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        build()
