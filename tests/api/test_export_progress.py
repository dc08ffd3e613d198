from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from plexus.api.export.progress import FETCHING_SHARE, Progress, shown
from plexus.api.history.progress import Progress as Bar


def at(phase: Any, parts_done: int, rows_done: int = 0) -> Progress:
    return Progress(phase, parts_done, 4, rows_done, 400, 1_000)


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        (at("fetching", 0), 0.0),
        (at("fetching", 2), FETCHING_SHARE / 2),
        (at("fetching", 4), FETCHING_SHARE),
        (at("writing", 0), FETCHING_SHARE),
        (at("writing", 4), 1.0),
    ],
)
def test_the_share_of_an_export_goes_from_nothing_to_all(progress: Progress, share: float) -> None:
    assert progress.share == pytest.approx(share)


def test_a_callback_takes_the_place_of_the_bar() -> None:
    heard: list[Progress] = []
    with shown("x.csv", heard.append) as told:
        told(at("fetching", 1))
    assert heard == [at("fetching", 1)]


def test_a_bar_comes_up_when_it_takes_long_and_names_the_file() -> None:
    now_s = [0.0]
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    bar = Bar("export x.csv", True, monotonic=lambda: now_s[0], console=console)
    with shown("x.csv", None, bar) as told:
        told(at("fetching", 1, 100))
        assert screen.getvalue() == ""
        now_s[0] = 5.0
        told(at("writing", 2, 200))
    assert "export x.csv" in screen.getvalue()
    assert "200 rows" in screen.getvalue()


def test_nothing_is_shown_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("x.csv", None) as told:
        told(at("fetching", 1))
    assert capsys.readouterr() == ("", "")
