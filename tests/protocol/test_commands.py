"""Commands over a connection wired in memory: a desk at one end, the gateway's list of runs at the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.device.commands import CommandDesk, DeskHooks
from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.declaration import read_declaration
from plexus.domain.errors import CommandDeclarationError
from plexus.protocol import frames
from plexus.protocol.commandruns import FINAL
from plexus.protocol.device import DeviceSession
from plexus.protocol.gateway import GatewaySession, State
from plexus.protocol.gatewayevents import CommandAnswered
from plexus.protocol.messages import CommandArrived, Notice
from tests.protocol.strategies import json_values
from tests.support.pair import ConnectionPair, hello

INTEGER = {"ml": {"type": "integer", "minimum": 1}}


class Device:
    """A desk that outlives its connections, and every end that was heard of a run."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []
        self.outcomes: list[CommandOutcome] = []
        self.refusals: list[str] = []
        self.greetings = 0
        self.ran: list[str] = []
        self.now = 0.0
        hooks = DeskHooks(greet_again=self._greet, refused=self.refusals.append)
        self.desk = CommandDesk(self.outcomes.append, self.jobs.append, hooks, lambda: self.now)
        self.seen: dict[str, dict[int, str]] = {}
        self.pair = ConnectionPair()

    def _greet(self) -> None:
        self.greetings += 1

    def connect(self, *, old: tuple[str, ...] = (), **accepting: Any) -> ConnectionPair:
        told = hello(commands=self.desk.declarations, runs=self.desk)
        self.pair = ConnectionPair(old=old, device=DeviceSession(told, lambda: 0))
        self.pair.device.opened(self.pair.now)
        self.pair.pump_device()
        self.pair.deliver_to_gateway()
        self.pair.gateway.accept("drone-01", 1e12, **accepting)
        self.settle()
        return self.pair

    def settle(self, *, acknowledge: bool = True) -> None:
        """Let everything travel, and each end do what it is asked for."""
        while self.pair.to_device or self.pair.to_gateway or self._has_news():
            self.pair.exchange()
            for arrived in self.pair.heard(CommandArrived):
                self.desk.handle(arrived.call)
            self.pair.device_events.clear()
            for answered in self.pair.asked(CommandAnswered):
                self._hear(answered.outcome, acknowledge=acknowledge)
            self.pair.gateway_events.clear()

    def _has_news(self) -> bool:
        self.pair.pump_device()
        self.pair.pump_gateway()
        return bool(self.pair.to_device or self.pair.to_gateway or self.pair.device_events or self.pair.gateway_events)

    def _hear(self, said: Any, *, acknowledge: bool) -> None:
        if not isinstance(said, frames.CommandStatus):
            return
        self.seen.setdefault(said.run_id, {})[said.seq] = said.state
        if acknowledge:
            self.pair.gateway.call(frames.CommandStatusAck(said.run_id, max(self.seen[said.run_id])))

    def order(self, command: str, run_id: str = "r1", **params: Any) -> None:
        self.pair.gateway.call(frames.CommandRun(run_id, command, params, 30_000))

    def work(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()


@pytest.fixture(name="device")
def _device() -> Device:
    made = Device()

    def dose(ml: int) -> dict[str, int]:
        made.ran.append("dose")
        return {"ml": ml}

    made.desk.declare("dose", dose, INTEGER)
    return made


def said(pair: ConnectionPair, kind: str) -> list[dict[str, Any]]:
    return [frame for frame in pair.said_by_device if frame["type"] == kind]


def test_both_ends_agree_on_protocol_1_and_the_declaration_arrives(device: Device) -> None:
    pair = device.connect(max_frame_bytes=1_000_000)
    assert (pair.said_by_device[0]["protocol"], pair.said_by_gateway[0]["protocol"]) == (1, 1)
    assert pair.said_by_gateway[0]["max_frame_bytes"] == 1_000_000
    assert list(pair.gateway.declared) == ["dose"]
    assert device.greetings == 0


def test_a_device_without_typed_commands_greets_as_before() -> None:
    device = Device()
    device.desk.register("reboot", print)
    pair = device.connect()
    assert "protocol" not in pair.said_by_device[0]
    assert "protocol" not in pair.said_by_gateway[0]


def test_a_run_is_acknowledged_run_and_answered_and_every_status_acknowledged(device: Device) -> None:
    pair = device.connect()
    device.order("dose", ml=5)
    device.settle()
    device.work()
    device.settle()
    assert [(each["seq"], each["state"]) for each in said(pair, "command_status")] == [
        (1, "acknowledged"),
        (2, "running"),
        (3, "succeeded"),
    ]
    assert said(pair, "command_status")[-1]["result"] == {"ml": 5}
    assert [each["seq"] for each in pair.answers("command_status_ack")] == [1, 2, 3]
    device.connect()
    assert said(device.pair, "command_status") == []


def test_a_run_that_ended_while_there_was_no_connection_is_synced_first_and_then_said(device: Device) -> None:
    device.connect()
    device.order("dose", ml=5)
    device.settle()
    device.work()
    pair = device.connect()
    kinds = [frame["type"] for frame in pair.said_by_device if frame["type"].startswith("command")]
    assert kinds == ["command_sync", "command_status", "command_status"]
    assert said(pair, "command_sync")[0]["runs"] == [{"run_id": "r1", "state": "succeeded", "seq": 3}]
    assert device.seen == {"r1": {1: "acknowledged", 2: "running", 3: "succeeded"}}


def test_what_was_not_acknowledged_is_said_again_in_order(device: Device) -> None:
    device.connect()
    device.order("dose", ml=5)
    device.settle(acknowledge=False)
    device.work()
    device.settle(acknowledge=False)
    pair = device.connect()
    assert [each["seq"] for each in said(pair, "command_status")] == [1, 2, 3]


def test_a_gateway_without_the_protocol_is_greeted_again_in_its_own_form(device: Device) -> None:
    device.connect(old=("protocol",))
    assert device.greetings == 1
    pair = device.connect(old=("protocol",))
    assert pair.said_by_device[0]["commands"] == [
        {
            "name": "dose",
            "description": "",
            "params": [{"name": "ml", "type": "integer", "minimum": 1, "required": True}],
        }
    ]
    assert device.greetings == 1


def test_a_gateway_without_the_protocol_calls_the_same_handler(device: Device) -> None:
    device.connect(old=("protocol",))
    device.pair.gateway.call(CommandCall("c1", "dose", {"ml": 5}))
    device.settle()
    device.work()
    assert device.outcomes[-1] == CommandOutcome("c1", "dose", "result", {"ml": 5})
    assert said(device.pair, "command_status") == []


def test_a_refused_declaration_is_told_and_the_connection_goes_on(device: Device) -> None:
    pair = device.connect(may_declare=False)
    assert [frame["code"] for frame in pair.answers("error")] == ["commands_not_permitted"]
    assert device.refusals == ["this key may not declare commands: it needs the scope `write`"]
    assert pair.device.state.value == "ready"
    assert dict(pair.gateway.declared) == {}
    assert not pair.heard(Notice)


def test_a_bad_declaration_is_named_and_the_good_ones_stand() -> None:
    pair = ConnectionPair(
        device=DeviceSession(hello(commands=lambda: ({"name": "Bad"}, {"name": "good"}), runs=Declaring()), lambda: 0)
    )
    pair.open()
    # The first frame is `authenticated` whatever is wrong with a command: released clients drop a socket otherwise.
    assert [frame["type"] for frame in pair.said_by_gateway[:2]] == ["authenticated", "error"]
    assert [frame["code"] for frame in pair.answers("error")] == ["invalid_command"]
    assert list(pair.gateway.declared) == ["good"]


def greeted(commands: object, protocol: int = 1) -> GatewaySession:
    """The gateway's end after a greeting with these `commands`, whatever they are."""
    session = GatewaySession(0.0)
    auth = {"type": "device_auth", "api_key": "k", "source_id": "drone-01", "protocol": protocol, "commands": commands}
    session.receive(json.dumps(auth), 0.0, 0)
    session.accept("drone-01", 1e12)
    return session


def is_fault(entry: object) -> bool:
    """Whether an entry of `commands` is no declaration."""
    try:
        read_declaration(entry if isinstance(entry, dict) else {})
    except CommandDeclarationError:
        return True
    return False


good_commands = st.builds(lambda name: {"name": name}, st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True))


