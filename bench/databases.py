"""The gateway beside InfluxDB, VictoriaMetrics and PostgreSQL: the same points, each on the same one core.

Four connections, ready-made messages, a fifth of the points with tags, every loader on the other core; every message is
answered before its connection sends the next ones that its dialect allows. The gateway is given messages of 1,000
points; each database the size of batch that suits it best of those its documentation advises.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.figures import RUNS, median, table
from bench.house import House
from bench.loads import on_client_core, on_loop, send_all
from bench.neighbours import Influx, Postgres, Victoria
from bench.neighbours.load import CONNECTIONS, METRICS, TAGS, Load, load_of
from bench.rawlink import BINARY, packed
from plexus.protocol import binaryframe
from plexus.protocol.block import Block
from plexus.protocol.columnar import BEST, write_body

POINTS = 1_000
COUNT = 500_000
"""Points of one connection in one run."""
BATCHES: dict[type[Influx | Victoria | Postgres], int] = {Influx: 10_000, Victoria: 10_000, Postgres: 5_000}
"""What was best of 1,000, 5,000 and 10,000."""


def run(house: House, folder: Path, runs: int = RUNS) -> str:
    """Measure and return a Markdown table."""
    with on_client_core():
        return _table(house, folder, runs)


def _table(house: House, folder: Path, runs: int) -> str:
    found = {
        "Plexus, columnar frames of 1,000": [_ours(house, f"columnar-{turn}", columnar=True) for turn in range(runs)],
        "Plexus, JSON frames of 1,000": [_ours(house, f"json-{turn}", columnar=False) for turn in range(runs)],
    }
    for kind, batch in BATCHES.items():
        with kind(folder / kind.__name__) as neighbour:
            figures = [neighbour.write(load_of(f"run{turn}", COUNT // 2), batch) for turn in range(runs)]
        found[f"{neighbour.name}, batches of {batch:,}"] = figures
    rows = [[name, f"{median(figures):,.0f}"] for name, figures in found.items()]
    return table(["taken in on one core, four connections", "points/s, answered"], rows)


def _ours(house: House, name: str, *, columnar: bool) -> float:
    load = load_of(name, COUNT)
    frames = _frames(load, columnar=columnar)
    sources = [load.source(number) for number in range(CONNECTIONS)]
    took = on_loop(send_all(house, sources, frames, {"columnar": 1} if columnar else {}))
    for source in sources:
        stored = sum(house.count(source, f"imu.{axis}") for axis in range(METRICS))
        if stored != COUNT:
            raise AssertionError(f"{COUNT} sent, {stored} stored")
    return load.total / took


def _frames(load: Load, *, columnar: bool) -> list[bytes]:
    points = list(load.points())
    make = _columnar if columnar else _json
    return [make(points[first : first + POINTS], first // POINTS + 1) for first in range(0, len(points), POINTS)]


Points = Sequence[tuple[str, float, int, bool]]


def _json(points: Points, seq: int) -> bytes:
    items = [
        {"class": "metric", "metric": metric, "value": value, "timestamp": ms, **({"tags": TAGS} if tagged else {})}
        for metric, value, ms, tagged in points
    ]
    return packed(json.dumps({"type": "telemetry", "points": items, "seq": seq}, separators=(",", ":")).encode())


def _columnar(points: Points, seq: int) -> bytes:
    metrics, values, times, tagged = zip(*points, strict=True)
    tags = [TAGS if flag else None for flag in tagged]
    block = Block(list(metrics), [ms * 1_000_000 for ms in times], list(values), tags=tags)
    return packed(binaryframe.dump(write_body([block], BEST), seq=seq), BINARY)
