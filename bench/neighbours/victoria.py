"""VictoriaMetrics: answers from memory and flushes within seconds, so what it answered may be lost in a power cut."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType

import httpx

from bench.neighbours import lines
from bench.neighbours.load import Load
from bench.neighbours.process import ServerProcess, free_port, need

SEEN_S = 60.0


class Victoria:
    """A server over `folder`; `with` starts and stops it."""

    name = "VictoriaMetrics, line protocol (not flushed)"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._port = free_port()
        self._command = [
            need("victoria-metrics", "victoria-metrics"),
            f"-storageDataPath={folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self._port}",
            "-retentionPeriod=12",
            "-loggerLevel=ERROR",
        ]
        self._folder = folder
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=120)

    def __enter__(self) -> Victoria:
        self._server = ServerProcess(self._command, self._folder)
        self._server.wait_until(self._answers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()
        self._server.stop()

    def write(self, load: Load, batch: int) -> float:
        """Points a second, answered; raises when not all of them can be read a while later."""
        took = lines.write_all(self._port, "/write?precision=ms", lines.bodies(load, batch))
        self._client.get("/internal/force_flush").raise_for_status()
        end = time.monotonic() + SEEN_S
        while (stored := self._stored(load)) != load.total:
            if time.monotonic() > end:
                raise AssertionError(f"{load.total} sent, {stored} stored")
            time.sleep(0.5)
        return load.total / took

    def _stored(self, load: Load) -> int:
        """The number of samples, counted by the export: PromQL has no exact count over a window."""
        match = f'{{source=~"{load.run}-.*"}}'
        answer = self._client.get("/api/v1/export", params={"match[]": match, "start": load.start_ms / 1000 - 10})
        answer.raise_for_status()
        return sum(len(json.loads(line)["values"]) for line in answer.iter_lines())

    def _answers(self) -> bool:
        try:
            return self._client.get("/health").status_code < 300
        except httpx.TransportError:
            return False
