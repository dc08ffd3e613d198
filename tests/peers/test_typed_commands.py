"""A released client that declares typed commands (protocol 1) against our gateway, each as users have it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plexus.gateway import Gateway
from plexus.ports.commandbook import CommandEntry
from tests.peers.released import install
from tests.support.gateway import KEY, http, running
from tests.support.waiting import eventually

pytestmark = pytest.mark.peers

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("typed_driver.py")
VERSIONS = ["0.16.0"]


class Serving:
    """One process that serves until its input ends."""

    def __init__(self, python: Path, home: Path, gateway: Gateway) -> None:
        foreign = ("PLEXUS_", "PYTHON")
        keep = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        hosts = {"PLEXUS_GATEWAY_URL": gateway.url, "PLEXUS_GATEWAY_WS_URL": gateway.ws_url}
        self._home = home
        self._log = (home / "stderr.txt").open("wb")
        self._process = subprocess.Popen(
            [python, DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**keep, **hosts, "PLEXUS_ENDPOINT": gateway.url, "HOME": str(home), "USERPROFILE": str(home)},
            text=True,
        )
        # A peer that hangs must fail the test, not the whole run.
        self._watchdog = threading.Timer(100.0, self._process.kill)
        self._watchdog.start()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"api_key": KEY, "source_id": "rig-01"}) + "\n")
        self._process.stdin.flush()

    def told(self) -> dict[str, Any]:
        """The next line that it wrote."""
        assert self._process.stdout is not None
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def said(self) -> str:
        """What it wrote to its error stream so far."""
        return (self._home / "stderr.txt").read_text(errors="replace")

    def end(self) -> None:
        """End its serving, and the process if that does not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        finally:
            self._watchdog.cancel()
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._log.close()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running() as made:
        yield made


@pytest.fixture(scope="module", params=VERSIONS)
def peer(
    request: pytest.FixtureRequest, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    python = install(str(request.param), ROOT / ".cache" / "peers")
    serving = Serving(python, tmp_path_factory.mktemp("typed-peer"), gateway)
    try:
        assert serving.told() == {"ready": True}
        eventually(lambda: gateway.core.devices.connected("default", "rig-01"), 30.0, "the released client")
        # It connects before it serves, and what comes in between is lost by its own design.
        eventually(lambda: "serving 2 command(s)" in serving.said(), 30.0, "the released client's word that it serves")
        # Its constructor connects: on a busy machine that is done before its program has declared anything.
        if not gateway.core.devices.declared("default", "rig-01")[0]:
            come_back(gateway)
        yield serving
    finally:
        serving.end()


def order(gateway: Gateway, command: str, **params: object) -> str:
    with http(gateway) as reader:
        answer = reader.post("/v1/sources/rig-01/commands", json={"command": command, "params": params})
    body = answer.json()
    assert body["queued"] is True
    return str(body["run_id"])


def come_back(gateway: Gateway) -> None:
    """End the client's connection, and wait until it has another one."""
    gateway.core.sockets.expel(frozenset({socket.key_id for socket in gateway.core.sockets._open}))
    deadline = time.monotonic() + 40.0
    eventually(lambda: not gateway.core.devices.connected("default", "rig-01"), 20.0, "the client's leave")
    eventually(
        lambda: gateway.core.devices.connected("default", "rig-01"), deadline - time.monotonic(), "the client's return"
    )


def ended(gateway: Gateway, run_id: str) -> CommandEntry:
    def found() -> list[CommandEntry]:
        return [run for run in runs(gateway) if run.run_id == run_id and run.state in ("succeeded", "failed")]

    eventually(found, 30.0, f"the end of run {run_id}")
    return found()[0]


def runs(gateway: Gateway) -> list[CommandEntry]:
    """The commands of rig-01, oldest first."""
    return [entry for _number, entry in reversed(gateway.core.devices.book.entries("default", "rig-01"))]


def test_a_run_reaches_the_handler_of_a_released_client_and_succeeds(gateway: Gateway, peer: Serving) -> None:
    run_id = order(gateway, "power_off", outlet=3)
    assert peer.told() == {"command": "power_off", "id": run_id, "outlet": 3}
    run = ended(gateway, run_id)
    assert (run.state, run.result) == ("succeeded", {"outlet": 3, "state": "off"})


def test_what_a_released_client_refuses_is_known_by_its_code(gateway: Gateway, peer: Serving) -> None:
    codes = []
    for command, params in (("power_off", {"outlet": 9}), ("fail", {})):
        codes.append(ended(gateway, order(gateway, command, **params)).error_code)
    assert codes == ["bad_params", "handler_error"]


def test_a_run_is_not_done_twice_by_a_released_client_that_comes_back(gateway: Gateway, peer: Serving) -> None:
    run_id = order(gateway, "power_off", outlet=5)
    assert peer.told()["outlet"] == 5
    ended(gateway, run_id)
    before = runs(gateway)
    # The gateway goes away and comes back to it; what it says after its sync changes nothing that is known.
    come_back(gateway)
    again = order(gateway, "power_off", outlet=6)
    assert peer.told() == {"command": "power_off", "id": again, "outlet": 6}
    assert runs(gateway)[: len(before)] == before
