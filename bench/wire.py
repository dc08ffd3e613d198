"""What goes over the socket: samples a second of high-rate blocks, and bytes a point of an IMU's channels.

Against a sink that acknowledges and stores nothing, so that the client is what is measured.
"""

from __future__ import annotations

from pathlib import Path

from bench.figures import RUNS, median, table
from bench.house import House, Measurement, ours
from bench.sink import sink

SAMPLES = 5_000_000
POINTS = 60_000


def run(_house: House, folder: Path, runs: int = RUNS) -> str:
    """Measure and return two Markdown tables."""
    rates, cpus = zip(*[_series(folder, turn) for turn in range(runs)], strict=True)
    blocks = table(
        ["high-rate blocks", "samples/s, acknowledged", "client CPU, ns a sample"],
        [["`send_series`, numpy, 1,000 float64 a block", f"{median(rates):,.0f}", f"{median(cpus):.0f}"]],
    )
    kinds = {"counts of a converter times its scale": None, "values of three decimals": 3}
    rows = []
    for label, decimals in kinds.items():
        for codec in ("columnar", "json"):
            sizes = [_imu(folder, turn, decimals, codec) for turn in range(min(runs, 3))]
            rows.append([label, codec, f"{median(sizes):.2f}"])
    return f"{blocks}\n\n{table(['six channels of an IMU, batches of 1,000', 'codec', 'bytes a point'], rows)}"


def _series(folder: Path, turn: int) -> tuple[float, float]:
    with sink() as stub:
        client = ours(4_000_000)
        name = f"series-{turn}"
        work = Measurement(stub.house, client, name, folder / "work", measure="series", count=SAMPLES, warm=False)
        result = work.result()
    return SAMPLES / result["seconds"], result["cpu_s"] / SAMPLES * 1e9


def _imu(folder: Path, turn: int, decimals: int | None, codec: str) -> float:
    with sink(columnar=codec == "columnar") as stub:
        name = f"imu-{codec}-{decimals or 0}-{turn}"
        client = ours(POINTS + 10)
        work = Measurement(
            stub.house, client, name, folder / "work", measure="imu", count=POINTS, decimals=decimals, warm=False
        )
        result = work.result()
        if not result["flushed"]:
            raise AssertionError(f"{name}: not delivered")
        return stub.counted()["bytes"] / POINTS
