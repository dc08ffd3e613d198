"""A gateway that goes and comes back under thousands of devices: all are back within a minute, and nothing is lost.

RECONNECT_SOCKETS devices (500; 10,000 in `make test-faults`), with some batches acknowledged before and some after.
It goes in good order, when all that was sent is acknowledged; then by `kill -9`, when most of it is not.
"""

from __future__ import annotations

import asyncio
import math
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

import attrs
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests.support import plain
from tests.support.gateway import KEY, PATIENCE_S
from tests.support.servers import dead_port

SOCKETS = int(os.environ.get("RECONNECT_SOCKETS", "500"))
BATCHES, POINTS = 5, 3
"""Batches of a device between two of the gateway's ends, and points of each."""

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


@attrs.frozen
class Gateway:
    """A process and its address."""

    process: subprocess.Popen[str]
    url: str

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can tell."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(data: Path, port: int) -> Iterator[Gateway]:
    """`plexus serve` in a process, until the block ends or it is killed."""
    words = [sys.executable, "-c", "import plexus.cli as c; raise SystemExit(c.main())", "serve"]
    words += ["--data", str(data), "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "PLEXUS_BOOTSTRAP_KEY": KEY}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield Gateway(process, process.stdout.readline().strip().removeprefix("export PLEXUS_URL="))
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


class Tally:
    """Batches that are acknowledged, of all devices; `reached` is set when there are `wanted` of them."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.wanted: float = math.inf
        self.count = 0

    def add(self, count: int) -> None:
        """So many more."""
        self.count += count
        if self.count >= self.wanted:
            self.reached.set()


class Device:
    """One device's end: it keeps its batches until they are acknowledged, and comes back until it is let in.

    A `deaf` one hears no acknowledgement before the tally is reached: it sends again what may be stored.
    """

    def __init__(self, number: int, url: str, tally: Tally) -> None:
        self.name = f"rig-{number:05}"
        self._install_id = f"{number:032x}"
        self._url = url
        self._tally = tally
        self.deaf = False
        self._acknowledged = 0
        self._connection: ClientConnection | None = None

    async def deliver(self, upto: int) -> None:
        """Connect, send the batches up to this one, and hear that they are stored; again until they are."""
        while True:
            try:
                await self._deliver(upto)
            except (OSError, EOFError, asyncio.TimeoutError, ConnectionClosed, InvalidMessage):
                await asyncio.sleep(0.2)
            else:
                return

    async def hang_up(self) -> None:
        """Close the connection."""
        assert self._connection is not None
        await self._connection.close()

    async def away(self) -> None:
        """Wait until the gateway has gone."""
        assert self._connection is not None
        await self._connection.wait_closed()

    async def _deliver(self, upto: int) -> None:
        connection = await connect(self._url + "/ws/device", proxy=None, compression=None, open_timeout=None)
        self._connection = connection
        auth = {"type": "device_auth", "api_key": KEY, "source_id": self.name, "install_id": self._install_id}
        await connection.send(orjson.dumps({**auth, "acks": True, "ext": {"batch": 1}}).decode())
        answer = orjson.loads(await connection.recv())
        assert (answer["type"], answer["source_id"]) == ("authenticated", self.name)
        first = self._acknowledged + 1
        for n in range(first, upto + 1):
            await connection.send(self._batch(n, first))
        if self.deaf and not self._tally.reached.is_set():
            await connection.wait_closed()
            raise EOFError
        while self._acknowledged < upto:
            answer = orjson.loads(await connection.recv())
            assert (answer["type"], answer["stream"]) == ("batch_ack", self._install_id)
            self._tally.add(answer["upto"] - self._acknowledged)
            self._acknowledged = answer["upto"]

    def _batch(self, n: int, base: int) -> str:
        name = {"stream": self._install_id, "n": n, "base": base, "digest": f"{n:x}"}
        points = [{"metric": "a", "value": n, "timestamp": 1_746_969_660_000 + n * POINTS + i} for i in range(POINTS)]
        return orjson.dumps({"type": "telemetry", "batch": name, "points": points}).decode()


async def everybody(devices: list[Device], upto: int) -> float:
    """All at once; how long it took."""
    began = time.monotonic()
    await asyncio.gather(*(device.deliver(upto) for device in devices))
    return time.monotonic() - began


@pytest.mark.timeout(900)
def test_all_are_back_within_a_minute_and_nothing_is_lost(tmp_path: Path) -> None:
    port, tally = dead_port(), Tally()
    devices = [Device(number, f"ws://127.0.0.1:{port}", tally) for number in range(SOCKETS)]
    with _loop() as run:
        with serving(tmp_path, port):
            first_s = run(everybody(devices, BATCHES))
        run(_gone(devices))
        with serving(tmp_path, port) as gateway:
            back_s = run(everybody(devices, 2 * BATCHES))
            assert _counts(gateway.url) == {device.name: 2 * BATCHES * POINTS for device in devices}
            sending = run(_killed_under_load(devices, tally, gateway))
        began = time.monotonic()
        with serving(tmp_path, port) as gateway:
            run(_ended(sending))
            after_kill_s = time.monotonic() - began
            assert _counts(gateway.url) == {device.name: 3 * BATCHES * POINTS for device in devices}
        run(_gone(devices))
    print(  # noqa: T201 - for `make test-faults`
        f"{SOCKETS} sockets: {first_s:.1f} s to come, {back_s:.1f} s to come back, {after_kill_s:.1f} s after a kill"
    )
    assert max(back_s, after_kill_s) < BACK_S


async def _killed_under_load(devices: list[Device], tally: Tally, gateway: Gateway) -> list[asyncio.Task[None]]:
    """All come again and send; the gateway is killed when a third is acknowledged. What they are doing goes on."""
    await asyncio.gather(*(device.hang_up() for device in devices))
    tally.wanted = tally.count + len(devices) * BATCHES // 3
    for device in devices[::3]:
        device.deaf = True
    sending = [asyncio.ensure_future(device.deliver(3 * BATCHES)) for device in devices]
    await tally.reached.wait()
    gateway.kill()
    assert not all(task.done() for task in sending)
    return sending


async def _ended(sending: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*sending)


@contextmanager
def _loop() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """An event loop over several runs: the devices' sockets live in it."""
    loop = asyncio.new_event_loop()
    try:
        yield loop.run_until_complete
    finally:
        loop.run_until_complete(_let_go(asyncio.all_tasks(loop)))
        loop.close()


async def _let_go(left: set[asyncio.Task[Any]]) -> None:
    """End what still goes on, after a failure."""
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _gone(devices: list[Device]) -> None:
    await asyncio.gather(*(device.away() for device in devices))


def _counts(url: str) -> dict[str, int]:
    """Points by source, as they are stored."""
    window = {"start": "2025-05-11T13:00:00Z", "end": "2025-05-11T14:00:00Z"}
    with plain.client(base_url=url, headers={"x-api-key": KEY}, timeout=BACK_S) as client:
        answer = client.get("/v1/fleet/metrics", params={"metric": "a", "interval": "1h", **window})
        answer.raise_for_status()
        return {found["source_id"]: sum(found["count"]) for found in answer.json()["sources"]}
