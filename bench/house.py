"""The gateway under measurement, and the clients, each a process of its own and each on a core of its own."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx

from tests.peers.released import install

ROOT = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).with_name("worker.py")
PEER = "0.16.0"
GATEWAY_CORE, CLIENT_CORE = 0, 1


@attrs.frozen
class House:
    """A running gateway."""

    url: str
    key: str = attrs.field(repr=False)

    def get(self, path: str, **query: str) -> Any:
        """One answer of the data API, None for a 404."""
        answer = httpx.get(self.url + path, params=query, headers={"x-api-key": self.key}, timeout=60)
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def latest(self, source_id: str, metric: str) -> Any:
        """The newest value of a metric, None when there is none."""
        answer = self.get(f"/v1/sources/{source_id}/metrics/latest")
        return None if answer is None else answer["metrics"].get(metric)

    def count(self, source_id: str, metric: str) -> int:
        """How many values of a metric are stored."""
        answer = self.get(f"/v1/sources/{source_id}/metrics/query", metrics=metric, last="1d", interval="1h")
        return sum(sum(series["count"]) for series in answer["series"].values())

    def wait_for(self, source_id: str, metric: str, value: float, timeout: float = 120.0) -> float:
        """The time (seconds since 1970) at which `value` was seen as the newest of a metric."""
        end = time.monotonic() + timeout
        while self.latest(source_id, metric) != value:
            if time.monotonic() > end:
                raise TimeoutError(f"{source_id} {metric} did not reach {value} within {timeout:g} s")
            time.sleep(0.02)
        return time.time()


@contextmanager
def gateway(folder: Path) -> Iterator[House]:
    """`plexus serve` with its embedded store, pinned to one core where the system can do that."""
    key = "plx_" + secrets.token_urlsafe(32)
    environment = {
        **os.environ,
        "PLEXUS_BOOTSTRAP_KEY": key,
        "PLEXUS_HOME": str(folder / "home"),
        "PYTHONUNBUFFERED": "1",
    }
    command = [
        *pinned(GATEWAY_CORE),
        str(Path(sys.executable).with_name("plexus")),
        "serve",
        "--port",
        "0",
        "--data",
        str(folder / "data"),
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield House(_url_of(process), key)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"http://[0-9.]+:[0-9]+", line)
        if found:
            return found.group()
    raise RuntimeError("the gateway ended before it said its address")


def pinned(core: int) -> list[str]:
    """What to put before a command so that it stays on one core, where the system can do that."""
    return ["taskset", "-c", str(core)] if sys.platform == "linux" and (os.cpu_count() or 1) > 1 else []


@attrs.frozen
class Client:
    """A client under measurement. `batch` holds the arguments of `px.batch`, None to call `px.send`."""

    name: str
    python: Path
    batch: dict[str, Any] | None = None
    arguments: dict[str, Any] = attrs.field(factory=dict)
    codec: str = ""


def ours(count: int, *, codec: str = "") -> Client:
    """This checkout's client with room for `count` points; `codec` is "json", or "" for what it agrees on."""
    name = f"Plexus (this checkout), `send`{', JSON' if codec else ''}"
    return Client(name, Path(sys.executable), None, {"max_buffer_size": count}, codec)


def peer(folder: Path, count: int) -> Client:
    """plexus-python 0.16.0 in its best documented mode."""
    python = install(PEER, folder)
    return Client(f"plexus-python {PEER}, `px.batch`", python, {"max_pending": count}, {})


def peer_send(folder: Path, count: int) -> Client:
    """The same release's `send`, a frame a call, for the cost to the caller."""
    return Client(f"plexus-python {PEER}, `send`", install(PEER, folder), None, {"max_buffer_size": count})


class Measurement:
    """One worker process: warmed up when made (but for `warm=False`), told to go on by `proceed`."""

    def __init__(self, house: House, client: Client, source_id: str, folder: Path, **order: Any) -> None:
        home = folder / source_id
        home.mkdir(parents=True)
        self.house, self.source_id = house, source_id
        ws_url = house.url.replace("http", "ws", 1)
        environment = {
            **os.environ,
            "HOME": str(home),
            "PLEXUS_HOME": str(home / ".plexus"),
            "PLEXUS_QUIET": "1",
            "PLEXUS_GATEWAY_URL": house.url,
            "PLEXUS_GATEWAY_WS_URL": ws_url,
            "PLEXUS_ENDPOINT": house.url,
        }
        details = {
            "api_key": house.key,
            "source_id": source_id,
            "arguments": client.arguments,
            "batch": client.batch,
            "codec": client.codec,
            **order,
        }
        command = [*pinned(CLIENT_CORE), str(client.python), str(WORKER), json.dumps(details)]
        self._process = subprocess.Popen(
            command, cwd=home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.line()
        if order.get("warm", True):
            house.wait_for(source_id, "warm.up", 1.0)
        self.proceed()

    def proceed(self) -> None:
        """Let the worker go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def line(self) -> str:
        """The worker's next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker for {self.source_id} ended with {self._process.wait()}")
        return line

    def result(self) -> dict[str, Any]:
        """The worker's result, once it has ended."""
        result: dict[str, Any] = json.loads(self.line())
        self._process.communicate(timeout=120)
        return result
