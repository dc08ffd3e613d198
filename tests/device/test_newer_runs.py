"""Runs of 0.11.0 on the device: named by the app, judged at their end, and never in the caller's way."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from plexus.device.runs import ATTEMPTS, ActiveRun
from plexus.domain.errors import ConfigurationError, DeliveryError
from plexus.domain.run import Criterion, Run
from plexus.ports.runs import TestResult
from tests.device.test_runs import Bench, Recording

CRITERIA = [{"metric": "motor.temp_c", "operator": "<", "value": 85, "label": "stays cool"}]


class Opening(Recording):
    """Notes what was opened and ended, in order; fails with the errors that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Run]] = []

    def open(self, run: Run) -> str:
        self.calls.append(("open", run))
        self._fail()
        return super().open(run)

    def end(self, run: Run) -> TestResult | None:
        self.calls.append(("end", run))
        self._fail()
        return super().end(run)

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def told(self) -> list[tuple[str, str]]:
        return [(what, run.status) for what, run in self.calls]


@pytest.fixture(name="registry")
def _registry() -> Opening:
    return Opening()


@pytest.fixture(name="bench")
def _bench(registry: Opening) -> Bench:
    return Bench(registry)


def test_what_0_5_2_cannot_say_makes_a_run_of_the_newer_kind(bench: Bench, registry: Opening) -> None:
    newer: list[dict[str, Any]] = [
        {"metadata": {"operator": "kt"}},
        {"pass_criteria": CRITERIA},
        {"started_at": 1_000_000.0},
        {"source_id": "rig-02"},
        {"source_id": None},
    ]
    for arguments in newer:
        with bench.book.run("hotfire", **arguments):
            pass
    bench.work()
    assert registry.told() == [("open", "running"), ("end", "completed")] * len(newer)
    assert registry.heard == []
    assert [run.source_id for what, run in registry.calls if what == "open"] == ["rig-01"] * 3 + ["rig-02", None]


def test_its_points_carry_no_id_and_those_of_an_outer_run_keep_theirs(bench: Bench) -> None:
    with bench.book.run("hotfire", metadata={}):
        assert bench.book.current is None
    with bench.book.run("campaign"), bench.book.run("hotfire", metadata={}):
        assert bench.book.current == "campaign"


def test_the_app_gives_it_its_id_in_the_background(bench: Bench, registry: Opening) -> None:
    with bench.book.run("hotfire", metadata={}) as run:
        assert run.run_id is None
        bench.work()
        assert run.run_id == "run-1"
    bench.work()
    assert registry.runs["run-1"].status == "completed"


def test_the_judgement_is_there_once_the_end_is_told(bench: Bench) -> None:
    with bench.book.run("hotfire", pass_criteria=CRITERIA) as run:
        pass
    assert (run.test_result, run.wait(0.0)) == (None, False)
    bench.work()
    assert run.wait(0.0)
    assert run.test_result is not None
    assert run.test_result["passed"] is False


def test_what_it_is_judged_by_is_delivered_before_its_end_is_told(registry: Opening) -> None:
    settled: list[list[tuple[str, str]]] = []
    bench = Bench(registry, settle=lambda: settled.append(registry.told()))
    with bench.book.run("hotfire", pass_criteria=CRITERIA):
        pass
    with bench.book.run("plain", metadata={}):
        pass
    bench.work()
    assert settled == [[("open", "running")]]


def test_an_exception_ends_it_aborted_and_goes_on(bench: Bench, registry: Opening) -> None:
    with pytest.raises(ZeroDivisionError), bench.book.run("hotfire", metadata={}) as run:
        _ = 1 / 0
    bench.work()
    assert (run.status, registry.runs["run-1"].status) == ("aborted", "aborted")


def test_boundaries_are_those_of_the_corrected_clock(bench: Bench, registry: Opening) -> None:
    bench.clock.now_ns = 1_000_000_000
    with bench.book.run("hotfire", metadata={}):
        bench.clock.now_ns = 3_500_000_000
        bench.clock.turn(5_000.0)
    bench.work()
    run = registry.runs["run-1"]
    assert (run.started_ms, run.ended_ms) == (1_006_000.0, 1_008_500.0)


def test_a_clock_that_is_set_back_in_between_does_not_end_it_before_its_start(bench: Bench, registry: Opening) -> None:
    with bench.book.run("hotfire", metadata={}):
        bench.work()
        bench.clock.turn(-3_600_000.0)
        bench.clock.now_ns = 60_000_000_000
    bench.work()
    run = registry.runs["run-1"]
    assert run.ended_ms is not None
    assert run.ended_ms - run.started_ms == 60_000.0


def test_a_start_that_the_caller_gives_is_never_corrected(bench: Bench, registry: Opening) -> None:
    bench.clock.turn(5_000.0)
    with bench.book.run("hotfire", started_at="2026-05-01T12:00:00+02:00"):
        pass
    bench.work()
    assert registry.calls[0][1].started_ms == datetime(2026, 5, 1, 10, tzinfo=timezone.utc).timestamp() * 1000.0


def test_an_opening_that_failed_is_tried_again_with_the_same_words_at_the_end(bench: Bench, registry: Opening) -> None:
    registry.errors = [DeliveryError("down")] * ATTEMPTS
    with bench.book.run("hotfire", metadata={}):
        bench.work()
        bench.clock.turn(5_000.0)
    bench.work()
    opened = {run.started_ms for what, run in registry.calls if what == "open"}
    assert len(opened) == 1
    assert registry.told()[-2:] == [("open", "running"), ("end", "completed")]
    assert bench.failed == [("hotfire", "down")]


