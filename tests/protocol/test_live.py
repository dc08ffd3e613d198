"""The frames of the live streams, as a gateway writes and a consumer reads them."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.domain.event import Event
from plexus.domain.live import LivePoint
from plexus.domain.video import VideoFrame
from plexus.protocol import live, video
from tests.protocol.strategies import finite, int64, json_objects, json_values, names, text

values = st.booleans() | int64 | finite | text | st.lists(int64, max_size=3) | json_objects
times_ns = st.integers(0, 4_000_000_000_000_000_000)


def test_a_reader_has_ten_seconds_to_authenticate() -> None:
    """Section 7 of the protocol page; `tests/gateway/test_streams.py` shows that the streams go by this number."""
    assert live.AUTH_TIMEOUT_S == 10.0


@given(names, names, values, times_ns, st.integers(0, 3))
def test_a_point_is_read_as_it_was_written(source: str, metric: str, value: Any, t_ns: int, alert: int) -> None:
    frame = live.parse(live.points_message([live.point_object(source, metric, value, t_ns, alert)]))
    assert isinstance(frame, live.LivePoints)
    (point,) = frame.points
    assert point == LivePoint(source, metric, value, point.timestamp_ms, alert)
    assert abs(point.timestamp_ms - t_ns / 1e6) <= 0.001


@given(names, names, values, times_ns, st.none() | st.dictionaries(names, text, max_size=3))
def test_an_event_is_read_as_it_was_written(
    source: str, name: str, value: Any, t_ns: int, tags: dict[str, str] | None
) -> None:
    frame = live.parse(live.event_message(source, name, value, t_ns, tags))
    assert isinstance(frame, live.LiveEvent)
    assert frame.event == Event(name, value, frame.event.timestamp_ms, tags or {}, source)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_has_not_travels_by_its_name(value: float) -> None:
    message = live.points_message([live.point_object("a", "m", value, 0)])
    assert "Infinity" in message or "NaN" in message
    frame = live.parse(message)
    assert isinstance(frame, live.LivePoints)
    assert repr(frame.points[0].value) == repr(value)


@pytest.mark.parametrize(
    ("t_ns", "wire"),
    [(0, 0), (1_500_000, 1.5), (1_746_969_660_000_000_000, 1_746_969_660_000), (1_001_000, 1.001), (-500_000, -0.5)],
)
def test_times_are_whole_milliseconds_where_they_can_be(t_ns: int, wire: float) -> None:
    assert live.wire_time(t_ns) == wire
    assert type(live.wire_time(t_ns)) is type(wire)


def test_the_first_frame_carries_the_key() -> None:
    assert live.parse_auth(live.auth_message("plx_key")) == live.Auth("plx_key")
    assert live.parse_auth(live.auth_message("plx_key", {"resume": 1})) == live.Auth("plx_key", {"resume": 1})
    assert "plx_key" not in repr(live.Auth("plx_key"))


@pytest.mark.parametrize(
    "ready",
    [live.Ready("a-1-0"), live.Ready("a-1-0", resumed=True), live.Ready("a-1-0", False, 1.5, "too old")],
)
def test_what_a_reader_sees_from_when_on_is_read_back(ready: live.Ready) -> None:
    assert live.parse(live.ready_message(ready)) == ready


def test_what_a_reader_missed_is_read_back() -> None:
    assert live.parse(live.missed_message(7)) == live.Missed(7)


def test_a_place_is_read_back() -> None:
    assert live.parse(live.cursor_message("a-1-0")) == live.Place("a-1-0")


def test_a_frames_cursor_is_read() -> None:
    point = live.point_object("a", "m", 1, 0)
    points, event = live.points_frame([point], "a-1-1"), live.event_frame("a", "m", 1, 0, None, "a-1-2")
    read = [live.parse(json.dumps(frame)) for frame in (points, event)]
    assert [getattr(frame, "cursor", None) for frame in read] == ["a-1-1", "a-1-2"]


@pytest.mark.parametrize("message", ["[]", "{}", '{"type":"auth"}', '{"type":"hi","api_key":"k"}', "x", b"\xff"])
def test_any_other_first_frame_is_refused(message: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        live.parse_auth(message)


def test_a_picture_is_decoded() -> None:
    frame = VideoFrame("a1", "front", b"\xff\xd8 a picture", 8, 6, 5)
    assert live.parse(video.relay_binary(video.pack(frame), "a1").text()) == live.LivePicture(frame)


@pytest.mark.parametrize(
    ("field", "value"), [("frame", "!"), ("frame", "é"), ("frame", 5), ("camera_id", None), ("timestamp", "now")]
)
def test_a_picture_that_breaks_the_contract_names_the_field(field: str, value: Any) -> None:
    frame = VideoFrame("a1", "front", b"\xff\xd8 a picture", 8, 6, 5)
    text = video.relay_binary(video.pack(frame), "a1").text()
    with pytest.raises(ProtocolError) as caught:
        live.parse(json.dumps({**json.loads(text), field: value}))
    assert caught.value.field == field


def test_who_is_online_is_read_back() -> None:
    assert live.parse(video.init_message({"a1": ["front", "rear"]})) == live.Online({"a1": ("front", "rear")})
    with pytest.raises(ProtocolError, match="cameras must be"):
        live.parse('{"type":"init","online_sources":[{"source_id":"a1","cameras":"front"}]}')


def test_reconnecting_is_for_information() -> None:
    frame = live.parse('{"type":"gateway_reconnecting","attempt":1,"max_attempts":5,"delay_s":2}')
    assert frame == live.Reconnecting(1, 2)


@given(text.filter(lambda kind: kind not in ("telemetry", "event", "gateway_reconnecting")), json_objects)
def test_a_frame_of_an_unknown_type_is_passed_over(kind: str, fields: dict[str, Any]) -> None:
    assert live.parse(json.dumps({**fields, "type": kind})) == live.Other(kind)


@given(json_objects)
def test_unknown_fields_are_ignored(extra: dict[str, Any]) -> None:
    raw = json.loads(live.points_message([live.point_object("a", "m", 1, 0)]))
    raw["points"][0] = {**{f"x_{name}": value for name, value in extra.items()}, **raw["points"][0]}
    frame = live.parse(json.dumps({**{f"x_{name}": value for name, value in extra.items()}, **raw}))
    assert isinstance(frame, live.LivePoints)


@given(
    st.sampled_from(["telemetry", "event", "gateway_reconnecting", "video_frame", "init", "ready", "missed", "cursor"]),
    st.dictionaries(
        st.sampled_from(["points", "source_id", "metric", "value", "timestamp", "tags", "alert", "attempt", "delay_s"]),
        json_values | st.lists(json_objects, max_size=2),
    ),
)
@settings(max_examples=100)
def test_a_known_type_with_any_fields_is_a_frame_or_a_protocol_error(kind: str, fields: dict[str, Any]) -> None:
    with contextlib.suppress(ProtocolError):
        live.parse(json.dumps({**fields, "type": kind}))


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_garbage_is_a_protocol_error_and_nothing_else(message: str | bytes) -> None:
    with contextlib.suppress(ProtocolError):
        live.parse(message)


@pytest.mark.parametrize(
    ("point", "field"),
    [
        ({"metric": "m", "value": 1, "timestamp": 0}, "source_id"),
        ({"source_id": "a", "value": 1, "timestamp": 0}, "metric"),
        ({"source_id": "a", "metric": "m", "timestamp": 0}, "value"),
        ({"source_id": "a", "metric": "m", "value": None, "timestamp": 0}, "value"),
        ({"source_id": "a", "metric": "m", "value": 1}, "timestamp"),
        ({"source_id": "a", "metric": "m", "value": 1, "timestamp": "0"}, "timestamp"),
        ({"source_id": "a", "metric": "m", "value": 1, "timestamp": 0, "tags": []}, "tags"),
    ],
)
def test_the_error_names_the_field_at_fault(point: dict[str, Any], field: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        live.parse(json.dumps({"type": "telemetry", "points": [point]}))
    assert refused.value.field == field
