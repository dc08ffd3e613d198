"""What `send()` costs its caller: one call after the other, at 100 a second (idle), and at 2,500 a second."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.figures import RUNS, median, percentile, table
from bench.house import CLIENT_CORE, Client, House, Measurement, ours, peer, peer_send, pinned
from tests.peers.released import environment_with

RATES = {"back to back": (0, 50_000), "idle, 100/s": (100, 500), "2,500/s": (2_500, 10_000)}
FOXGLOVE, FOXGLOVE_WORKER = "0.30.3", Path(__file__).with_name("foxglove_worker.py")
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def run(house: House, folder: Path, runs: int = RUNS) -> str:
    """Measure and return a Markdown table, microseconds a call."""
    room = max(count for _rate, count in RATES.values()) + 10
    clients = {
        "nothing": ours(room),
        "plexus": ours(room),
        "peer-batch": peer(folder / "peers", room),
        "peer-send": peer_send(folder / "peers", room),
    }
    rows = []
    for label, (rate, count) in RATES.items():
        taken: dict[str, list[list[int]]] = {name: [] for name in clients}
        for turn in range(runs):
            for name, client in clients.items():
                calls = min(count, 2_000) if name == "peer-send" and rate == 0 else count
                taken[name].append(_one(house, client, name, rate, calls, folder, turn))
        foxglove = [_foxglove(folder, rate, count, turn) for turn in range(runs)]
        rows += [_row(label, _title(name, client), taken[name]) for name, client in clients.items()]
        rows.append(_row(label, "foxglove-sdk, `Channel.log`, MCAP", foxglove))
    return table(["rate", "call", *(f"{name}, µs" for name in PERCENTILES)], rows)


def _title(name: str, client: Client) -> str:
    return "empty loop" if name == "nothing" else client.name


def _one(house: House, client: Client, name: str, rate: int, count: int, folder: Path, turn: int) -> list[int]:
    measure = "nothing" if name == "nothing" else "paced"
    source_id = f"cost-{name}-{rate}-{turn}"
    work = Measurement(house, client, source_id, folder / "work", measure=measure, rate=rate, count=count)
    spent: list[int] = work.result()["ns"]
    if measure == "paced":
        stored = house.count(source_id, "imu.accel")
        if stored != count:
            raise AssertionError(f"{client.name}: {count} sent, {stored} stored")
    return spent


def _foxglove(folder: Path, rate: int, count: int, turn: int) -> list[int]:
    python = environment_with("foxglove-sdk", FOXGLOVE, folder / "peers")
    order = {"file": str(folder / f"{rate}-{turn}.mcap"), "count": count, "rate": rate}
    command = [*pinned(CLIENT_CORE), str(python), str(FOXGLOVE_WORKER), json.dumps(order)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    spent: list[int] = json.loads(done.stdout)["ns"]
    return spent


def _row(label: str, name: str, taken: list[list[int]]) -> list[str]:
    shares = [median([percentile(spent, share) for spent in taken]) / 1e3 for share in PERCENTILES.values()]
    return [label, name, *(f"{share:.2f}" for share in shares)]
