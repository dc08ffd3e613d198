from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from plexus.api.export.order import order
from plexus.api.pinned import Window, iso, run_window, window_of
from plexus.domain.errors import ExportError, QueryError
from plexus.domain.run import Run

NOW_MS = 1_746_969_660_000.25
NOW_US = 1_746_969_660_000_250


def ordered(path: Path, **arguments: Any) -> Any:
    return order(path, now_ms=NOW_MS, **arguments)


@pytest.mark.parametrize(("name", "made"), [("x.csv", "csv"), ("x.PARQUET", "parquet"), ("a.b.mcap", "mcap")])
def test_the_end_of_the_name_says_the_format(tmp_path: Path, name: str, made: str) -> None:
    assert ordered(tmp_path / name).format == made


def test_a_format_that_is_given_wins(tmp_path: Path) -> None:
    assert ordered(tmp_path / "data.bin", format="parquet").format == "parquet"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"format": "xlsx"}, "use csv, parquet or mcap"),
        ({"resolution": "5m"}, "use one of raw, 1m"),
        ({"sources": []}, "sources is empty"),
        ({"sources": "Rig 1"}, "a source's name matches"),
        ({"metrics": ["a", ""]}, "metrics=''"),
        ({"last": "1h", "start": 5}, "either last= or start=/end="),
        ({"end": 5}, "end= needs start="),
        ({"start": 7, "end": 5}, "must be before end"),
        ({"start": datetime(2026, 5, 1)}, "has no time zone"),  # noqa: DTZ001 - that is what is refused
        ({"run": Run("r1", "r", "rig", "completed", 5.0, 6.0), "last": "1h"}, "a run has its own window"),
        ({"run": Run("r1", "r", "rig", "completed", 5.0, 6.0), "sources": "arm"}, "leave sources= out"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_to_write(
    tmp_path: Path, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(QueryError, match=says):
        ordered(tmp_path / "x.csv", **arguments)


def test_a_name_without_a_known_end_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"name it so, or give format="):
        ordered(tmp_path / "x.txt")


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("mine")
    with pytest.raises(ExportError, match="overwrite=True"):
        ordered(tmp_path / "x.csv")
    assert ordered(tmp_path / "x.csv", overwrite=True).overwrite


def test_a_link_that_leads_nowhere_is_there_too(tmp_path: Path) -> None:
    (tmp_path / "x.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="is there already"):
        ordered(tmp_path / "x.csv")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="new is not there: make it"):
        ordered(tmp_path / "new" / "x.csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(ExportError, match="name the file in it"):
        ordered(tmp_path / "x.csv", overwrite=True)


def test_names_are_sorted_and_each_once(tmp_path: Path) -> None:
    made = ordered(tmp_path / "x.csv", sources=["rig", "arm", "rig"], metrics="a")
    assert (made.sources, made.metrics) == (("arm", "rig"), ("a",))


# --- windows ------------------------------------------------------------------------------------------------


def test_windows_are_pinned_to_the_microsecond() -> None:
    assert window_of(None, None, None, NOW_MS) == Window(NOW_US - 3_600_000_000, NOW_US, 3_600_000_000)
    assert window_of(timedelta(seconds=1), None, None, NOW_MS) == Window(NOW_US - 1_000_000, NOW_US, 1_000_000)
    start = datetime(2025, 5, 11, 13, 0, 0, 123_457, tzinfo=timezone.utc)
    assert iso(window_of(None, start, None, NOW_MS).start_us) == "2025-05-11T13:00:00.123457Z"
    assert window_of(None, start, None, NOW_MS).end_us == NOW_US


def test_a_window_that_is_given_whole_is_meant_for_ever() -> None:
    window = window_of(None, 5, 6, NOW_MS)
    assert window.still_meant(window.end_us)
    assert window.asked == {"start_us": 5_000_000, "end_us": 6_000_000}


@pytest.mark.parametrize(
    ("last", "minutes_ago", "meant"),
    [("1d", 0, True), ("1d", 59, True), ("1d", 61, False), ("10m", 9, True), ("10m", 11, False), ("1d", -1, False)],
)
def test_a_window_that_ends_now_is_gone_on_with_for_a_while(last: str, minutes_ago: int, meant: bool) -> None:
    assert window_of(last, None, None, NOW_MS).still_meant(NOW_US - minutes_ago * 60_000_000) is meant


def test_a_window_without_an_end_is_gone_on_with_for_a_while() -> None:
    window = window_of(None, 5, None, NOW_MS)
    assert window.still_meant(NOW_US - 60_000_000)
    assert not window.still_meant(NOW_US - 3_601_000_000)


def test_the_moment_in_which_a_run_ended_belongs_to_it() -> None:
    run = Run("r1", "r", "rig", "completed", 1_000.5, 2_000.0)
    assert run_window(run, NOW_MS) == Window(1_000_500, 2_000_001)


def test_a_run_that_is_running_goes_until_now() -> None:
    assert run_window(Run("r1", "r", "rig", "running", 1_000.0), NOW_MS) == Window(1_000_000, NOW_US, open_end=True)


def test_a_run_of_the_organisation_is_of_all_sources_or_of_those_that_are_named(tmp_path: Path) -> None:
    run = Run("r1", "r", None, "completed", 5.0, 6.0)
    assert ordered(tmp_path / "x.csv", run=run).sources is None
    assert ordered(tmp_path / "x.csv", run=run, sources="arm").sources == ("arm",)
    own = Run("r1", "r", "rig", "completed", 5.0, 6.0)
    assert ordered(tmp_path / "x.csv", run=own, sources="rig").sources == ("rig",)
