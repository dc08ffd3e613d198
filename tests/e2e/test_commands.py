"""Commands all the way: a reader's request, a real gateway and its socket, the device's function and back."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

import pytest

from plexus import CommandRun, LogHandler, Plexus
from plexus.adapters.status.memory import MemoryStatus
from plexus.gateway import Gateway
from plexus.protocol.gateway import GatewaySession
from plexus.testing.memory import MemoryHouse
from tests.support import plain
from tests.support.gateway import KEY, http, running
from tests.support.waiting import eventually


def client(gateway: Gateway, status: MemoryStatus | None = None) -> Plexus:
    return Plexus(
        KEY,
        gateway.url,
        "rig-01",
        ws_url=gateway.ws_url,
        persistent_buffer=False,
        status=status or MemoryStatus(),
    )


def order(gateway: Gateway, command: str, **params: object) -> dict[str, object]:
    with http(gateway) as reader:
        answer = reader.post("/v1/sources/rig-01/commands", json={"command": command, "params": params})
    body: dict[str, object] = answer.json()
    return body


def states(gateway: Gateway) -> dict[str, str]:
    return {entry.run_id: entry.state for _number, entry in gateway.core.devices.book.entries("default", "rig-01")}


def declared(gateway: Gateway, name: str) -> bool:
    links = gateway.core.devices._links.get(("default", "rig-01"), [])
    return any(name in joined.declared for joined in links)


def test_a_typed_command_runs_on_the_device_and_its_end_is_known_at_the_gateway() -> None:
    got: list[tuple[int, str]] = []
    with running() as gateway, client(gateway) as px:

        @px.command("dose", danger="dangerous")
        def dose(
            run: CommandRun, ml: Annotated[int, {"minimum": 1}], mode: Literal["fast", "slow"] = "slow"
        ) -> dict[str, int]:
            run.progress(50, "half")
            got.append((ml, mode))
            return {"ml": ml}

        eventually(lambda: declared(gateway, "dose"), what="the declaration")
        answer = order(gateway, "dose", ml=5)
        eventually(lambda: states(gateway) == {answer["run_id"]: "succeeded"}, what="the run's end")
        ((_number, run),) = gateway.core.devices.book.entries("default", "rig-01")
        assert (run.result, got) == ({"ml": 5}, [(5, "slow")])

        refused = order(gateway, "dose", ml=0)
        eventually(lambda: states(gateway)[str(refused["run_id"])] == "failed", what="the refusal")
        assert len(got) == 1


def test_commands_of_both_kinds_and_those_that_are_declared_late_are_reached() -> None:
    with running() as gateway, client(gateway) as px:
        heard: list[str] = []
        px.on_command("reboot", lambda name, params: heard.append(name))
        eventually(lambda: gateway.core.devices.connected("default", "rig-01"), what="the device")
        px.command("dose")(lambda: heard.append("dose"))
        eventually(lambda: declared(gateway, "dose"), what="the late declaration")
        order(gateway, "dose")
        order(gateway, "reboot")
        eventually(lambda: sorted(heard) == ["dose", "reboot"], what="both commands")


def test_a_command_may_end_the_serving_that_it_is_served_by() -> None:
    with running() as gateway, client(gateway) as px:

        @px.command("shut_down")
        def shut_down() -> None:
            px.stop_serving()

        served = threading.Thread(target=px.serve)
        served.start()
        eventually(lambda: declared(gateway, "shut_down"), what="the declaration")
        order(gateway, "shut_down")
        served.join(10)
        assert not served.is_alive()
        eventually(lambda: list(states(gateway).values()) == ["succeeded"], what="the run's end")
        late = order(gateway, "shut_down")
        eventually(lambda: states(gateway)[str(late["run_id"])] == "failed", what="the refusal")


def test_the_end_of_the_client_ends_its_serving() -> None:
    with running() as gateway:
        px = client(gateway)
        served = threading.Thread(target=px.serve)
        served.start()
        px.close()
        served.join(10)
        assert not served.is_alive()


def test_serving_lasts_as_long_as_it_was_asked_to() -> None:
    with running() as gateway, client(gateway) as px:
        px.serve(timeout=0.01)


def test_a_bad_declaration_of_another_release_is_told_to_the_person_at_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = MemoryStatus()
    monkeypatch.setattr("plexus.domain.declaration.Declaration.to_wire", lambda self: {"name": "Not a name"})
    with running() as gateway, client(gateway, status) as px:
        px.command("dose")(lambda: None)
        eventually(lambda: any("Command not taken" in line for line in status.lines), what="the status line")
        px.send("battery.voltage", 12.4)
        assert px.flush_buffer()


def test_a_device_whose_key_may_not_declare_commands_is_told_so_and_goes_on_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = MemoryStatus()
    accept = GatewaySession.accept

    def strict(self: GatewaySession, *arguments: Any, may_declare: bool, **named: Any) -> None:
        # As a gateway is whose keys are finer than those of ours, which may declare for what they may send for.
        assert may_declare
        accept(self, *arguments, may_declare=False, **named)

    monkeypatch.setattr(GatewaySession, "accept", strict)
    with running() as gateway, client(gateway, status) as px:
        px.command("dose")(lambda: None)
        eventually(lambda: any("may not declare commands" in line for line in status.lines), what="the status line")
        assert not declared(gateway, "dose")
        px.send("battery.voltage", 12.4)
        assert px.flush_buffer()
        with http(gateway) as reader:
            assert reader.get("/v1/sources/rig-01/commands").json()["declared"] == []


def test_a_run_is_judged_by_every_point_that_was_sent_inside_it() -> None:
    # Stamped by the test: a fraction of a millisecond from a boundary is inside or not by the clock's own error.
    base = time.time() - 60.0
    start = datetime.fromtimestamp(base, timezone.utc)
    criteria = [{"metric": "motor.temp_c", "operator": "<", "value": 85}]
    # The app's part of the contract is at the gateway's address too.
    with running() as gateway, client(gateway) as px:
        with px.run("hotfire-03", tags={"build": "a41f"}, pass_criteria=criteria, started_at=start) as cool:
            for value in range(80):
                px.send("motor.temp_c", value, timestamp=base + 1 + value / 100)
        assert cool.wait(20)
        hot = px.start_run("hotfire-04", pass_criteria=criteria, started_at=start)
        px.send("motor.temp_c", 90, timestamp=base + 2)
        px.end_run(hot)
        assert hot.wait(20)
        assert cool.test_result is not None
        assert hot.test_result is not None
        assert (cool.test_result["passed"], hot.test_result["passed"]) == (True, False)
        runs = plain.request("GET", f"{gateway.url}/api/runs", headers={"x-api-key": KEY}).json()["runs"]
    assert {run["name"]: (run["status"], run["source_id"]) for run in runs} == {
        "hotfire-03": ("completed", "rig-01"),
        "hotfire-04": ("completed", "rig-01"),
    }


def test_log_records_are_read_back_as_events() -> None:
    logger = logging.Logger("robot.arm")
    with MemoryHouse() as house:
        with house.device("rig-01") as px:
            logger.addHandler(LogHandler(px, level="WARNING"))
            logger.warning("joint %d is hot", 3)
            logger.info("nothing to see")
            assert px.flush_buffer()
        (event,) = house.reader().events.list("rig-01", last="1h")
    assert (event.name, event.value) == (
        "log",
        {"level": "WARNING", "logger": "robot.arm", "message": "joint 3 is hot"},
    )
