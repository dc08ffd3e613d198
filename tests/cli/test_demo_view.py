from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from plexus.cli.demo_view import Lines, LiveTable
from plexus.cli.spark import trend
from plexus.domain.event import Event
from plexus.domain.live import LivePoint, StreamNotice


def _drawn(table: LiveTable) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(table.render())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_shows_the_newest_value_and_its_trend() -> None:
    table = LiveTable("this-machine at http://127.0.0.1:1", "hint")
    for value in (1.0, 8.0, 4.5):
        table.show(LivePoint("a1", "cpu.percent", value, 5))
    drawn = _drawn(table)
    assert "this-machine at http://127.0.0.1:1" in drawn
    assert "4.5" in drawn
    assert "▁█▅" in drawn
    assert "3 readings" in drawn
    assert "hint" in drawn


def test_the_table_shows_events_and_nothing_that_steers_the_terminal() -> None:
    table = LiveTable("t", "h")
    table.happened(Event("network.up", {"interface": "eth0"}, 1_777_636_800_000))
    table.show(LivePoint("a1", "[bold]m[/bold]", "\x1b[2J", 5))
    drawn = _drawn(table)
    assert 'network.up  {"interface":"eth0"}' in drawn
    assert "[bold]m[/bold]" in drawn
    assert "\x1b" not in drawn


def test_the_table_says_that_the_gateway_is_away() -> None:
    table = LiveTable("t", "h")
    table.notice(StreamNotice("lost", "refused", 3, 4.0))
    assert "gateway away, try 3" in _drawn(table)
    table.notice(StreamNotice("connected"))
    assert "connected" in _drawn(table)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        (["on"], ""),
        ([5, 5], "▁▁"),
        ([0, 1], "▁█"),
        ([0, "x", 1, True], "▁█"),
        ([float("nan"), 1.0, 2.0], "▁█"),
    ],
)
def test_a_trend_goes_from_the_lowest_to_the_highest(values: list[object], line: str) -> None:
    assert trend(values) == line


def test_a_program_gets_one_json_object_a_reading(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(as_json=True)
    lines.show(LivePoint("a1", "m", float("nan"), 5.5, tags={"k": "v"}))
    assert json.loads(capsys.readouterr().out) == {
        "source_id": "a1",
        "metric": "m",
        "value": "NaN",
        "timestamp_ms": 5.5,
        "tags": {"k": "v"},
    }


def test_a_lost_connection_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Lines(as_json=True).notice(StreamNotice("lost", "127.0.0.1:1 refuses connections", 1, 1.5))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "connection lost: 127.0.0.1:1 refuses connections; next try in 1.5 s\n"
