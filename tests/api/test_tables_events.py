"""Lists of events as tables and pictures."""

from __future__ import annotations

import io

import polars as pl
import pyarrow as pa
import pytest
from rich.console import Console

from plexus.api.tables import EventList
from plexus.api.tables.pictures import SHOWN
from plexus.domain.event import Event

T_MS = 1_746_969_660_000
EVENTS = EventList(
    [
        Event("door", "open", T_MS, {"room": "3"}, "rig"),
        Event("count", 7, T_MS + 0.5, {}, "rig"),
        Event("mode", {"to": "auto"}, T_MS + 1, {}, "rig"),
    ]
)


def test_a_list_of_events_is_a_list() -> None:
    assert list(EVENTS) == EVENTS
    assert EVENTS[0].name == "door"


def test_pandas_has_a_row_an_event() -> None:
    frame = EVENTS.to_pandas()
    assert list(frame) == ["time", "name", "value", "text", "tags", "source_id"]
    assert str(frame["time"].dtype) == "datetime64[ns, UTC]"
    assert frame["name"].tolist() == ["door", "count", "mode"]
    assert frame["value"].tolist()[1] == 7.0
    assert frame["text"].tolist()[0::2] == ["open", '{"to":"auto"}']
    assert frame["tags"].tolist() == ['{"room":"3"}', "{}", "{}"]


def test_polars_and_arrow_have_the_same() -> None:
    frame = EVENTS.to_polars()
    assert frame.schema["time"] == pl.Datetime("ns", "UTC")
    assert frame["time"].dt.epoch("us").to_list() == [T_MS * 1_000, T_MS * 1_000 + 500, T_MS * 1_000 + 1_000]
    table = EVENTS.to_arrow()
    assert table["value"].to_pylist() == [None, 7.0, None]
    assert table["text"].to_pylist() == ["open", None, '{"to":"auto"}']
    assert table.schema.field("time").type == pa.timestamp("ns", "UTC")


@pytest.mark.parametrize("events", [EventList(), EventList([Event("n", 1.5, T_MS)])])
def test_lists_without_text_have_the_same_columns(events: EventList) -> None:
    assert list(events.to_pandas()) == list(EVENTS.to_pandas())
    assert events.to_polars().schema == EVENTS.to_polars().schema
    assert events.to_arrow().schema == EVENTS.to_arrow().schema


def test_pictures_escape_what_a_device_sent() -> None:
    events = EventList([Event("<b>[red]", "<i>\x1b[2J", T_MS, {"<u>": "x"})])
    html = events._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;[red]" in html
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(events)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "<b>[red]" in text
    assert "\x1b" not in text


def test_pictures_show_the_newest_and_count_the_rest() -> None:
    events = EventList(Event(f"e{n:03d}", n, T_MS + n) for n in range(SHOWN + 5))
    html = events._repr_html_()
    assert "5 older ones are not shown" in html
    assert f"e{SHOWN + 4:03d}" in html
    assert "e000" not in html