@given(st.lists(good_commands | json_values | st.builds(lambda value: {"name": value}, json_values), max_size=12))
def test_whatever_stands_in_commands_the_good_ones_are_taken_and_each_other_is_named(entries: list[Any]) -> None:
    session = greeted(entries)
    assert session.state is State.READY
    assert session.close is None
    first, *others = [json.loads(message) for message in session.take_messages()]
    assert first["type"] == "authenticated"
    assert [other["code"] for other in others] == ["invalid_command"] * sum(map(is_fault, entries))
    assert set(session.declared) == {entry["name"] for entry in entries if not is_fault(entry)}


@given(json_values.filter(lambda value: value is not None and not isinstance(value, list)))
def test_commands_that_are_no_array_are_named_once_and_the_connection_goes_on(commands: object) -> None:
    session = greeted(commands)
    assert session.state is State.READY
    faults = [json.loads(message) for message in session.take_messages()][1:]
    assert [(fault["code"], fault["detail"]) for fault in faults] == [
        ("invalid_command", "commands must be an array of objects")
    ]


def test_an_entry_that_is_no_object_is_named_by_its_place() -> None:
    session = greeted([{"name": "good"}, "x", {"name": "Bad"}, 7])
    details = [json.loads(message)["detail"] for message in session.take_messages()[1:]]
    assert details[:2] == ["commands[1] must be an object", "commands[3] must be an object"]
    assert "'Bad'" in details[2]


