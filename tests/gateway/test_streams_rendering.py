"""Committed points as frames: made once, cut to size, with their cursors."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plexus.gateway.rest.answers import wire_ms, wire_times
from plexus.gateway.streams import cursors, rendering
from plexus.gateway.streams.asking import Asked
from plexus.gateway.streams.rendering import Renderer
from plexus.gateway.streams.writing import Frame
from plexus.ports.bus import Published
from plexus.protocol import live
from plexus.protocol.columns import Columns

EVERYTHING = Asked("rig-01", "metrics")
EVENTS = Asked("rig-01", "events")


def published(*values: Any, is_event: bool = False, metric: str = "m") -> Published:
    made = Columns()
    for value in values:
        made.add("rig-01", metric, 1_500_000, is_event=is_event, value=value)
    return Published(7, made)


def renderer(limit: float = float("inf")) -> Renderer:
    return Renderer("log", lambda _source, _metric, value: int(isinstance(value, (int, float)) and value > limit))


def read(frame: Frame) -> Any:
    return json.loads(frame.text)


def test_a_value_nested_deeper_than_the_quick_writer_goes_is_written_all_the_same() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    (frame,) = renderer().frames(published(deep), EVERYTHING)
    assert read(frame)["points"][0]["value"] == deep


def test_times_keep_their_fraction() -> None:
    (frame,) = renderer().frames(published(1), EVERYTHING)
    assert read(frame)["points"][0]["timestamp"] == 1.5


def test_a_value_outside_of_its_range_is_flagged() -> None:
    (frame,) = renderer(limit=2).frames(published(1, 3, "text"), EVERYTHING)
    assert [point["alert"] for point in read(frame)["points"]] == [0, 1, 0]


def test_a_large_commit_becomes_several_frames_each_with_the_place_after_it() -> None:
    count = rendering.FRAME_POINTS + 5
    frames = list(renderer().frames(published(*range(count)), EVERYTHING))
    assert [frame.points for frame in frames] == [rendering.FRAME_POINTS, 5]
    places = [cursors.read(read(frame)["cursor"], "log") for frame in frames]
    assert places == [(7, rendering.FRAME_POINTS), (7, count)]


def test_what_follows_a_place_inside_of_a_commit_is_the_rest_of_it() -> None:
    (frame,) = renderer().frames(published(1, 2, 3), EVERYTHING, 1)
    assert [point["value"] for point in read(frame)["points"]] == [2, 3]
    assert [read(frame)["value"] for frame in renderer().frames(published(1, 2, 3, is_event=True), EVENTS, 2)] == [3]


def test_events_are_one_a_frame_each_with_the_place_after_it() -> None:
    frames = [read(frame) for frame in renderer().frames(published("a", "b", is_event=True), EVENTS)]
    assert [cursors.read(frame["cursor"], "log") for frame in frames] == [(7, 1), (7, 2)]


def test_nothing_asked_for_is_no_frame() -> None:
    assert not list(renderer().frames(published(1), Asked("rig-01", "metrics", frozenset("x"))))
    assert not list(renderer().frames(published(1), EVENTS))


def test_readers_who_come_back_share_the_frames_of_one_commit() -> None:
    made, kept = renderer(), published(1)
    again = Asked("rig-01", "metrics", None, "log-1-0")
    assert list(made.replayed(kept, EVERYTHING)) == list(made.replayed(kept, again))


def test_equal_commits_are_not_the_same_commit() -> None:
    made = renderer()
    count = rendering.KEPT * 3
    values = [read(next(made.replayed(published(value), EVERYTHING)))["points"][0]["value"] for value in range(count)]
    assert values == list(range(count))


def test_a_frame_is_as_the_websocket_has_it_at_every_length() -> None:
    heads = {5: b"\x81\x05", 125: b"\x81\x7d", 126: b"\x81\x7e\x00\x7e", 65_535: b"\x81\x7e\xff\xff"}
    heads[65_536] = b"\x81\x7f" + (65_536).to_bytes(8, "big")
    for length, head in heads.items():
        frame = Frame(b"x" * length)
        assert frame.wire == head + b"x" * length
        assert frame.text == "x" * length


def test_a_cursor_of_another_order_is_none() -> None:
    assert cursors.read(cursors.write("a1", (5, 2)), "a1") == (5, 2)
    assert [cursors.read(text, "a1") for text in ("", "b2-5-2", "a1-5", "a1-5-2-", "a1--5-2", "a1-5-2\n")] == [None] * 6


@given(st.integers(1_600_000_000_000_000_000, 1_900_000_000_000_000_000))
def test_a_live_time_is_the_number_that_the_history_has(t_ns: int) -> None:
    # Whoever joins a stream and the history tells points apart by it: rounding in another way would make two of one.
    ms = t_ns / 1_000_000
    assert [live.wire_time(t_ns)] == wire_times([ms]) == [wire_ms(ms)]
