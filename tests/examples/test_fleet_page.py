"""The script of the fleet page, run by Node over a small document: what a picture becomes, and what never happens."""

from __future__ import annotations

from typing import Any

from examples.fleet_backend.board import SLOT_MS, Board
from plexus import LivePoint, Source
from tests.examples.pages import names, shown

EVIL = "<img src=x onerror=alert(1)>"


def test_a_source_is_a_card_with_its_values_and_curves() -> None:
    board = Board()
    board.list([Source("drone-01", online=True, last_seen_ms=0.0)])
    for slot, volts in enumerate((12.0, 11.5, 11.0)):
        board.take(LivePoint("drone-01", "battery.voltage", volts, float(slot * SLOT_MS)))
    (document,) = shown(board.picture(0))
    (card,) = document["fleet"].children
    assert card.className == "online"
    assert card.texts() == ["drone-01", "online", "battery.voltage", "11"]
    assert [path.attributes["d"] for path in card.all("path")] == ["M0.0 1.0L50.0 10.0L100.0 19.0"]


def test_cards_stand_in_the_order_of_their_names_and_stay_where_they_are() -> None:
    board = Board()
    first = sources(board, "b", "d")
    second = sources(board, "a", "b", "c", "d", since=first["version"])
    assert [names(document) for document in shown(first, second)] == [["b", "d"], ["a", "b", "c", "d"]]


def test_a_source_that_is_removed_goes_from_the_page() -> None:
    board = Board()
    first = sources(board, "a", "b")
    second = sources(board, "b", since=first["version"])
    assert second["whole"]
    assert names(list(shown(first, second))[-1]) == ["b"]


def test_a_hole_in_the_readings_is_a_hole_in_the_curve() -> None:
    board = Board()
    for slot in (0, 1, 3, 4):
        board.take(LivePoint("a", "m", slot, float(slot * SLOT_MS)))
    (document,) = shown(board.picture(0))
    (path,) = document["fleet"].all("path")
    assert path.attributes["d"] == "M0.0 19.0L25.0 14.5M75.0 5.5L100.0 1.0"


def test_what_a_device_says_is_text_and_never_markup() -> None:
    board = Board()
    board.take(LivePoint("a", EVIL, EVIL, 0.0))
    board.take(LivePoint("a", "__proto__", "</script><script>alert(1)</script>", 0.0))
    (document,) = shown(board.picture(0))
    (card,) = document["fleet"].children
    assert {EVIL, "__proto__", "</script><script>alert(1)</script>"} <= set(card.texts())
    tags = {element.tag for element in card.everything()}
    assert tags == {"article", "h2", "p", "table", "tr", "td", "svg", "path"}
    assert not any(EVIL in str(element.attributes) + element.className for element in card.everything())


def test_the_page_says_when_what_it_shows_may_be_old() -> None:
    board = Board()
    fresh = sources(board, "a")
    board.mark(is_stale=True)
    stale = board.picture(fresh["version"])
    board.mark(is_stale=False)
    said = [document["trouble"].text for document in shown(fresh, stale, "lost", board.picture(0))]
    assert said[0] == said[3] == ""
    assert "gateway" in said[1]
    assert "connection to the server is lost" in said[2]


def sources(board: Board, *source_ids: str, since: int = 0) -> dict[str, Any]:
    """The picture after these are the sources."""
    board.list([Source(source_id, online=True, last_seen_ms=None) for source_id in source_ids])
    picture = board.picture(since)
    assert picture is not None
    return picture
