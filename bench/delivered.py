"""Points a second from `send()` to stored and acknowledged: the client on one core, the gateway on the other."""

from __future__ import annotations

import json
from pathlib import Path

from bench.figures import RUNS, median, table
from bench.house import Client, House, Measurement, ours, peer

COUNT = 200_000


def run(house: House, folder: Path, runs: int = RUNS, count: int = COUNT) -> str:
    """Measure and return a Markdown table."""
    clients = {"plexus": ours(count + 10), "peer": peer(folder / "peers", count + 10)}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
    for turn in range(runs):
        for name, client in clients.items():
            taken[name].append(_one(house, client, f"delivered-{name}-{turn}", folder, count))
    rows = [
        [
            client.name,
            f"{median([rate for rate, _cpu in taken[name]]):,.0f}",
            f"{median([cpu for _rate, cpu in taken[name]]):.2f}",
        ]
        for name, client in clients.items()
    ]
    return table(["client", "points/s, stored and durable", "client CPU, µs a point"], rows)


def _one(house: House, client: Client, source_id: str, folder: Path, count: int) -> tuple[float, float]:
    work = Measurement(house, client, source_id, folder / "work", measure="delivered", count=count)
    times = json.loads(work.line())
    stored_at = house.wait_for(source_id, "load.value", count - 1)
    work.proceed()
    result = work.result()
    stored = house.count(source_id, "load.value")
    if stored != count:
        raise AssertionError(f"{client.name}: {count} sent, {stored} stored")
    return count / (stored_at - times["started"]), result["cpu_s"] / count * 1e6
