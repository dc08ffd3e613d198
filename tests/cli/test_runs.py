"""`plexus runs`: which there are, how one was judged, how they differ."""

from __future__ import annotations

import csv
import json
import time

import pytest

from plexus import PlexusAPI
from plexus.cli.runs import _length
from plexus.domain.run import Run
from plexus.gateway import Gateway
from tests.cli.conftest import Command, put

NOW_S = time.time()


@pytest.fixture
def runs(gateway: Gateway) -> tuple[str, str]:
    """Two runs of drone-01, a minute each: the first one passed, the second became too hot."""
    made = []
    with PlexusAPI() as api:
        for name, began_s, temperatures in (("cold", NOW_S - 300, (20, 30)), ("hot", NOW_S - 200, (20, 90))):
            points = [
                {"metric": "motor.temp_c", "value": value, "timestamp": (began_s + 1 + index) * 1000}
                for index, value in enumerate(temperatures)
            ]
            put(gateway, *points)
            run = api.runs.start(
                name,
                "drone-01",
                tags={"operator": "ann"},
                metadata={"note": "wet\x1b[2J"},
                pass_criteria=[{"metric": "motor.temp_c", "operator": "<", "value": 85, "label": "stays cool"}],
                started_at=began_s,
            )
            api.runs.end(run.run_id, ended_at=began_s + 60)
            made.append(run.run_id)
    return made[0], made[1]


def test_runs_are_listed_with_their_verdicts_the_newest_first(plexus: Command, runs: tuple[str, str]) -> None:
    ended = plexus("runs", "list")
    heading, *rows = ended.out.splitlines()
    assert heading.split() == ["RUN", "NAME", "SOURCE", "STATUS", "STARTED", "LENGTH", "VERDICT"]
    assert [row.split()[0] for row in rows] == [runs[1], runs[0]]
    assert [row.split()[-1] for row in rows] == ["FAILED", "passed"]
    assert all("1:00 min" in row for row in rows)
    assert "\x1b" not in ended.out


def test_runs_can_be_chosen(plexus: Command, runs: tuple[str, str]) -> None:
    assert plexus("runs", "list", "--status", "running").out == ""
    assert plexus("runs", "list", "--source", "drone-02").out == ""
    found = [json.loads(line) for line in plexus("runs", "list", "--source", "drone-01", "--json").out.splitlines()]
    assert [run["run_id"] for run in found] == [runs[1], runs[0]]


def test_without_a_run_it_says_how_to_make_one(plexus: Command, gateway: Gateway) -> None:
    ended = plexus("runs", "list")
    assert (ended.code, ended.out, "px.run" in ended.err) == (0, "", True)


def test_one_run_is_shown_with_each_criterion(plexus: Command, runs: tuple[str, str]) -> None:
    out = plexus("runs", "show", runs[1]).out
    assert "FAILED   motor.temp_c < 85  (stays cool)" in out
    assert "operator  ann" in out
    assert ("\x1b" in out, r"wet\x1b[2J" in out) == (False, True)
    run = json.loads(plexus("runs", "show", runs[0], "--json").out)
    assert (run["name"], run["test_result"]["passed"]) == ("cold", True)


def test_the_verdict_can_be_the_exit_code(plexus: Command, runs: tuple[str, str]) -> None:
    codes = [plexus("runs", "show", run, "--check").code for run in runs]
    assert codes == [0, 1]
    assert plexus("runs", "show", runs[1]).code == 0
    with PlexusAPI() as api:
        unjudged = api.runs.start("open", "drone-01")
    assert plexus("runs", "show", unjudged.run_id, "--check").code == 1


def test_runs_are_compared_with_the_first(plexus: Command, runs: tuple[str, str]) -> None:
    ended = plexus("runs", "compare", *runs)
    assert ended.code == 0
    (hot,) = [line for line in ended.out.splitlines() if line.startswith("motor.temp_c") and "hot" in line]
    assert hot.split()[2:] == ["2", "20", "90", "55", "90", "0", "60", "30", "60"]
    assert "\x1b" not in ended.out
    assert ended.out.splitlines()[-1].endswith(f"({runs[1]}): FAILED")


def test_a_comparison_is_csv_and_json_for_a_program(plexus: Command, runs: tuple[str, str]) -> None:
    words = ("runs", "compare", *runs, "--metric", "motor.temp_c")
    table = list(csv.DictReader(plexus(*words, "--csv").out.splitlines()))
    assert [(row["run_id"], row["max"], row["diff_max"]) for row in table] == [
        (runs[0], "30.0", "0.0"),
        (runs[1], "90.0", "60.0"),
    ]
    found = [json.loads(line) for line in plexus(*words, "--json").out.splitlines()]
    assert [(row["run_id"], row["diff_max"]) for row in found] == [(runs[0], 0.0), (runs[1], 60.0)]


def test_what_cannot_be_compared_is_refused(plexus: Command, runs: tuple[str, str]) -> None:
    assert plexus("runs", "compare", runs[0]).code == 2
    assert plexus("runs", "compare", runs[0], "no-such-run").code == 1
    assert plexus("runs", "show", "no-such-run").code == 1


def test_without_an_action_the_help_is_shown(plexus: Command, gateway: Gateway) -> None:
    ended = plexus("runs")
    assert (ended.code, "compare" in ended.out) == (2, True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (59, "59 s"), (61, "1:01 min"), (3_600, "1:00:00"), (90_061, "25:01:01")],
)
def test_lengths_are_shown_for_a_person(seconds: float, text: str) -> None:
    assert _length(Run("r", "r", None, "completed", 0.0, seconds * 1000)) == text
