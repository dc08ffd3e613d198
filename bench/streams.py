"""A reader's live stream: 20,000 points a second to one Python consumer, from the socket of a device to the callback.

The loader and the consumer share the client's core. Beside our two clients: what one writes by hand with `websockets`
and `json`, without reconnects, types or a queue.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.figures import RUNS, median, percentile, table
from bench.house import CLIENT_CORE, House, pinned
from bench.loads import on_client_core, on_loop
from bench.rawlink import open_link, packed

POINTS_PER_S, FRAMES_PER_S, SECONDS = 20_000, 100, 10
BOUND_MS = 100.0
SETTLE_S = 1.0

KINDS = {
    "blocking": "`PlexusAPI().metrics.stream`",
    "awaited": "`AsyncPlexusAPI().metrics.stream`",
    "by_hand": "websockets and `json.loads`, by hand",
}


def run(house: House, folder: Path, runs: int = RUNS) -> str:
    """Measure and return a Markdown table."""
    del folder
    with on_client_core():
        found = {kind: [_one(house, kind, f"{kind}-{turn}") for turn in range(runs)] for kind in KINDS}
    rows = [_row(KINDS[kind], results) for kind, results in found.items()]
    head = [
        f"{POINTS_PER_S:,} points/s to one consumer (bound: p99 {BOUND_MS:g} ms)",
        "p50, ms",
        "p99, ms",
        "of a core",
    ]
    return table(head, rows)


def _one(house: House, kind: str, source_id: str) -> dict[str, Any]:
    source_id = source_id.replace("_", "-")
    count = POINTS_PER_S * SECONDS
    arguments = [sys.executable, "-m", "bench.streamworker", kind, house.url, house.key, source_id, str(count)]
    with subprocess.Popen([*pinned(CLIENT_CORE), *arguments], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        if worker.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the consumer {kind} ended with {worker.wait()}")
        time.sleep(SETTLE_S)
        began = time.perf_counter()
        on_loop(_load(house, source_id))
        found: dict[str, Any] = json.loads(worker.stdout.readline())
        return {**found, "wall_s": time.perf_counter() - began}


async def _load(house: House, source_id: str) -> None:
    link = await open_link(house.url, house.key, source_id)
    began, frames = time.perf_counter(), FRAMES_PER_S * SECONDS
    for number in range(frames):
        await asyncio.sleep(max(0.0, began + number / FRAMES_PER_S - time.perf_counter()))
        link.transport.write(packed(_message(number)))
    await link.until(frames)
    link.transport.close()


def _message(number: int) -> bytes:
    now = time.time()
    points = [
        {"class": "metric", "metric": f"imu.{axis % 10}", "value": now, "timestamp": round(now * 1e3 + axis / 1e3, 3)}
        for axis in range(POINTS_PER_S // FRAMES_PER_S)
    ]
    frame = {"type": "telemetry", "points": points, "seq": number + 1}
    return json.dumps(frame, separators=(",", ":")).encode()


def _row(name: str, results: list[dict[str, Any]]) -> list[str]:
    p50, p99 = (median([percentile(one["latencies_us"], share) / 1e3 for one in results]) for share in (0.5, 0.99))
    cpu = median([one["cpu_s"] / one["wall_s"] for one in results])
    return [name, f"{p50:.1f}", f"{p99:.1f}", f"{cpu:.0%}"]
