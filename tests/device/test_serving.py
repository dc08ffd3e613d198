"""Serving commands: it ends when it is told to, takes nothing new then, and lets what is going on finish."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from plexus.device.commandruns import AT_ONCE, RunDesk
from plexus.device.commands import CommandDesk
from plexus.domain.command import CommandCall
from plexus.protocol import frames
from tests.support.desk import Desk
from tests.support.waiting import eventually


@pytest.fixture(name="desk")
def _desk() -> Desk:
    return Desk()


def serving() -> tuple[RunDesk, CommandDesk, list[threading.Thread]]:
    threads: list[threading.Thread] = []

    def run(job: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=job))
        threads[-1].start()

    desk = CommandDesk(lambda outcome: None, run)
    return desk.runs, desk, threads


def test_serving_ends_when_it_is_told_to_and_lets_a_run_finish() -> None:
    runs, desk, threads = serving()
    begun, finish = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert finish.wait(10)

    desk.declare("slow", slow, None)
    served = threading.Thread(target=runs.serve, args=(None,))
    served.start()
    desk.handle(frames.CommandRun("r1", "slow", {}, 30_000))
    assert begun.wait(10)
    runs.stop(10.0)
    desk.handle(frames.CommandRun("r2", "slow", {}, 30_000))
    assert served.is_alive()
    finish.set()
    served.join(10)
    assert not served.is_alive()
    for thread in threads:
        thread.join(10)
    ends = {
        each.run_id: (each.state, each.error_code) for each in desk.take() if isinstance(each, frames.CommandStatus)
    }
    assert ends == {"r1": ("succeeded", None), "r2": ("failed", "busy")}


def test_a_stop_that_came_first_counts() -> None:
    runs, _, _ = serving()
    runs.stop(0.0)
    runs.serve(None)


def test_serving_again_takes_runs_again() -> None:
    runs, _, _ = serving()
    runs.stop(0.0)
    runs.serve(None)
    assert not runs.enter()
    served = threading.Thread(target=runs.serve, args=(None,))
    served.start()
    eventually(runs.enter)
    runs.leave()
    runs.stop(1.0)
    served.join(10)
    assert not served.is_alive()


def test_a_run_that_does_not_finish_is_not_waited_for_beyond_the_time_given() -> None:
    runs, _, _ = serving()
    assert runs.enter()
    runs.stop(0.01)
    runs.serve(None)
    runs.leave()


def test_ctrl_c_ends_it_and_does_not_reach_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, _, _ = serving()
    waits = iter([KeyboardInterrupt])

    def wait_for(predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        for interrupt in waits:
            raise interrupt
        return predicate()

    monkeypatch.setattr(runs._changed, "wait_for", wait_for)
    runs.serve(None)
    assert not runs.enter()


def test_the_end_of_the_client_ends_it_and_cancels_what_waits(desk: Desk) -> None:
    desk.declare("measure", lambda: None)
    for number in range(AT_ONCE + 1):
        desk.order("measure", str(number))
    desk.desk.runs.close()
    desk.desk.runs.serve(None)
    assert [each.run_id for each in desk.said() if each.error_code == "cancelled"] == [str(AT_ONCE)]
    desk.order("measure", "late")
    assert [(each.run_id, each.error_code) for each in desk.said()] == [("late", "busy")]


def test_a_call_of_0_5_2_is_refused_when_nothing_is_taken_any_more(desk: Desk) -> None:
    desk.desk.register("reboot", lambda name, params: None)
    desk.desk.runs.stop(0.0)
    desk.desk.handle(CommandCall("c1", "reboot"))
    assert desk.answers[-1].error == "the device takes no commands now"
