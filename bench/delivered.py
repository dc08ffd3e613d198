"""Points a second from `send()` to stored and acknowledged: the client on one core, the gateway on the other."""

from __future__ import annotations

import json
from pathlib import Path

from bench.figures import RUNS, median, table
from bench.house import Client, House, Measurement, ours, peer

COUNT = 300_000
STEADY = 100_000


def run(house: House, folder: Path, runs: int = RUNS, count: int = COUNT) -> str:
    """Measure and return a Markdown table."""
    clients = {
        "columnar": ours(count + 10),
        "json": ours(count + 10, codec="json"),
        "peer": peer(folder / "peers", count + 10),
    }
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in clients}
    for turn in range(runs):
        for name, client in clients.items():
            rate, cpu = _one(house, client, f"delivered-{name}-{turn}", folder, count)
            taken[name].append((rate, cpu, _steady(house, client, f"steady-{name}-{turn}", folder)))
    rows = [
        [
            client.name,
            f"{_middle(taken[name], 0):,.0f}",
            f"{_middle(taken[name], 1):.2f}",
            f"{_middle(taken[name], 2):.2f}",
        ]
        for name, client in clients.items()
    ]
    head = ["client", "points/s, stored and durable", "client CPU, µs a point", "the same at 25,000 points/s"]
    return table(head, rows)


def _middle(taken: list[tuple[float, float, float]], column: int) -> float:
    return median([item[column] for item in taken])


def _one(house: House, client: Client, source_id: str, folder: Path, count: int) -> tuple[float, float]:
    work = Measurement(house, client, source_id, folder / "work", measure="delivered", count=count)
    times = json.loads(work.line())
    stored_at = house.wait_for(source_id, "load.value", count - 1)
    work.proceed()
    result = work.result()
    _check(house, client, source_id, "load.value", count)
    return count / (stored_at - times["started"]), result["cpu_s"] / count * 1e6


def _steady(house: House, client: Client, source_id: str, folder: Path) -> float:
    work = Measurement(house, client, source_id, folder / "work", measure="steady", count=STEADY)
    work.line()
    house.wait_for(source_id, "imu.channel9", (STEADY - 1) * 0.5)
    work.proceed()
    result = work.result()
    _check(house, client, source_id, "imu.channel9", STEADY // 10)
    return float(result["cpu_s"]) / STEADY * 1e6


def _check(house: House, client: Client, source_id: str, metric: str, count: int) -> None:
    stored = house.count(source_id, metric)
    if stored != count:
        raise AssertionError(f"{client.name}: {count} sent, {stored} stored")
