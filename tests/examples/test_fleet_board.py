"""What the fleet page's server keeps: the newest of everything, in little room, numbered by its changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from examples.fleet_backend.board import METRICS_SHOWN, SLOT_MS, SLOTS, TEXT_CHARS, Board
from plexus import LivePoint, Source


def test_a_browser_gets_all_there_is_and_then_what_is_newer() -> None:
    board = Board()
    board.take(point("a", "rpm", 1))
    board.take(point("b", "rpm", 2))
    first = picture(board, 0)
    assert first["whole"]
    assert set(first["sources"]) == {"a", "b"}
    board.take(point("b", "volts", 3))
    second = picture(board, first["version"])
    assert not second["whole"]
    assert {name: set(card["metrics"]) for name, card in second["sources"].items()} == {"b": {"volts"}}
    assert board.picture(second["version"]) is None


def test_an_empty_fleet_is_a_picture_once() -> None:
    board = Board()
    first = picture(board, 0)
    assert first["sources"] == {}
    assert board.picture(first["version"]) is None


def test_however_much_a_slow_browser_missed_it_gets_one_picture_of_the_newest() -> None:
    board = Board()
    seen = picture(board, 0)["version"]
    for number in range(20_000):
        board.take(point("a", "rpm", number, number * 100.0))
    late = picture(board, seen)
    assert late["sources"]["a"]["metrics"]["rpm"]["value"] == "19,999"
    assert len(json.dumps(late)) < 2_000
    assert board.picture(late["version"]) is None


def test_a_reading_that_comes_late_is_in_the_curve_and_not_the_newest() -> None:
    board = Board()
    board.take(point("a", "rpm", 30, 3.0 * SLOT_MS))
    board.take(point("a", "rpm", 10, 1.0 * SLOT_MS))
    assert metric(board) == {"value": "30", "curve": [10.0, None, 30.0]}


def test_a_curve_ends_five_minutes_before_the_newest_reading() -> None:
    board = Board()
    for slot in range(3 * SLOTS):
        board.take(point("a", "rpm", slot, slot * float(SLOT_MS)))
    assert metric(board)["curve"] == [float(slot) for slot in range(2 * SLOTS, 3 * SLOTS)]
    board.take(point("a", "rpm", 1_000, 1e9))
    assert metric(board)["curve"] == [1_000.0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.4, "12.4"),
        (12_345_678, "1.23457e+07"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (2**63, "9.22337e+18"),
        (True, "true"),
        ("RUNNING", "RUNNING"),
        ({"x": [1, None]}, '{"x": [1, null]}'),
        ("x" * 500, "x" * (TEXT_CHARS - 1) + "…"),
    ],
)
def test_a_value_of_any_kind_is_a_short_text(value: Any, text: str) -> None:
    board = Board()
    board.take(point("a", "rpm", value))
    assert metric(board)["value"] == text
    json.dumps(board.picture(0), allow_nan=False)


def test_a_device_that_makes_up_names_does_not_fill_the_server() -> None:
    board = Board()
    for number in range(METRICS_SHOWN):
        board.take(point("a", f"m{number}", number))
    assert not picture(board, 0)["sources"]["a"]["cut"]
    for number in range(METRICS_SHOWN, 1_000):
        board.take(point("a", f"m{number}", number))
    card = picture(board, 0)["sources"]["a"]
    assert len(card["metrics"]) == METRICS_SHOWN
    assert card["cut"]


def test_a_source_is_asked_about_until_it_is_known_and_streamed_values_win() -> None:
    board = Board()
    board.take(point("a", "rpm", 2))
    assert board.list([source("a")]) == ["a"]
    board.know("a", {"rpm": 1, "volts": 12})
    assert board.list([source("a")]) == []
    card = picture(board, 0)["sources"]["a"]
    assert {name: found["value"] for name, found in card["metrics"].items()} == {"rpm": "2", "volts": "12"}


def test_going_offline_is_told_and_staying_as_it_is_is_not() -> None:
    board = Board()
    board.list([source("a")])
    seen = picture(board, 0)["version"]
    board.list([source("a")])
    assert board.picture(seen) is None
    board.list([source("a", online=False)])
    assert picture(board, seen)["sources"]["a"]["online"] is False


def test_a_source_that_is_gone_is_told_to_those_who_knew_it_by_a_whole_picture() -> None:
    board = Board()
    board.list([source("a"), source("b")])
    seen = picture(board, 0)["version"]
    board.list([source("b")])
    told = picture(board, seen)
    assert told["whole"]
    assert set(told["sources"]) == {"b"}
    board.take(point("b", "rpm", 1))
    assert not picture(board, told["version"])["whole"]


def point(source_id: str, name: str, value: Any, timestamp_ms: float = 0.0) -> LivePoint:
    return LivePoint(source_id, name, value, timestamp_ms)


def source(source_id: str, *, online: bool = True) -> Source:
    return Source(source_id, online=online, last_seen_ms=0.0)


def picture(board: Board, since: int) -> dict[str, Any]:
    found = board.picture(since)
    assert found is not None
    return found


def metric(board: Board) -> dict[str, Any]:
    """The only metric of the only source."""
    found: dict[str, Any] = picture(board, 0)["sources"]["a"]["metrics"]["rpm"]
    return found
