"""Runs of typed commands on the device: judged on arrival, run once, reported whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plexus.device.commandruns import AT_ONCE, MAX_OPEN, CommandRun
from plexus.device.commands import CommandDesk
from plexus.domain.command import CommandCall, CommandOutcome
from plexus.protocol import frames
from tests.support.desk import Desk


@pytest.fixture(name="desk")
def _desk() -> Desk:
    return Desk()


def test_a_run_is_acknowledged_before_its_handler_runs(desk: Desk) -> None:
    ran: list[int] = []
    desk.declare("dose", lambda ml: ran.append(ml), params={"ml": {"type": "integer"}})
    desk.order("dose", ml=5)
    assert (desk.states(), ran) == (["acknowledged"], [])
    desk.work()
    assert (desk.states(), ran) == (["running", "succeeded"], [5])


def test_what_a_handler_returns_is_the_result_as_an_object(desk: Desk) -> None:
    results: dict[str, Any] = {"a": {"state": "off"}, "b": 7, "c": None}
    for name, result in results.items():
        desk.declare(name, lambda result=result: result, params={})
        desk.order(name, run_id=name)
    desk.work()
    assert {each.run_id: each.result for each in desk.said() if each.state == "succeeded"} == {
        "a": {"state": "off"},
        "b": {"value": 7},
        "c": None,
    }


def test_a_result_is_taken_as_it_is_when_the_handler_returns(desk: Desk) -> None:
    kept = {"state": "on"}
    desk.declare("look", lambda: kept)
    desk.order("look")
    desk.work()
    kept["state"] = "off"
    assert desk.said()[-1].result == {"state": "on"}


def test_one_run_id_never_runs_twice(desk: Desk) -> None:
    ran: list[str] = []
    desk.declare("fire", lambda: ran.append("once"))
    for attempt in (1, 2, 3):
        desk.order("fire", attempt=attempt)
        desk.work()
    assert ran == ["once"]
    assert desk.states() == ["acknowledged", "running", "succeeded"]


def test_a_later_attempt_of_what_may_not_be_done_twice_is_refused_by_a_device_that_restarted(desk: Desk) -> None:
    desk.declare("fire", lambda: None)
    desk.order("fire", attempt=2)
    assert desk.ended()[:2] == ("failed", "duplicate")


def test_a_later_attempt_of_what_is_harmless_runs(desk: Desk) -> None:
    desk.declare("power_off", lambda: None, idempotent=True)
    desk.order("power_off", attempt=2)
    assert desk.ended()[0] == "succeeded"


def test_an_unknown_command_fails_by_its_name(desk: Desk) -> None:
    desk.order("fly")
    assert desk.ended() == ("failed", "unknown_command", "unknown command: fly")


def test_a_command_of_0_5_2_is_no_typed_one(desk: Desk) -> None:
    desk.desk.register("reboot", lambda name, params: None)
    desk.order("reboot")
    assert desk.ended()[1] == "unknown_command"


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"ml": True}, "ml must be an integer, not True"),
        ({"ml": 2.5}, "ml must be an integer, not 2.5"),
        ({"ml": 0}, "ml must be at least 1, not 0"),
        ({}, "ml is required"),
        ({"ml": 1, "speed": 2}, "unknown parameter 'speed': dose takes ml"),
    ],
)
def test_parameters_that_break_the_declaration_never_reach_the_handler(
    desk: Desk, params: dict[str, Any], why: str
) -> None:
    ran: list[int] = []
    desk.declare("dose", lambda ml: ran.append(ml), params={"ml": {"type": "integer", "minimum": 1}})
    desk.order("dose", **params)
    assert desk.ended() == ("failed", "bad_params", why)
    assert ran == []


def test_defaults_are_filled_in(desk: Desk) -> None:
    got: list[tuple[float, str]] = []
    desk.declare(
        "dose",
        lambda ml, mode="slow": got.append((ml, mode)),
        params={"ml": {"type": "number", "default": 2}, "mode": {"type": "string", "required": False}},
    )
    desk.order("dose")
    assert desk.ended()[0] == "succeeded"
    assert got == [(2.0, "slow")]


@pytest.mark.parametrize("ttl_ms", [0, -500])
def test_a_run_that_arrives_too_late_is_not_begun(desk: Desk, ttl_ms: float) -> None:
    desk.declare("fire", lambda: pytest.fail("it ran"))
    desk.order("fire", ttl_ms=ttl_ms)
    assert desk.ended()[:2] == ("failed", "expired_on_arrival")


def test_a_run_that_waited_too_long_behind_others_is_not_begun(desk: Desk) -> None:
    desk.declare("fire", lambda: pytest.fail("it ran"))
    desk.order("fire", ttl_ms=5_000)
    desk.now += 5.0
    assert desk.ended()[:2] == ("failed", "expired_on_arrival")


def test_a_run_without_a_time_waits_as_long_as_it_takes(desk: Desk) -> None:
    desk.declare("fire", lambda: None)
    desk.order("fire", ttl_ms=None)
    desk.now += 10_000.0
    assert desk.ended()[0] == "succeeded"


def test_a_second_run_of_exclusive_hardware_is_refused_until_the_first_is_over(desk: Desk) -> None:
    desk.declare("prime", lambda: None, concurrency="reject")
    desk.order("prime", "r1")
    desk.order("prime", "r2")
    assert [(each.run_id, each.state, each.error_code) for each in desk.said()] == [
        ("r1", "acknowledged", None),
        ("r2", "failed", "busy"),
    ]
    desk.work()
    desk.order("prime", "r3")
    assert desk.ended()[0] == "succeeded"


def test_so_many_run_beside_each_other_and_the_others_wait(desk: Desk) -> None:
    desk.declare("measure", lambda: None)
    for number in range(AT_ONCE + 4):
        desk.order("measure", str(number))
    assert len(desk.jobs) == AT_ONCE
    desk.work()
    assert desk.states().count("succeeded") == AT_ONCE + 4


def test_a_flood_of_runs_is_refused_and_not_kept(desk: Desk) -> None:
    desk.declare("measure", lambda: None)
    for number in range(MAX_OPEN + 5):
        desk.order("measure", str(number))
    assert sum(each.error_code == "busy" for each in desk.said()) == 5


def test_an_exception_is_a_failure_with_its_words_and_no_traceback(desk: Desk) -> None:
    def broken() -> None:
        secret = "plx_canary"
        raise ValueError("no such outlet", len(secret))

    desk.declare("power_off", broken)
    desk.order("power_off")
    assert desk.ended() == ("failed", "handler_error", "ValueError: ('no such outlet', 10)")


def test_a_handler_that_ends_the_program_is_a_failure_too(desk: Desk) -> None:
    def leave() -> None:
        raise SystemExit(3)

    desk.declare("leave", leave)
    desk.order("leave")
    assert desk.ended() == ("failed", "handler_error", "SystemExit: 3")


def test_a_device_that_cannot_start_a_thread_says_so() -> None:
    def refuse(job: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    desk = CommandDesk(lambda outcome: None, refuse)
    desk.declare("power_off", lambda: None, None)
    desk.handle(frames.CommandRun("r1", "power_off", {}, 30_000))
    last = desk.take()[-1]
    assert isinstance(last, frames.CommandStatus)
    assert (last.state, last.error_code) == ("failed", "busy")
    assert "can't start new thread" in str(last.error_message)


class TestContext:
    def test_a_handler_that_asks_for_its_run_gets_it(self, desk: Desk) -> None:
        seen: list[CommandRun] = []

        def dose(run: CommandRun, ml: int) -> None:
            seen.append(run)

        desk.declare("dose", dose)
        desk.order("dose", attempt=1, ml=5)
        desk.now += 10.0
        desk.work()
        (run,) = seen
        assert (run.id, run.command, run.params, run.attempt) == ("r1", "dose", {"ml": 5}, 1)
        assert run.time_remaining == 20.0
        assert run.cancel_requested is False

    def test_progress_is_said_once_a_second_and_always_at_100(self, desk: Desk) -> None:
        def dose(run: CommandRun) -> None:
            for percent in (1, 2, 3):
                run.progress(percent, f"{percent} ml")
            desk.said()
            desk.now += 1.0
            for percent in (40, 41, 250):
                run.progress(percent)

        desk.declare("dose", dose)
        desk.order("dose")
        desk.work()
        assert [(each.state, each.progress, each.message) for each in desk.said()] == [
            ("progress", 100.0, None),
            ("succeeded", None, None),
        ]

    def test_progress_that_is_no_number_fails_the_run_by_its_words(self, desk: Desk) -> None:
        desk.declare("dose", lambda run: run.progress(float("nan")), params={})
        desk.order("dose")
        assert desk.ended()[1:] == (
            "handler_error",
            "CommandParamError: progress takes a number from 0 to 100, not NaN",
        )

    def test_a_handler_may_cancel_its_run(self, desk: Desk) -> None:
        def dose(run: CommandRun) -> None:
            raise run.Cancelled("the bottle is empty")

        desk.declare("dose", dose)
        desk.order("dose")
        assert desk.ended() == ("failed", "cancelled", "the bottle is empty")


class TestOlderGateways:
    def test_a_typed_command_is_declared_anew_in_the_old_form_where_the_gateway_knows_no_other(
        self, desk: Desk
    ) -> None:
        desk.declare("dose", lambda ml: None, params={"ml": {"type": "integer", "minimum": 1}}, description="Pump")
        desk.desk.register("reboot", lambda name, params: None)
        assert [each["name"] for each in desk.desk.declarations()] == ["dose"]
        assert desk.desk.protocol() == 1
        desk.desk.connected(0)
        assert desk.greetings == 1
        assert desk.desk.declarations()[0] == {
            "name": "dose",
            "description": "Pump",
            "params": [{"name": "ml", "type": "integer", "minimum": 1, "required": True}],
        }
        assert [each["name"] for each in desk.desk.declarations()] == ["dose", "reboot"]
        desk.desk.connected(0)
        assert desk.greetings == 1

    def test_a_gateway_that_was_renewed_is_told_the_typed_form_again(self, desk: Desk) -> None:
        desk.declare("dose", lambda: None)
        desk.desk.declarations()
        desk.desk.connected(0)
        desk.desk.declarations()
        desk.desk.connected(1)
        assert desk.greetings == 2
        assert desk.desk.declarations()[0]["danger"] == "normal"

    def test_without_typed_commands_everything_is_as_in_0_5_2(self, desk: Desk) -> None:
        desk.desk.register("reboot", lambda name, params: None)
        desk.desk.connected(0)
        assert (desk.desk.protocol(), desk.greetings) == (0, 0)
        assert desk.desk.declarations() == ({"name": "reboot", "description": "", "params": []},)

    def test_a_call_runs_the_same_handler_and_its_result_is_the_answer(self, desk: Desk) -> None:
        desk.declare("dose", lambda run, ml: {"ml": ml, "id": run.id}, params={"ml": {"type": "integer"}})
        desk.desk.handle(CommandCall("c1", "dose", {"ml": 5}))
        desk.work()
        assert desk.answers == [
            CommandOutcome("c1", "dose", "ack"),
            CommandOutcome("c1", "dose", "result", {"ml": 5, "id": "c1"}),
        ]

    def test_a_call_with_bad_parameters_is_an_error_in_words(self, desk: Desk) -> None:
        desk.declare("dose", lambda ml: None, params={"ml": {"type": "integer"}})
        desk.desk.handle(CommandCall("c1", "dose", {"ml": "five"}))
        desk.work()
        assert desk.answers[-1].error == "ml must be an integer, not 'five'"


def test_a_refused_declaration_is_told_and_changes_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.desk.handle(frames.ErrorFrame("invalid_command", "command 'dose': expires_in_s must be 5 to 3600 seconds"))
    assert desk.refusals == ["command 'dose': expires_in_s must be 5 to 3600 seconds"]
    assert "invalid_command" in caplog.text
