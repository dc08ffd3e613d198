"""`plexus export`: a file of any stretch of time, or of a run."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest

from plexus import PlexusAPI
from plexus.api.export import Progress
from plexus.cli import app, export
from plexus.cli.export import Percent
from plexus.gateway import Gateway
from tests.cli.conftest import Command, put


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_window_becomes_a_csv_file_and_the_command_says_what_is_in_it(
    plexus: Command, filled: Gateway, tmp_path: Path
) -> None:
    file = tmp_path / "day.csv"
    ended = plexus("export", str(file), "--source", "drone-01", "--metric", "battery.voltage", "--last", "1h")
    assert (ended.code, ended.out) == (0, "")
    assert f"{file} holds 2 rows" in ended.err
    assert [row["value"] for row in rows(file)] == ["12.5", "12.25"]
    assert [path.name for path in tmp_path.iterdir()] == ["day.csv"]


def test_the_ending_says_the_form(plexus: Command, filled: Gateway, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    assert plexus("export", str(tmp_path / "a.parquet"), "--last", "1h").code == 0
    assert parquet.read_table(tmp_path / "a.parquet").num_rows == 3
    assert plexus("export", str(tmp_path / "a.mcap"), "--last", "1h").code == 0
    assert (tmp_path / "a.mcap").read_bytes().startswith(b"\x89MCAP")
    assert plexus("export", str(tmp_path / "a.txt"), "--last", "1h").code == 2
    assert plexus("export", str(tmp_path / "a.txt"), "--last", "1h", "--format", "csv").code == 0


def test_several_sources_may_be_named_in_either_way(plexus: Command, filled: Gateway, tmp_path: Path) -> None:
    for name in ("drone-02", "drone-03", "drone-04"):
        put(filled, {"metric": "m", "value": 1, "timestamp": time.time() * 1000 - 1000}, source_id=name)
    ended = plexus("export", str(tmp_path / "a.csv"), "--source", "drone-02,drone-03", "--source", "drone-04", "--json")
    said = json.loads(ended.out)
    assert (said["rows"], said["sources"]) == (3, ["drone-02", "drone-03", "drone-04"])
    assert (said["path"], said["format"], said["resumed"]) == (str(tmp_path / "a.csv"), "csv", False)


def test_a_run_brings_its_window_and_its_source(plexus: Command, filled: Gateway, tmp_path: Path) -> None:
    with PlexusAPI() as api:
        run = api.runs.start("flight", "drone-01", started_at=time.time() - 60)
        api.runs.end(run.run_id)
    put(filled, {"metric": "m", "value": 1, "timestamp": time.time() * 1000 - 1000}, source_id="drone-02")
    assert plexus("export", str(tmp_path / "run.csv"), "--run", run.run_id).code == 0
    assert {row["source"] for row in rows(tmp_path / "run.csv")} == {"drone-01"}


def test_buckets_can_be_exported(plexus: Command, filled: Gateway, tmp_path: Path) -> None:
    plexus("export", str(tmp_path / "a.csv"), "--metric", "battery.voltage", "--last", "1d", "--resolution", "1h")
    assert sum(int(row["count"]) for row in rows(tmp_path / "a.csv")) == 2


def test_a_file_that_is_there_is_left_alone_unless_it_may_be_replaced(
    plexus: Command, filled: Gateway, tmp_path: Path
) -> None:
    file = tmp_path / "day.csv"
    file.write_text("precious")
    assert plexus("export", str(file), "--last", "1h").code == 1
    assert file.read_text() == "precious"
    assert plexus("export", str(file), "--last", "1h", "--overwrite").code == 0
    assert len(rows(file)) == 3


def test_an_export_that_is_interrupted_says_how_to_go_on_and_does(
    plexus: Command, filled: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plexus.api.export import csvfile

    def interrupted(*_arguments: object) -> int:
        raise KeyboardInterrupt

    words = ("export", str(tmp_path / "day.csv"), "--last", "1h", "--json")
    with monkeypatch.context() as patched:
        patched.setattr(csvfile, "assemble", interrupted)
        ended = plexus(*words)
    assert (ended.code, "goes on from there" in ended.err) == (app.INTERRUPTED, True)
    assert (tmp_path / "day.csv.part").is_dir()
    assert json.loads(plexus(*words).out)["resumed"] is True
    assert [path.name for path in tmp_path.iterdir()] == ["day.csv"]


def test_without_rich_a_person_sees_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]

    def at(seconds: float, rows: int) -> Progress:
        now[0] = seconds
        return Progress("fetching", rows // 250, 4, rows, 1000, 0)

    with Percent(lambda: now[0]) as percent:
        percent.tell(at(0.0, 0))
        percent.tell(at(0.1, 100))
        percent.tell(at(0.3, 500))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.split("\r") == ["", "  0%  fetching, 0 rows", " 40%  fetching, 500 rows", " " * 24, ""]


def test_a_person_without_rich_is_told_during_an_export(
    plexus: Command, filled: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_needs_percent", lambda: True)
    ended = plexus("export", str(tmp_path / "day.csv"), "--last", "1h")
    assert (ended.code, "%  fetching, " in ended.err) == (0, True)


def test_a_window_and_a_run_at_once_are_refused(plexus: Command, filled: Gateway, tmp_path: Path) -> None:
    with PlexusAPI() as api:
        run = api.runs.start("flight", "drone-01")
    assert plexus("export", str(tmp_path / "a.csv"), "--run", run.run_id, "--last", "1h").code == 2
