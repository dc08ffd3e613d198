"""The command desk: acknowledged at once, run once, answered whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from plexus.device.commands import MAX_RESULT_BYTES, REMEMBERED, CommandDesk, Handler
from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.errors import CommandDeclarationError


class Desk:
    """A desk whose handlers run when the test says so, and what it answered."""

    def __init__(self) -> None:
        self.answers: list[CommandOutcome] = []
        self.jobs: list[Callable[[], None]] = []
        self.desk = CommandDesk(self.answers.append, self.jobs.append)

    def call(self, command: str = "reboot", params: dict[str, Any] | None = None, call_id: str = "c1") -> None:
        self.desk.handle(CommandCall(call_id, command, params or {}))

    def work(self) -> CommandOutcome:
        while self.jobs:
            self.jobs.pop(0)()
        return self.answers[-1]

    @property
    def events(self) -> list[str]:
        return [answer.event for answer in self.answers]


@pytest.fixture(name="desk")
def _desk() -> Desk:
    return Desk()


def answering(desk: Desk, handler: Handler) -> CommandOutcome:
    desk.desk.register("reboot", handler)
    desk.call()
    return desk.work()


def test_a_call_is_acknowledged_before_its_handler_runs(desk: Desk) -> None:
    seen: list[str] = []
    desk.desk.register("reboot", lambda name, params: seen.append(name))
    desk.call()
    assert (desk.events, seen) == (["ack"], [])
    desk.work()
    assert (desk.events, seen) == (["ack", "result"], ["reboot"])


def test_a_handler_gets_name_and_params_and_its_result_is_the_answer(desk: Desk) -> None:
    desk.desk.register("reboot", lambda name, params: {"name": name, **params})
    desk.call(params={"delay_s": 3})
    assert desk.work() == CommandOutcome("c1", "reboot", "result", {"name": "reboot", "delay_s": 3})


def test_a_handler_without_a_result_answers_null(desk: Desk) -> None:
    assert answering(desk, lambda name, params: None) == CommandOutcome("c1", "reboot", "result", None)


def test_a_handler_may_change_its_params_without_touching_the_call(desk: Desk) -> None:
    call = CommandCall("c1", "reboot", {"delay_s": 3})
    desk.desk.register("reboot", lambda name, params: params.clear())
    desk.desk.handle(call)
    desk.work()
    assert call.params == {"delay_s": 3}


def test_an_unknown_command_is_acknowledged_and_then_an_error(desk: Desk) -> None:
    desk.call("fly")
    assert desk.answers == [
        CommandOutcome("c1", "fly", "ack"),
        CommandOutcome("c1", "fly", "error", error="unknown command: fly"),
    ]
    assert desk.jobs == []


def test_an_exception_is_an_error_with_its_type_and_text(desk: Desk) -> None:
    def broken(name: str, params: dict[str, Any]) -> None:
        raise ValueError("no such outlet")

    assert answering(desk, broken) == CommandOutcome("c1", "reboot", "error", error="ValueError: no such outlet")


def test_a_handler_that_ends_the_program_is_an_error_too(desk: Desk) -> None:
    def leave(name: str, params: dict[str, Any]) -> None:
        raise SystemExit(3)

    assert answering(desk, leave).error == "SystemExit: 3"


def test_an_error_text_that_utf8_cannot_carry_is_still_sent(desk: Desk) -> None:
    def broken(name: str, params: dict[str, Any]) -> None:
        raise OSError("no file \udcff" + "x" * 5000)

    error = answering(desk, broken).error
    assert error is not None
    assert error.startswith("OSError: no file ?")
    assert len(error.encode()) == 2000


@pytest.mark.parametrize("result", [object(), {1, 2}, b"raw", float("nan"), {"a": "\ud800"}])
def test_a_result_that_json_cannot_say_is_an_error(desk: Desk, result: object) -> None:
    outcome = answering(desk, lambda name, params: result)
    assert outcome.event == "error"
    assert f"the handler's result of type {type(result).__name__} cannot be sent" in str(outcome.error)


def test_a_result_that_contains_itself_is_an_error(desk: Desk) -> None:
    circular: list[Any] = []
    circular.append(circular)
    assert answering(desk, lambda name, params: circular).event == "error"


def test_a_result_too_large_for_a_message_is_an_error(desk: Desk) -> None:
    outcome = answering(desk, lambda name, params: "x" * MAX_RESULT_BYTES)
    assert outcome.error == f"the handler's result has {MAX_RESULT_BYTES + 2} bytes of JSON; at most 524288 can be sent"
    assert answering(Desk(), lambda name, params: "x" * (MAX_RESULT_BYTES - 2)).event == "result"


def test_a_result_is_taken_as_it_is_when_the_handler_returns(desk: Desk) -> None:
    kept = {"state": "on"}
    outcome = answering(desk, lambda name, params: kept)
    kept["state"] = "off"
    assert outcome.result == {"state": "on"}


def test_one_call_id_never_runs_twice(desk: Desk) -> None:
    desk.desk.register("reboot", lambda name, params: None)
    desk.call()
    desk.call()
    desk.work()
    assert sorted(desk.events) == ["ack", "ack", "result"]


def test_a_repeat_among_the_last_256_is_known(desk: Desk) -> None:
    ran: list[str] = []
    desk.desk.register("reboot", lambda name, params: ran.append(params["id"]))
    for number in range(REMEMBERED):
        desk.call(params={"id": str(number)}, call_id=str(number))
    desk.call(params={"id": "0"}, call_id="0")
    desk.work()
    assert ran == [str(number) for number in range(REMEMBERED)]


def test_what_is_remembered_is_bounded(desk: Desk) -> None:
    for number in range(3 * REMEMBERED):
        desk.call(call_id=str(number))
    assert len(desk.desk._seen) == REMEMBERED


def test_a_device_that_cannot_start_a_handler_says_so() -> None:
    answers: list[CommandOutcome] = []

    def refuse(job: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    desk = CommandDesk(answers.append, refuse)
    desk.register("reboot", lambda name, params: None)
    desk.handle(CommandCall("c1", "reboot"))
    assert [answer.event for answer in answers] == ["ack", "error"]
    assert "can't start new thread" in str(answers[1].error)


def test_a_slow_handler_holds_up_nobody() -> None:
    answers: list[tuple[str, str]] = []
    slow, quick = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def run(job: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=job))
        threads[-1].start()

    desk = CommandDesk(lambda outcome: answers.append((outcome.command, outcome.event)), run)
    desk.register("slow", lambda name, params: slow.wait(10))
    desk.register("quick", lambda name, params: quick.set())
    desk.handle(CommandCall("c1", "slow"))
    desk.handle(CommandCall("c2", "quick"))
    assert quick.wait(10)
    assert ("slow", "result") not in answers
    slow.set()
    for thread in threads:
        thread.join(10)
    assert sorted(answers) == [("quick", "ack"), ("quick", "result"), ("slow", "ack"), ("slow", "result")]


def test_declarations_are_what_device_auth_carries(desk: Desk) -> None:
    params = [{"name": "delay_s", "type": "number"}]
    desk.desk.register("reboot", print, description="Restart the rig", params=params)
    desk.desk.register("stop", print)
    params[0]["name"] = "changed later"
    assert desk.desk.declarations() == (
        {"name": "reboot", "description": "Restart the rig", "params": [{"name": "delay_s", "type": "number"}]},
        {"name": "stop", "description": "", "params": []},
    )


def test_a_second_registration_takes_the_place_of_the_first(desk: Desk) -> None:
    desk.desk.register("reboot", lambda name, params: "old", description="old")
    assert answering(desk, lambda name, params: "new").result == "new"
    assert [declared["description"] for declared in desk.desk.declarations()] == [""]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": "no spaces"}, "command name 'no spaces' is not valid"),
        ({"name": ""}, "command name '' is not valid"),
        ({"name": 7}, "command name 7 is not valid"),
        ({"handler": "print"}, "command 'reboot': the handler must be callable"),
        ({"description": 7}, "command 'reboot': description must be text, not int"),
        ({"params": {"delay_s": {}}}, "command 'reboot': params must be a list with an object each"),
        ({"params": "delay_s"}, "command 'reboot': params must be a list with an object each"),
        ({"params": ["delay_s"]}, "command 'reboot': params must be a list with an object each"),
        ({"params": [{"default": {1}}]}, "command 'reboot': params cannot be said in JSON"),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_refused_by_name(desk: Desk, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(CommandDeclarationError, match=why):
        desk.desk.register(**{"name": "reboot", "handler": print, **arguments})
    assert desk.desk.declarations() == ()
