"""A gateway that goes and comes back under thousands of devices: all are back within a minute, and nothing is lost.

RECONNECT_SOCKETS devices (500; 10,000 in `make test-faults`), each with one point acknowledged before and one after.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support import plain
from tests.support.gateway import KEY, PATIENCE_S
from tests.support.servers import dead_port

SOCKETS = int(os.environ.get("RECONNECT_SOCKETS", "500"))
BACK_S = 60.0
OWN_DESCRIPTORS = 300


@pytest.fixture(autouse=True)
def room() -> Iterator[None]:
    """Open files for the devices' ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SOCKETS + OWN_DESCRIPTORS
    assert hard == resource.RLIM_INFINITY or wanted <= hard, f"ulimit -Hn must be {wanted} at least"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def serving(data: Path, port: int) -> Iterator[str]:
    """`plexus serve` in a process, until the block ends; yields its address."""
    words = [sys.executable, "-c", "import plexus.cli as c; raise SystemExit(c.main())", "serve"]
    words += ["--data", str(data), "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "PLEXUS_BOOTSTRAP_KEY": KEY}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.stdout.readline().strip().removeprefix("export PLEXUS_URL=")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


class Device:
    """One device's end: it keeps its point until it is acknowledged, and comes back until it is let in."""

    def __init__(self, number: int, url: str) -> None:
        self._name = f"rig-{number:05}"
        self._install_id = f"{number:032x}"
        self._url = url
        self.connection: ClientConnection | None = None

    async def deliver(self, value: int) -> None:
        """Connect, say one point, and hear that it is stored."""
        while True:
            try:
                await self._deliver(value)
            except (OSError, EOFError, asyncio.TimeoutError):
                await asyncio.sleep(0.2)
            else:
                return

    async def _deliver(self, value: int) -> None:
        connection = await connect(self._url + "/ws/device", proxy=None, compression=None, open_timeout=None)
        auth = {"type": "device_auth", "api_key": KEY, "source_id": self._name, "install_id": self._install_id}
        await connection.send(orjson.dumps({**auth, "acks": True}).decode())
        answer = orjson.loads(await connection.recv())
        assert (answer["type"], answer["source_id"]) == ("authenticated", self._name)
        point = {"metric": "a", "value": value, "timestamp": 1_746_969_660_000 + value}
        await connection.send(orjson.dumps({"type": "telemetry", "seq": 1, "points": [point]}).decode())
        assert orjson.loads(await connection.recv()) == {"type": "telemetry_ack", "seq": 1}
        self.connection = connection

    async def away(self) -> None:
        """Wait until the gateway has gone."""
        assert self.connection is not None
        await self.connection.wait_closed()


async def everybody(devices: list[Device], value: int) -> float:
    """All at once; how long it took."""
    began = time.monotonic()
    await asyncio.gather(*(device.deliver(value) for device in devices))
    return time.monotonic() - began


@pytest.mark.timeout(600)
def test_all_are_back_within_a_minute_and_nothing_is_lost(tmp_path: Path) -> None:
    port = dead_port()
    devices = [Device(number, f"ws://127.0.0.1:{port}") for number in range(SOCKETS)]
    with _loop() as run:
        with serving(tmp_path, port):
            first_s = run(everybody(devices, 1))
        run(_gone(devices))
        with serving(tmp_path, port) as url:
            back_s = run(everybody(devices, 2))
            counts = _counts(url)
        run(_gone(devices))
    print(f"{SOCKETS} sockets: {first_s:.1f} s to come, {back_s:.1f} s to come back")  # noqa: T201 - for `make test-faults`
    assert back_s < BACK_S
    assert counts == {device._name: 2 for device in devices}


@contextmanager
def _loop() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """An event loop over several runs: the devices' sockets live in it."""
    loop = asyncio.new_event_loop()
    try:
        yield loop.run_until_complete
    finally:
        loop.close()


async def _gone(devices: list[Device]) -> None:
    await asyncio.gather(*(device.away() for device in devices))


def _counts(url: str) -> dict[str, int]:
    """Points by source, as they are stored."""
    window = {"start": "2025-05-11T13:00:00Z", "end": "2025-05-11T14:00:00Z"}
    with plain.client(base_url=url, headers={"x-api-key": KEY}, timeout=BACK_S) as client:
        answer = client.get("/v1/fleet/metrics", params={"metric": "a", "interval": "1h", **window})
        answer.raise_for_status()
        return {found["source_id"]: sum(found["count"]) for found in answer.json()["sources"]}
