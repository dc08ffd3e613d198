"""What a gateway that is not there costs: `send()` at 2,500 a second, and `close()`.

The released `px.send` is not in the table: it raises out of the call where there is no gateway.
"""

from __future__ import annotations

import socket
from pathlib import Path

from bench.figures import RUNS, median, percentile, table
from bench.house import Client, House, Measurement, ours, peer


def run(_house: House, folder: Path, runs: int = RUNS) -> str:
    """Measure and return a Markdown table."""
    clients = {
        "plexus": (ours(100_000), 5_000),
        "peer-batch": (peer(folder / "peers", 100_000), 5_000),
    }
    rows = []
    for name, (client, count) in clients.items():
        # The released client takes seconds a call, and more for its end, without a gateway: one run says it.
        turns = runs if name == "plexus" else 1
        taken = [_one(client, name, count, folder, turn) for turn in range(turns)]
        p99, worst, close = (median([item[column] for item in taken]) for column in range(3))
        rows.append([client.name, f"{p99:,.1f}", f"{worst:,.0f}", f"{close:.2f}"])
    return table(["client, no gateway", "`send()` p99, µs", "worst, µs", "`close()`, s"], rows)


def _one(client: Client, name: str, count: int, folder: Path, turn: int) -> tuple[float, float, float]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    house = House(f"http://127.0.0.1:{port}", "plx_" + "d" * 43)
    order = {"measure": "paced", "rate": 2_500 if count > 1_000 else 0, "count": count, "warm": False}
    result = Measurement(house, client, f"outage-{name}-{turn}", folder / "work", **order).result()
    spent = result["ns"]
    return percentile(spent, 0.99) / 1e3, spent[-1] / 1e3, result["close_s"]
