from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.api import answers
from plexus.domain.asked import SentCommand
from plexus.domain.errors import PlexusError, ProtocolError
from plexus.domain.event import Event
from plexus.domain.run import Run
from plexus.domain.series import BucketSeries, FleetSeries, Series
from plexus.domain.source import FleetHealth, Source

RAW = {
    "interval": "raw",
    "auto_downsampled": False,
    "series": {"battery.voltage": {"timestamp_ms": [1, 2.5], "value": [12.4, "low"]}},
    "truncated": True,
}
BUCKETS = {
    "interval": "1h",
    "auto_downsampled": True,
    "series": {"rpm": {"timestamp_ms": [0], "min": [1], "max": [None], "avg": [1.5], "count": [2]}},
    "truncated": False,
}
FLEET = {
    "metric": "cpu.percent",
    "interval": "1m",
    "sources_online": 1,
    "sources_w_metric": 1,
    "sources": [
        {"source_id": "a1", "online": True, "timestamp_ms": [1], "avg": [1], "min": [1], "max": [1], "count": [1]}
    ],
    "truncated": False,
}


RUN = {"id": "r", "name": "n", "source_id": None, "status": "running", "started_at": "2026-05-01T10:00:00Z"}
COMMANDS = {"source_id": "a1", "online": True, "declared": [], "commands": [], "next": None}


def _events(body: bytes) -> list[Event]:
    return answers.events(body, "drone-01")


READERS: list[Callable[[bytes], Any]] = [
    answers.sources,
    answers.source,
    answers.metric_names,
    answers.latest,
    answers.query,
    _events,
    answers.fleet_health,
    answers.fleet_metrics,
    answers.registered,
    answers.deleted,
    answers.delivery,
    answers.metric_details,
    answers.metric_info,
    answers.forgotten,
    answers.removal,
    answers.sent,
    answers.source_commands,
    answers.command,
    answers.runs,
    answers.run,
    answers.identity,
]


def _read(reader: Callable[[bytes], Any], value: Any) -> Any:
    return reader(json.dumps(value).encode())


def _without(value: dict[str, Any], *path: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(value))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return copy  # type: ignore[no-any-return]


def test_sources_are_read_and_unknown_fields_passed_over() -> None:
    body = {"devices": [{"source_id": "a1", "online": True, "last_seen_ms": None, "colour": "red"}], "page": 1}
    assert _read(answers.sources, body) == [Source("a1", True, None)]


def test_raw_values_are_read_as_columns() -> None:
    result = _read(answers.query, RAW)
    assert result["battery.voltage"] == Series([1, 2.5], [12.4, "low"])
    assert result.truncated


def test_buckets_are_read_with_or_without_their_last_value() -> None:
    assert _read(answers.query, BUCKETS)["rpm"] == BucketSeries([0], [1], [None], [1.5], [2], ())
    with_last = json.loads(json.dumps(BUCKETS))
    with_last["series"]["rpm"]["last"] = [2]
    assert _read(answers.query, with_last)["rpm"].last == [2]


def test_values_that_are_no_finite_numbers_come_back_as_they_were() -> None:
    raw = json.loads(json.dumps(RAW))
    raw["series"]["battery.voltage"] = {"timestamp_ms": [1, 2], "value": ["NaN", "NaN"], "non_finite": [0]}
    value = _read(answers.query, raw)["battery.voltage"].value
    assert math.isnan(value[0])
    assert value[1] == "NaN"
    assert _read(answers.latest, {"metrics": {"a": "Infinity", "b": "NaN"}, "non_finite": ["a"]}) == {
        "a": math.inf,
        "b": "NaN",
    }
    event = _read(_events, [{"timestamp_ms": 1, "metric": "m", "value": "-Infinity", "non_finite": True}])[0]
    assert event.value == -math.inf


def test_events_belong_to_the_source_that_was_asked() -> None:
    body = [{"timestamp_ms": 1, "metric": "mode.changed", "value": {"to": "auto"}, "tags": None}]
    assert _read(_events, body) == [Event("mode.changed", {"to": "auto"}, 1, {}, "drone-01")]


def test_the_fleet_is_read() -> None:
    assert _read(answers.fleet_health, {"sources_total": 2, "sources_online": 1}) == FleetHealth(2, 1)
    assert list(_read(answers.fleet_metrics, FLEET).sources) == [FleetSeries("a1", True, [1], [1], [1], [1], [1])]


def test_names_values_commands_and_keys_are_read() -> None:
    assert _read(answers.metric_names, ["a", "b"]) == ["a", "b"]
    assert _read(answers.latest, {"metrics": {"a": [1, {"b": None}]}}) == {"a": [1, {"b": None}]}
    assert _read(answers.sent, {"queued": False}) == SentCommand(False)
    assert _read(answers.identity, {"org_id": "acme", "scopes": ["read"]}).scopes == ["read"]


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert _read(answers.fleet_health, {"sources_total": 2.0, "sources_online": 1}) == FleetHealth(2, 1)
    buckets = json.loads(json.dumps(BUCKETS))
    buckets["series"]["rpm"]["count"] = [2.0]
    counts = _read(answers.query, buckets)["rpm"].count
    assert (counts, type(counts[0])) == ([2], int)