def test_an_end_that_could_not_be_told_is_said_by_the_run(bench: Bench, registry: Opening) -> None:
    with bench.book.run("hotfire", pass_criteria=CRITERIA) as run:
        bench.work()
        registry.errors = [DeliveryError("the app is down")] * ATTEMPTS
    bench.work()
    assert (run.wait(0.0), run.error, run.test_result) == (False, "the app is down", None)


class TestStartAndEnd:
    def test_a_run_goes_on_until_it_is_ended(self, bench: Bench, registry: Opening) -> None:
        run = bench.book.start("hotfire", tags={"build": "a41f"})
        bench.work()
        assert registry.told() == [("open", "running")]
        assert bench.book.end(run, "aborted") is run
        bench.work()
        assert (run.status, registry.runs["run-1"].status) == ("aborted", "aborted")
        assert registry.runs["run-1"].tags == {"build": "a41f"}

    def test_it_is_ended_by_its_name_or_by_its_id(self, bench: Bench) -> None:
        first, second = bench.book.start("warm-up"), bench.book.start("hotfire")
        bench.work()
        assert bench.book.end("run-1", "completed") is first
        assert bench.book.end("hotfire", "completed") is second

    def test_unless_said_otherwise_the_one_that_was_opened_last_ends(self, bench: Bench) -> None:
        first, second = bench.book.start("warm-up"), bench.book.start("hotfire")
        assert bench.book.end(None, "completed") is second
        assert bench.book.end(None, "completed") is first

    def test_what_is_not_open_cannot_be_ended(self, bench: Bench) -> None:
        run = bench.book.start("hotfire")
        bench.book.end(run, "completed")
        for again in (run, "hotfire", None):
            with pytest.raises(ConfigurationError, match="cannot be ended: no such run is open"):
                bench.book.end(again, "completed")

    def test_a_status_that_is_none_is_refused_and_the_run_goes_on(self, bench: Bench) -> None:
        run = bench.book.start("hotfire")
        with pytest.raises(ConfigurationError, match="'completed' or 'aborted', not 'done'"):
            bench.book.end(run, "done")
        assert run.status == "running"

    def test_a_block_that_ended_its_own_run_ends_it_once(self, bench: Bench, registry: Opening) -> None:
        with bench.book.run("hotfire", metadata={}) as run:
            bench.book.end(run, "aborted")
        bench.work()
        assert registry.told() == [("open", "running"), ("end", "aborted")]


def test_criteria_may_be_values_too(bench: Bench) -> None:
    run = bench.book.start("hotfire", pass_criteria=[Criterion("m", ">=", 1.5)])
    assert run.pass_criteria == (Criterion("m", ">=", 1.5),)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"started_at": datetime(2026, 5, 1)}, "started_at 2026-05-01 00:00:00 has no time zone"),  # noqa: DTZ001 - it is what is refused
        ({"started_at": "2026-05-01T12:00:00"}, "has no time zone"),
        ({"started_at": "yesterday"}, "started_at 'yesterday' is not ISO 8601 with an offset"),
        ({"started_at": True}, "started_at must be an aware datetime"),
        ({"started_at": float("nan")}, "started_at must be an aware datetime"),
        ({"started_at": 1e300}, "no time between the years 1678 and 2261"),
        ({"source_id": "Rig 1"}, "source_id 'Rig 1' of a run is not valid"),
        ({"metadata": ["a"]}, "metadata of a run must be a dict, not list"),
        ({"metadata": {"a": {1}}}, "metadata of a run cannot be said in JSON"),
        ({"pass_criteria": {"metric": "m"}}, "pass_criteria must be a list of conditions, not dict"),
        ({"pass_criteria": ["m < 5"]}, r"pass_criteria\[0\] must be a dict such as"),
        ({"pass_criteria": [{"metric": "", "operator": "<", "value": 1}]}, r"pass_criteria\[0\]: metric"),
        (
            {"pass_criteria": [*CRITERIA, {"metric": "m", "operator": "==", "value": 1}]},
            r"pass_criteria\[1\]: operator",
        ),
        ({"pass_criteria": [{"metric": "m", "operator": "<", "value": True}]}, "value must be a number, not True"),
        ({"pass_criteria": [{"metric": "m", "operator": "<", "value": 1, "op": 1}]}, "has no field 'op'"),
        ({"pass_criteria": [{"metric": "m", "operator": "<", "value": 1, "label": 7}]}, "label must be text, not int"),
    ],
)
def test_what_cannot_be_is_refused_at_the_call(bench: Bench, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        bench.book.start("hotfire", **arguments)
    assert bench.jobs == []


@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        "2026-05-01T10:00:00Z",
        "2026-05-01T12:00:00+02:00",
        1_777_629_600,
        1_777_629_600_000,
    ],
)
def test_a_start_may_be_said_in_every_usual_way(bench: Bench, registry: Opening, when: Any) -> None:
    bench.book.start("hotfire", started_at=when)
    bench.work()
    assert registry.calls[0][1].started_ms == 1_777_629_600_000.0


def test_a_run_shows_itself(bench: Bench) -> None:
    run = bench.book.start("hotfire")
    assert isinstance(run, ActiveRun)
    assert "hotfire" in repr(run)
