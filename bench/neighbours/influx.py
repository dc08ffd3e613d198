"""InfluxDB 1.6: flushes its log before it answers (`wal-fsync-delay = "0s"`, its default)."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from bench.neighbours import lines
from bench.neighbours.load import Load
from bench.neighbours.process import ServerProcess, free_port, need

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{meta}"
[meta]
  dir = "{folder}/meta"
  logging-enabled = false
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  wal-fsync-delay = "0s"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  max-body-size = 0
"""


class Influx:
    """A server over `folder`; `with` starts and stops it."""

    name = "InfluxDB 1.6, line protocol"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        config = folder / "influxdb.conf"
        config.write_text(CONFIG.format(folder=folder, port=self.port, meta=free_port()))
        self._command = [need("influxd", "influxdb"), "-config", str(config)]
        self._folder = folder
        self.url = f"http://127.0.0.1:{self.port}"
        self._client = httpx.Client(base_url=self.url, timeout=120)

    def __enter__(self) -> Influx:
        self._server = ServerProcess(self._command, self._folder)
        self._server.wait_until(self._answers)
        self._client.post("/query", params={"q": "CREATE DATABASE plexus"}).raise_for_status()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()
        self._server.stop()

    def write(self, load: Load, batch: int) -> float:
        """Points a second, stored and answered; raises when not all of them are there."""
        took = lines.write_all(self.port, "/write?db=plexus&precision=ms", lines.bodies(load, batch))
        stored = sum(
            int(
                self.ask(f'SELECT count("value") FROM "imu.{metric}" WHERE "source" =~ /^{load.run}-/')[0]["values"][0][
                    1
                ]
            )
            for metric in range(10)
        )
        if stored != load.total:
            raise AssertionError(f"{load.total} sent, {stored} stored")
        return load.total / took

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of one query."""
        return self.timed(query)[0]

    def timed(self, query: str) -> tuple[list[dict[str, Any]], float]:
        """The same, and the seconds from the request to the answer's last byte."""
        began = time.perf_counter()
        answer = self._client.get("/query", params={"db": "plexus", "epoch": "ms", "q": query})
        took = time.perf_counter() - began
        found: list[dict[str, Any]] = answer.raise_for_status().json()["results"][0].get("series", [])
        return found, took

    def _answers(self) -> bool:
        try:
            return self._client.get("/ping").status_code < 300
        except httpx.TransportError:
            return False