def test_a_run_of_an_older_server_has_what_it_does_not_say_empty() -> None:
    nothing = {"tags": None, "metadata": None, "pass_criteria": None, "ended_at": None}
    expected = Run("r", "n", None, "running", 1_777_629_600_000.0)
    assert _read(answers.run, {"run": RUN}) == expected
    assert _read(answers.run, {"run": {**RUN, **nothing}}) == expected


def test_a_status_of_a_newer_server_is_shown_as_it_is() -> None:
    assert _read(answers.run, {"run": {**RUN, "status": "paused"}}).status == "paused"


@pytest.mark.parametrize(
    ("reader", "value", "names"),
    [
        (answers.sources, {}, "devices is missing"),
        (answers.sources, {"devices": [{"source_id": "a1", "last_seen_ms": 1}]}, r"devices\[0\].online is missing"),
        (answers.source, {"source_id": "a1", "online": 1, "last_seen_ms": 1}, "online must be true or false"),
        (answers.source, {"source_id": "a1", "online": True, "last_seen_ms": "1"}, "last_seen_ms"),
        (answers.source, {"source_id": 1, "online": True, "last_seen_ms": 1}, "source_id must be a string"),
        (answers.metric_names, ["a", 1], "array of strings"),
        (answers.latest, {"metrics": []}, "metrics must be an object"),
        (answers.query, _without(RAW, "interval"), "interval is missing"),
        (answers.query, _without(BUCKETS, "series", "rpm", "count"), "'rpm'.*count"),
        (answers.query, _without(RAW, "series", "battery.voltage", "timestamp_ms"), "'battery.voltage'.*timestamp_ms"),
        (_events, [{"timestamp_ms": 1, "value": 1}], "has no metric"),
        (_events, [{"timestamp_ms": "1", "metric": "a", "value": 1}], "timestamp_ms must be a number"),
        (_events, [{"timestamp_ms": 1, "metric": "a", "value": 1, "tags": {"a": 1}}], "tags must be"),
        (answers.fleet_health, {"sources_total": 1}, "sources_online is missing"),
        (answers.fleet_metrics, _without(FLEET, "sources", 0, "avg"), r"sources\[0\].*avg"),
        (answers.sent, {}, "queued is missing"),
        (answers.identity, {"scopes": []}, "org_id is missing"),
        (answers.removal, {"points": 1.5, "dry_run": True}, "points must be a whole number"),
        (answers.metric_details, [{"unit": "V"}], r"\[0\].name is missing"),
        (answers.metric_details, {}, "must be an array"),
        (answers.run, {"run": {"id": "r", "name": "n"}}, "has no started_at"),
        (
            answers.run,
            {"run": {**RUN, "started_at": "2026-05-01T10:00:00"}},
            "started_at '20.*no time with an offset",
        ),
        (answers.run, {"run": {**RUN, "ended_at": 5}}, "ended_at that is no text"),
        (answers.run, {"run": {**RUN, "tags": {"a": 1}}}, "tags must be an object of strings"),
        (answers.runs, {"runs": [RUN, {**RUN, "test_result": {"passed": 1}}]}, r"runs\[1\].test_result"),
        (answers.command, {"command": {"run_id": "c"}}, "command.source_id is missing"),
        (answers.source_commands, {**COMMANDS, "declared": [{"name": "a"}]}, r"declared\[0\].typed is missing"),
    ],
)
def test_a_field_that_is_missing_or_of_another_type_names_itself(
    reader: Callable[[bytes], Any], value: Any, names: str
) -> None:
    with pytest.raises(ProtocolError, match=names):
        _read(reader, value)


def test_columns_of_different_length_are_refused() -> None:
    body = json.loads(json.dumps(RAW))
    body["series"]["battery.voltage"]["value"] = [1]
    with pytest.raises(ProtocolError, match="one length"):
        _read(answers.query, body)


ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["devices", "source_id", "online", "metrics", "series", "sources", "value", "count"]),
                st.sampled_from(["timestamp_ms", "metric", "interval", "tags", "non_finite", "queued", "scopes"]),
                st.text(max_size=5),
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@given(value=ANY_JSON, reader=st.sampled_from(READERS))
def test_any_json_is_read_or_refused_by_name(value: Any, reader: Callable[[bytes], Any]) -> None:
    with contextlib.suppress(PlexusError):
        _read(reader, value)


@given(body=st.binary(max_size=60), reader=st.sampled_from(READERS))
def test_any_bytes_are_read_or_refused_by_name(body: bytes, reader: Callable[[bytes], Any]) -> None:
    with contextlib.suppress(PlexusError):
        reader(body)
    answers.refusal(body)


@st.composite
def _damaged(draw: st.DrawFn) -> Any:
    """A good answer in which one thing is replaced by anything."""
    good = json.loads(json.dumps(draw(st.sampled_from([RAW, BUCKETS, FLEET]))))
    inner = good
    while isinstance(inner, (dict, list)) and inner:
        key = draw(st.sampled_from(sorted(inner))) if isinstance(inner, dict) else 0
        if draw(st.booleans()) or not isinstance(inner[key], (dict, list)) or not inner[key]:
            inner[key] = draw(ANY_JSON)
            break
        inner = inner[key]
    return good


@given(_damaged())
def test_a_damaged_answer_is_read_or_refused_by_name(value: Any) -> None:
    for reader in (answers.query, answers.fleet_metrics):
        with contextlib.suppress(PlexusError):
            _read(reader, value)