def test_entries_that_are_no_objects_are_named_up_to_a_bound() -> None:
    assert len(greeted([0] * 10_000).take_messages()) == 1 + 256


@pytest.mark.parametrize("commands", ["x", ["x"], {"name": "x"}])
def test_without_the_protocol_nothing_is_judged_by_what_stands_in_commands(commands: object) -> None:
    session = greeted(commands, protocol=0)
    assert session.state is State.READY
    assert [json.loads(message)["type"] for message in session.take_messages()] == ["authenticated"]


def test_more_commands_than_a_gateway_takes_are_refused_by_number() -> None:
    commands = tuple({"name": f"c{number}"} for number in range(257))
    pair = ConnectionPair(device=DeviceSession(hello(commands=lambda: commands, runs=Declaring()), lambda: 0))
    pair.open()
    assert pair.answers("error")[-1]["detail"] == "a device may declare 256 commands"
    assert len(pair.gateway.declared) == 256


class Declaring:
    """Offers protocol 1 and has nothing to say."""

    def protocol(self) -> int:
        return 1

    def connected(self, protocol: int) -> None:
        assert protocol == 1

    def take(self) -> tuple[frames.CommandStatus, ...]:
        return ()


@given(st.lists(st.sampled_from(["order", "repeat", "work", "travel", "travel_unacknowledged", "cut"]), max_size=30))
def test_however_the_connection_is_cut_a_run_is_done_once_and_ends_once(acts: list[str]) -> None:
    device = Device()

    def dose(ml: int) -> None:
        device.ran.append(str(ml))

    device.desk.declare("dose", dose, INTEGER, idempotent=True)
    device.connect()
    orders = 0
    for act in acts:
        if act == "order":
            orders += 1
            device.order("dose", f"r{orders}", ml=orders)
        elif act == "repeat" and orders:
            device.order("dose", f"r{orders}", ml=orders)
        elif act == "work" and device.jobs:
            device.jobs.pop(0)()
        elif act == "cut":
            device.connect()
        elif act.startswith("travel"):
            device.settle(acknowledge=act == "travel")
    device.settle()
    device.work()
    device.connect()
    assert len(device.ran) == len(set(device.ran)) == len(device.seen)
    for states in device.seen.values():
        assert [state for state in states.values() if state in FINAL] == ["succeeded"]
    device.connect()
    assert said(device.pair, "command_status") == []
