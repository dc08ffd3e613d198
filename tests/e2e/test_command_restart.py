"""A gateway process that is killed in the middle of a command: what it had taken on, the next one finishes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from plexus import CommandRun, Plexus
from plexus.adapters.status.memory import MemoryStatus
from tests.support.gateway import Wire
from tests.support.served import Served
from tests.support.waiting import eventually

SOURCE = "/v1/sources/rig-01/commands"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    gateway = Served(tmp_path).start()
    yield gateway
    gateway.kill()


def client(served: Served) -> Plexus:
    return Plexus(served.key, served.url, "rig-01", persistent_buffer=False, status=MemoryStatus())


@contextmanager
def wire(served: Served) -> Iterator[Wire]:
    """A device that says nothing by itself, and declares a harmless command and one that is not."""
    commands = [{"name": "dose", "idempotent": True, "expires_in_s": 600}, {"name": "fire", "expires_in_s": 600}]
    told = {"api_key": served.key, "source_id": "rig-01", "install_id": "1", "protocol": 1, "commands": commands}
    with connect(served.url.replace("http", "ws") + "/ws/device", compression=None, proxy=None) as connection:
        made = Wire(connection)
        made.say(type="device_auth", **told)
        assert made.hear()["type"] == "authenticated"
        yield made


def declared(served: Served) -> set[str]:
    answer = served.get(SOURCE)
    return set() if answer is None else {item["name"] for item in answer["declared"]}


def order(served: Served, command: str, **params: object) -> str:
    answer = served.post(SOURCE, {"command": command, "params": params})
    assert answer["queued"] is True
    return str(answer["run_id"])


def told(served: Served, run_id: str) -> Any:
    return served.get(f"/v1/commands/{run_id}")["command"]


def test_a_run_that_goes_on_over_a_kill_of_the_gateway_runs_once_and_its_end_is_known(served: Served) -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []
    with client(served) as px:

        @px.command("dose", idempotent=True, expires_in_s=600)
        def dose(run: CommandRun, ml: int) -> dict[str, int]:
            begun.set()
            assert go_on.wait(60)
            done.append(ml)
            return {"ml": ml}

        eventually(lambda: "dose" in declared(served), 30.0, "the declaration")
        run_id = order(served, "dose", ml=5)
        assert begun.wait(30)
        eventually(lambda: told(served, run_id)["state"] == "running", 30.0, "the state")
        served.kill()
        served.start()
        # Nothing is lost of what was said before, and the device says the rest to the next gateway.
        assert told(served, run_id)["state"] == "running"
        go_on.set()
        eventually(lambda: told(served, run_id)["state"] == "succeeded", 60.0, "the end")
        kept = told(served, run_id)
    assert (done, kept["result"], kept["attempts"]) == ([5], {"ml": 5}, 1)
    assert [step["state"] for step in kept["steps"]] == ["queued", "acknowledged", "running", "succeeded"]


def test_a_harmless_run_that_was_not_acknowledged_is_sent_again_by_the_next_gateway_and_no_other(
    served: Served,
) -> None:
    with wire(served) as device:
        dose, fire = order(served, "dose"), order(served, "fire")
        assert [device.hear()["run_id"] for _ in range(2)] == [dose, fire]
        served.kill()
    served.start()
    with wire(served) as device:
        again = device.hear()
        assert (again["type"], again["run_id"], again["attempt"]) == ("command_run", dose, 2)
        assert 0 < again["ttl_ms"] < 600_000
        device.say(type="command_status", run_id=dose, seq=1, state="acknowledged")
        assert device.hear() == {"type": "command_status_ack", "run_id": dose, "seq": 1}
    assert (told(served, dose)["state"], told(served, fire)["state"]) == ("acknowledged", "queued")
    with wire(served) as device:
        device.say(type="command_status", run_id=fire, seq=1, state="failed", error_code="busy")
        assert device.hear() == {"type": "command_status_ack", "run_id": fire, "seq": 1}
    assert told(served, fire)["error_code"] == "busy"


def test_what_was_asked_for_is_known_after_a_restart_in_good_order(served: Served) -> None:
    with client(served) as px:
        px.command("dose", idempotent=True)(lambda: "done")
        eventually(lambda: "dose" in declared(served), 30.0, "the declaration")
        run_id = order(served, "dose")
        eventually(lambda: told(served, run_id)["state"] == "succeeded", 30.0, "the end")
    assert served.stop() == 0
    served.start()
    kept = told(served, run_id)
    assert (kept["state"], kept["result"]) == ("succeeded", {"value": "done"})
    listed = served.get(SOURCE)
    assert (listed["online"], listed["declared"], [item["run_id"] for item in listed["commands"]]) == (
        False,
        [],
        [run_id],
    )
