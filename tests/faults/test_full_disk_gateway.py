"""A gateway on a file system that is full: it says so, loses nothing that it acknowledged, and goes on by itself.

`plexus serve` on a tmpfs in a name space of its own (Linux, `unshare`), over HTTP and over a device's socket. Only
where FULL_DISK_TMPFS=1 asks for it: `make test-faults` does where it is run by root.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from plexus.adapters.store.embedded.checking import check
from tests.support import plain
from tests.support.served import Served
from tests.support.tmpfs import needs_tmpfs, on_tmpfs
from tests.support.waiting import eventually

BALLAST = 60 * 1024 * 1024
IN_A_ROW = 5
PATIENCE_S = 60.0
STREAM = "f" * 32
TRY_AGAIN_LATER = 1013


def points_of(n: int, t0_ms: int) -> list[dict[str, Any]]:
    """The number `n`, and 100 kB of noise."""
    found: list[dict[str, Any]] = [{"metric": "n", "value": n, "timestamp": t0_ms + n}]
    for i in range(99):
        text = os.urandom(500).hex()
        found.append({"metric": f"noise{i}", "class": "metric", "value": text, "timestamp": t0_ms + n})
    return found


class Sender:
    """Sends its batches in order over HTTP, each until it is acknowledged."""

    def __init__(self, client: httpx.Client, t0_ms: int) -> None:
        self._client = client
        self._t0_ms = t0_ms
        self.acknowledged = 0

    def send(self) -> int:
        """The status of the next batch; the same one again after a refusal."""
        n = self.acknowledged + 1
        name = {"stream": STREAM, "n": n, "base": n, "digest": "aa"}
        body = {"source_id": "rig-01", "batch": name, "points": points_of(n, self._t0_ms)}
        answer = self._client.post("/ingest", json=body, headers={"x-plexus-ext": "batch=1"})
        if answer.status_code == 200:
            self.acknowledged = n
        else:
            assert int(answer.headers["retry-after"]) > 0
        return answer.status_code


class Device:
    """The same over a socket."""

    def __init__(self, served: Served, t0_ms: int) -> None:
        self._served = served
        self._t0_ms = t0_ms
        self.acknowledged = 0

    def send_until(self, enough: int) -> int | None:
        """Connect and send until so many are acknowledged (None), or the gateway closes: with what code."""
        address = self._served.url.replace("http", "ws") + "/ws/device"
        with connect(address, proxy=None) as wire:
            try:
                self._converse(wire, enough)
            except ConnectionClosed as exc:
                return 0 if exc.rcvd is None else exc.rcvd.code
        return None

    def _converse(self, wire: ClientConnection, enough: int) -> None:
        auth = {"type": "device_auth", "api_key": self._served.key, "source_id": "rig-02", "install_id": "a" * 32}
        self._ask(wire, {**auth, "acks": True}, "authenticated")
        while self.acknowledged < enough:
            n = self.acknowledged + 1
            frame = {"type": "telemetry", "seq": n, "points": points_of(n, self._t0_ms)}
            self._ask(wire, frame, "telemetry_ack")
            self.acknowledged = n

    def _ask(self, wire: ClientConnection, message: dict[str, Any], wanted: str) -> None:
        """Say something and hear this; whatever else is heard, the gateway closes after it."""
        wire.send(orjson.dumps(message).decode())
        while orjson.loads(wire.recv(PATIENCE_S))["type"] != wanted:
            pass


def live(folder: Path) -> None:
    """Fill the file system under `folder/data`, look at what is said and kept, make room, and look again."""
    ballast, t0_ms = folder / "data" / "ballast", int(time.time() * 1000) - 600_000
    ballast.write_bytes(bytes(BALLAST))
    served = Served(folder, "sealing.points=2000", "log.level=warning")
    with ExitStack() as stack:
        stack.callback(served.kill)
        served.start()
        client = stack.enter_context(
            plain.client(base_url=served.url, headers={"x-api-key": served.key}, timeout=PATIENCE_S)
        )
        sender, device = Sender(client, t0_ms), Device(served, t0_ms)

        def judge() -> None:
            assert served.values("rig-01", "n") == list(range(1, sender.acknowledged + 1))
            assert served.values("rig-02", "n") == list(range(1, device.acknowledged + 1))

        assert device.send_until(1) is None
        fill(sender)
        assert device.send_until(1_000) == TRY_AGAIN_LATER
        assert client.get("/readyz").status_code == 503
        judge()
        ballast.unlink()
        eventually(lambda: sender.send() == 200, PATIENCE_S, "that it takes data again")
        eventually(lambda: client.get("/readyz").status_code == 200, PATIENCE_S, "that it says so")
        assert device.send_until(device.acknowledged + 2) is None
        for _ in range(20):
            assert sender.send() == 200
        judge()
        served.kill()
        served.start()
        judge()
        assert served.stop() == 0
    assert check(folder / "data") == []


def fill(sender: Sender) -> None:
    """Send until it is refused again and again: what is sealed makes room for a while."""
    refused = 0
    while refused < IN_A_ROW:
        status = sender.send()
        assert status in (200, 503)
        assert sender.acknowledged < 2_000, "the disk is never full"
        refused = refused + 1 if status == 503 else 0
    assert sender.acknowledged > 20


ON_TMPFS = """
import sys
from pathlib import Path
from tests.faults import test_full_disk_gateway as test
test.live(Path(sys.argv[1]).parent)
"""


@pytest.mark.timeout(300)
@needs_tmpfs
def test_on_a_full_disk_a_gateway_says_so_loses_nothing_and_goes_on_by_itself(tmp_path: Path) -> None:
    on_tmpfs(tmp_path / "data", 72, ON_TMPFS, timeout_s=280)
