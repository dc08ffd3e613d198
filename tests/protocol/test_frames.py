"""Every frame: round trip, what is unknown is passed over, garbage is a ProtocolError and never anything else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.protocol import frames
from plexus.protocol.batch import BatchName
from tests.protocol.strategies import (
    batch_names,
    int64,
    json_objects,
    json_values,
    names,
    plain_frames,
    text,
)

KNOWN = [
    "device_auth",
    "authenticated",
    "telemetry",
    "heartbeat",
    "typed_command",
    "command_result",
    "error",
    "telemetry_ack",
    "batch_ack",
    "batch_nack",
    "batch_fork",
]
FIELDS = (
    *("api_key", "source_id", "install_id", "commands", "acks", "ext", "server_time_ms", "points", "seq", "batch"),
    *("id", "command", "params", "event", "error", "code", "detail", "stream", "upto", "expected", "errors"),
)


@given(plain_frames)
def test_what_is_written_is_read_back(frame: frames.Frame) -> None:
    assert frames.parse(frames.dump(frame)) == frame


@given(plain_frames)
def test_text_and_bytes_are_the_same_message(frame: frames.Frame) -> None:
    assert frames.parse(frames.dump(frame).encode()) == frame


@given(plain_frames, names, json_values)
def test_unknown_fields_are_ignored(frame: frames.Frame, name: str, value: Any) -> None:
    raw = json.loads(frames.dump(frame))
    assert frames.parse(json.dumps({f"x_{name}": value, **raw})) == frame


@given(text.filter(lambda kind: kind not in KNOWN), json_objects)
def test_a_frame_of_an_unknown_type_is_unknown(kind: str, fields: dict[str, Any]) -> None:
    assert frames.parse(json.dumps({**fields, "type": kind})) == frames.Unknown(kind)


@given(st.sampled_from(KNOWN), st.data())
@settings(max_examples=150)
def test_a_known_type_with_any_fields_is_a_frame_or_a_protocol_error(kind: str, data: st.DataObject) -> None:
    fields = data.draw(
        st.dictionaries(
            st.sampled_from(FIELDS),
            json_values | int64,
            max_size=6,
        )
    )
    with contextlib.suppress(ProtocolError):
        frames.parse(json.dumps({**fields, "type": kind}))


@given(st.binary(max_size=200) | st.text(max_size=200) | json_values.map(json.dumps))
@settings(max_examples=150)
def test_garbage_is_a_protocol_error_and_nothing_else(message: str | bytes) -> None:
    with contextlib.suppress(ProtocolError):
        frames.parse(message)
    frames.salvage(message)


@given(st.lists(st.fixed_dictionaries({"metric": names, "value": int64}), max_size=4), st.none() | int64)
def test_telemetry_carries_its_points_and_its_number(points: list[dict[str, Any]], seq: int | None) -> None:
    message = frames.dump_telemetry(json.dumps(points).encode(), seq=seq)
    frame = frames.parse(message, frames.Envelope("drone-01", 7_000_000))
    assert isinstance(frame, frames.Telemetry)
    assert frame.seq == seq
    assert frame.batch is None
    assert frame.decoded.columns.value == [point["value"] for point in points]
    assert frame.decoded.columns.source_id == ["drone-01"] * len(points)
    assert frame.decoded.columns.t_ns == [7_000_000] * len(points)


@given(batch_names())
def test_telemetry_carries_its_batch_name(name: BatchName) -> None:
    frame = frames.parse(frames.dump_telemetry(b"[]", batch=name))
    assert isinstance(frame, frames.Telemetry)
    assert frame.batch == name


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("[]", ""),
        ("{}", "type"),
        ('{"type":7}', "type"),
        ('{"type":"device_auth","source_id":"a"}', "api_key"),
        ('{"type":"device_auth","api_key":"k","source_id":7}', "source_id"),
        ('{"type":"authenticated","server_time_ms":1}', "source_id"),
        ('{"type":"authenticated","source_id":"a","server_time_ms":true}', "server_time_ms"),
        ('{"type":"authenticated","source_id":"a","server_time_ms":"1"}', "server_time_ms"),
        ('{"type":"authenticated","source_id":"a","server_time_ms":' + "9" * 400 + "}", "server_time_ms"),
        ('{"type":"telemetry"}', "points"),
        ('{"type":"telemetry","points":{}}', "points"),
        ('{"type":"telemetry","points":[],"seq":1.5}', "seq"),
        ('{"type":"telemetry","points":[],"seq":true}', "seq"),
        ('{"type":"telemetry","points":[],"seq":9223372036854775808}', "seq"),
        ('{"type":"telemetry","points":[],"batch":[]}', "batch"),
        ('{"type":"typed_command","id":"1","command":"x","params":[]}', "params"),
        ('{"type":"command_result","id":"1"}', "event"),
        ('{"type":"telemetry_ack"}', "seq"),
        ('{"type":"batch_ack","stream":"ABC","upto":1}', "stream"),
        ('{"type":"batch_nack","stream":"' + "a" * 32 + '"}', "expected"),
        ('{"type":"batch_fork"}', "stream"),
    ],
)
def test_the_error_names_the_field_at_fault(message: str, field: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        frames.parse(message)
    assert refused.value.field == field


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_json_has_no_non_finite_numbers(literal: str) -> None:
    with pytest.raises(ProtocolError):
        frames.parse(f'{{"type":"telemetry","points":[{{"metric":"m","value":{literal}}}]}}')


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"\\ud800"}',
        '{"type":"\ud800"}',
        b'{"type":"\xff"}',
        '{"type":"error","detail":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type":"telemetry","points":[],"seq":' + "9" * 5_000 + "}",
        '\ufeff{"type":"heartbeat"}',
        "",
        "{",
    ],
    ids=["escaped surrogate", "surrogate", "not utf-8", "depth", "digits", "byte order mark", "empty", "cut"],
)
def test_what_json_does_not_allow_is_refused(message: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.parse(message)


def test_of_two_equal_fields_the_last_counts() -> None:
    assert frames.parse('{"type":"x","type":"heartbeat","source_id":"a"}') == frames.Heartbeat("a")


@pytest.mark.parametrize("clock", ['"now"', "[]", "null", "{}", '{"offset_ms":1}', '{"offset_ms":"1","error_ms":2}'])
def test_a_heartbeat_with_a_clock_of_another_form_is_a_heartbeat(clock: str) -> None:
    assert frames.parse(f'{{"type":"heartbeat","source_id":"a","clock":{clock}}}') == frames.Heartbeat("a")


def test_a_key_is_in_no_repr() -> None:
    auth = frames.DeviceAuth(api_key="plx_canary", source_id="a")
    assert "canary" not in repr(auth)
    assert "canary" in frames.dump(auth)


def test_null_is_as_good_as_missing() -> None:
    auth = frames.parse('{"type":"device_auth","api_key":"k","source_id":"a","install_id":null,"commands":null}')
    assert auth == frames.DeviceAuth("k", "a")


class TestSalvage:
    def test_the_number_of_a_frame_that_breaks_the_contract(self) -> None:
        assert frames.salvage('{"type":"telemetry","points":7,"seq":4}') == frames.Salvaged(4, None)

    def test_the_number_of_a_frame_with_a_nan(self) -> None:
        message = '{"type":"telemetry","points":[{"metric":"m","value":NaN}],"seq":4}'
        assert frames.salvage(message) == frames.Salvaged(4, None)

    @given(batch_names())
    def test_the_name_of_a_batch(self, name: BatchName) -> None:
        salvaged = frames.salvage(frames.dump_telemetry(b"7", batch=name))
        assert salvaged == frames.Salvaged(None, name)

    @pytest.mark.parametrize("message", ['{"type":"telemetry","seq":"4","batch":{"n":1}}', '{"type":"telemetry"}'])
    def test_names_that_cannot_be_read_are_none(self, message: str) -> None:
        assert frames.salvage(message) == frames.Salvaged(None, None)

    @pytest.mark.parametrize("message", ["{", '{"type":"heartbeat","seq":4}', "[]", b"\xff"])
    def test_what_is_no_telemetry_has_no_names(self, message: str | bytes) -> None:
        assert frames.salvage(message) is None
