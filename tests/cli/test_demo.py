from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plexus import PlexusAPI
from plexus.cli.machine import source_name
from plexus.gateway import Gateway
from tests.support.served import Served
from tests.support.waiting import eventually

PLEXUS = Path(sys.executable).with_name("plexus.exe" if sys.platform == "win32" else "plexus")
SOURCE = source_name()


class Demo:
    """`plexus demo --json` in a process; `readings` are what it printed so far."""

    def __init__(self, *words: str, **variables: str) -> None:
        self._process = subprocess.Popen(
            [PLEXUS, "demo", "--json", "--every", "0.2", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        self.readings: list[dict[str, Any]] = []
        self.said = ""
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._listen)]
        for thread in self._threads:
            thread.start()

    def samples(self) -> list[int]:
        return [reading["value"] for reading in self.readings if reading["metric"] == "demo.sample"]

    def has_shown(self, samples: int) -> None:
        eventually(lambda: len(self.samples()) >= samples, 60.0, f"{samples} samples; it said: {self.said}")

    def end(self, how: signal.Signals | None = None) -> int:
        if how is not None:
            self._process.send_signal(how)
        code = self._process.wait(timeout=60)
        for thread in self._threads:
            thread.join(10)
        return code

    def destroy(self) -> None:
        self._process.kill()
        self.end()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.readings.append(json.loads(line))

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said += line


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    started: list[Demo] = []
    yield started
    for demo in started:
        demo.destroy()


def test_it_ends_by_itself_and_shows_every_reading(demos: list[Demo], tmp_path: Path) -> None:
    demo = Demo("--seconds", "1", "--data", str(tmp_path))
    demos.append(demo)
    assert demo.end() == 0
    assert demo.samples() == list(range(1, len(demo.samples()) + 1))
    assert len(demo.samples()) >= 2
    metrics = {reading["metric"] for reading in demo.readings}
    assert {"cpu.percent", "memory.percent", "process.count"} <= metrics
    assert f"sent {len(demo.readings)} readings" in demo.said
    assert "this is the first run" in demo.said


def test_the_next_start_finds_what_was_there_after_kill_9(demos: list[Demo], tmp_path: Path) -> None:
    first = Demo("--data", str(tmp_path))
    demos.append(first)
    first.has_shown(2)
    first.end(signal.SIGKILL)
    second = Demo("--seconds", "0.5", "--data", str(tmp_path))
    demos.append(second)
    assert second.end() == 0
    found = int(second.said.partition("found ")[2].split()[0])
    assert found >= len(first.readings)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_it_cleanly(demos: list[Demo], tmp_path: Path, how: signal.Signals) -> None:
    demo = Demo("--data", str(tmp_path))
    demos.append(demo)
    demo.has_shown(1)
    assert demo.end(how) == 0
    assert "Traceback" not in demo.said
    assert demo.samples() == list(range(1, len(demo.samples()) + 1))


def test_its_key_is_kept_for_the_owner_only(demos: list[Demo], tmp_path: Path) -> None:
    demo = Demo("--seconds", "0.5", "--data", str(tmp_path / "demo"))
    demos.append(demo)
    demo.end()
    config = tmp_path / "demo" / "config.json"
    key = json.loads(config.read_text())["api_key"]
    assert key not in demo.said
    if os.name == "posix":
        assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_it_uses_a_gateway_that_runs_and_sends_through_its_restart(demos: list[Demo], tmp_path: Path) -> None:
    served = Served(tmp_path).start()
    try:
        demo = Demo("--no-gateway", PLEXUS_URL=served.url, PLEXUS_API_KEY=served.key)
        demos.append(demo)
        demo.has_shown(2)
        served.stop()
        eventually(lambda: "connection lost" in demo.said, 30.0, f"the loss; it said: {demo.said}")
        served.start()
        looks = max(demo.samples()) + 5
        eventually(lambda: set(range(1, looks)) <= set(demo.samples()), 60.0, f"look {looks}; it said: {demo.said}")
        assert demo.end(signal.SIGINT) == 0
        stored = served.values(SOURCE, "demo.sample")
        # Every look, those while the gateway was away too, once and in order.
        assert stored == list(range(1, stored[-1] + 1))
        assert sorted(demo.samples()) == stored
    finally:
        served.kill()


def test_a_gateway_that_is_not_there_is_one_line(demos: list[Demo]) -> None:
    demo = Demo("--no-gateway", PLEXUS_URL="http://127.0.0.1:1", PLEXUS_API_KEY="plx_any_key_will_do_here")
    demos.append(demo)
    assert demo.end() == 1
    assert "127.0.0.1:1 refuses connections" in demo.said
    assert "Traceback" not in demo.said


def test_a_machine_whose_name_is_taken_shows_its_own_readings(demos: list[Demo], tmp_path: Path) -> None:
    with Gateway() as gateway:
        variables = {"PLEXUS_URL": gateway.url, "PLEXUS_API_KEY": gateway.api_key}
        first = Demo("--no-gateway", PLEXUS_HOME=str(tmp_path / "a"), **variables)
        demos.append(first)
        first.has_shown(1)
        second = Demo("--no-gateway", PLEXUS_HOME=str(tmp_path / "b"), **variables)
        demos.append(second)
        second.has_shown(2)
        assert {reading["source_id"] for reading in second.readings} == {f"{SOURCE}_2"}
        assert second.end(signal.SIGINT) == 0
        assert first.end(signal.SIGINT) == 0


def test_a_directory_that_another_gateway_holds_is_one_line(demos: list[Demo], tmp_path: Path) -> None:
    with Gateway(tmp_path / "gateway"):
        demo = Demo("--data", str(tmp_path))
        demos.append(demo)
        assert demo.end() == 1
    assert str(tmp_path / "gateway") in demo.said
    assert "Traceback" not in demo.said


def test_what_happened_is_recorded_as_events(demos: list[Demo], tmp_path: Path) -> None:
    served = Served(tmp_path).start()
    try:
        demo = Demo("--no-gateway", "--seconds", "0.5", PLEXUS_URL=served.url, PLEXUS_API_KEY=served.key)
        demos.append(demo)
        assert demo.end() == 0
        with PlexusAPI(served.key, served.url) as api:
            assert [event.name for event in api.events.list(SOURCE, name="demo.started")] == ["demo.started"]
    finally:
        served.kill()
