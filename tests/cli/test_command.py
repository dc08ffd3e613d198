"""`plexus command`: a device is told something, and its end is known by the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import attrs
import pytest

from plexus import CommandRun, Plexus, PlexusAPI
from plexus.adapters.status.memory import MemoryStatus
from plexus.api.sync.commands import Commands
from plexus.cli.command import wait
from plexus.domain.asked import CommandStatus, CommandStep, SentCommand
from plexus.gateway import Gateway
from tests.cli.conftest import Command
from tests.support.waiting import eventually

STATUS = CommandStatus("r1", "rig-01", "dose", "run", "running", "k", 1, 0.0, 0.0, 0.0)


@pytest.fixture
def device(gateway: Gateway) -> Iterator[Plexus]:
    """A device that can dose, and that breaks at `burst`."""
    px = Plexus(
        gateway.api_key,
        gateway.url,
        "rig-01",
        ws_url=gateway.ws_url,
        persistent_buffer=False,
        status=MemoryStatus(),
    )
    with px:

        @px.command("dose", description="Give a dose", danger="dangerous")
        def dose(run: CommandRun, ml: Annotated[int, {"minimum": 1}], label: str = "plain") -> dict[str, object]:
            run.progress(50, "half of it\x1b")
            return {"ml": ml, "label": label}

        @px.command("burst")
        def burst() -> None:
            raise RuntimeError("the valve is stuck")

        eventually(lambda: len(_declared(gateway)) == 2, what="the declarations")
        yield px


def _declared(gateway: Gateway) -> set[str]:
    links = gateway.core.devices._links.get(("default", "rig-01"), [])
    return {name for joined in links for name in joined.declared}


def test_what_succeeds_is_exit_0_with_its_result(plexus: Command, device: Plexus) -> None:
    ended = plexus("command", "rig-01", "dose", "ml=5", "label=two words", "--wait", "30")
    assert ended.code == 0
    assert json.loads(ended.out) == {"ml": 5, "label": "two words"}
    assert "running 50 %  half of it" in ended.err
    assert "\x1b" not in ended.err


def test_what_the_device_fails_at_is_exit_3(plexus: Command, device: Plexus) -> None:
    ended = plexus("command", "rig-01", "burst", "--wait", "30")
    assert (ended.code, "the valve is stuck" in ended.err) == (3, True)


def test_what_the_device_refuses_is_exit_3(plexus: Command, device: Plexus) -> None:
    ended = plexus("command", "rig-01", "dose", "ml=0", "--wait", "30", "--json")
    status = json.loads(ended.out)
    assert (ended.code, status["state"], status["error_code"]) == (3, "failed", "bad_params")


def test_without_waiting_it_is_enough_that_it_is_on_its_way(plexus: Command, device: Plexus) -> None:
    ended = plexus("command", "rig-01", "dose", "ml=5", "--json")
    assert (ended.code, json.loads(ended.out)["queued"]) == (0, True)


def test_a_device_that_is_offline_is_exit_4(plexus: Command, filled: Gateway) -> None:
    for words in (("reboot",), ("reboot", "--wait", "30")):
        ended = plexus("command", "drone-01", *words)
        assert (ended.code, "offline" in ended.err) == (4, True)


def test_an_unknown_source_is_exit_1(plexus: Command, filled: Gateway) -> None:
    assert plexus("command", "drone-09", "reboot").code == 1


def test_without_a_name_it_lists_what_there_is(plexus: Command, device: Plexus) -> None:
    rows = [line.split(None, 3) for line in plexus("command", "rig-01").out.splitlines()]
    assert ["dose", "dangerous", "ml", "label  Give a dose"] in rows
    found = [json.loads(line) for line in plexus("command", "rig-01", "--json").out.splitlines()]
    assert sorted(one["name"] for one in found) == ["burst", "dose"]


def test_of_a_device_that_says_nothing_or_is_away_nothing_is_listed(plexus: Command, filled: Gateway) -> None:
    ended = plexus("command", "drone-01")
    assert (ended.code, ended.out, "says nothing" in ended.err) == (0, "", True)
    with PlexusAPI() as api:
        api.sources.register("drone-02")
    ended = plexus("command", "drone-02")
    assert (ended.code, ended.out, "offline" in ended.err) == (0, "", True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("2.5", 2.5),
        ("true", True),
        ("null", None),
        ('{"a": [1]}', {"a": [1]}),
        ('"3"', "3"),
        ("soak test", "soak test"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_values_are_json_where_they_are_and_text_elsewhere(
    plexus: Command, filled: Gateway, monkeypatch: pytest.MonkeyPatch, text: str, value: object
) -> None:
    heard: list[object] = []

    def send(self: Commands, source_id: str, command: str, params: object) -> SentCommand:
        heard.append((source_id, command, params))
        return SentCommand(queued=True)

    monkeypatch.setattr(Commands, "send", send)
    assert plexus("command", "drone-01", "set", f"key={text}").code == 0
    assert heard == [("drone-01", "set", {"key": value})]


@pytest.mark.parametrize("words", [("a=1", "a=2"), ("nothing",), ("=1",)])
def test_params_that_are_none_are_exit_2(plexus: Command, gateway: Gateway, words: tuple[str, ...]) -> None:
    assert plexus("command", "drone-01", "set", *words).code == 2


def test_a_server_that_keeps_no_commands_cannot_say_how_it_ended(
    plexus: Command, filled: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Commands, "send", lambda *_arguments: SentCommand(queued=True, run_id=None))
    ended = plexus("command", "drone-01", "reboot", "--wait", "5")
    assert (ended.code, "cannot be asked" in ended.err) == (5, True)


def test_what_is_not_over_in_time_is_exit_5(plexus: Command, filled: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Commands, "send", lambda *_arguments: SentCommand(queued=True, run_id="r1"))
    monkeypatch.setattr(Commands, "get", lambda *_arguments: STATUS)
    ended = plexus("command", "drone-01", "reboot", "--wait", "0.01")
    assert (ended.code, "it is running, and not over" in ended.err) == (5, True)


def test_what_expires_is_exit_4(plexus: Command, filled: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Commands, "send", lambda *_arguments: SentCommand(queued=True, run_id="r1"))
    monkeypatch.setattr(Commands, "get", lambda *_arguments: attrs.evolve(STATUS, state="expired"))
    ended = plexus("command", "drone-01", "reboot", "--wait", "5")
    assert (ended.code, "it never ran: expired" in ended.err) == (4, True)


def test_each_step_is_told_once_and_looking_grows_rarer() -> None:
    now, pauses = [0.0], list[float]()
    steps = [CommandStep(float(n), "running") for n in range(8)]
    looks = iter(range(1, 9))

    def get(_run_id: str) -> CommandStatus:
        return attrs.evolve(STATUS, steps=steps[: next(looks)])

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    told: list[CommandStep] = []
    status = wait(get, "r1", 1.0, told.append, monotonic=lambda: now[0], sleep=sleep)
    assert told == list(status.steps)
    assert pauses == sorted(pauses[:-1]) + pauses[-1:]
    assert sum(pauses) == pytest.approx(1.0)


def test_a_key_without_the_scope_is_exit_1(plexus: Command, filled: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = filled.core.keyring.create("default", "reader", ("read",))
    monkeypatch.setenv("PLEXUS_API_KEY", key)
    ended = plexus("command", "drone-01", "reboot")
    assert (ended.code, "`commands`" in ended.err) == (1, True)
