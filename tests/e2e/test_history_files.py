"""The history's files of a gateway that runs, read by pandas and polars in processes of their own, as the page says."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.served import Served
from tests.support.waiting import eventually

ROUNDS, A_ROUND = 2, 30
WITH = {
    "pandas": (
        "import pandas as pd\n"
        "frame = pd.read_parquet(folder, filters=[('metric', '==', 'imu.x'), ('source', '==', 'rig-01')])\n"
        "values = frame.sort_values('t')['value'].tolist()\n"
    ),
    "polars": (
        "import polars as pl\n"
        "points = pl.scan_parquet(folder + '/**/*.parquet', hive_partitioning=True)\n"
        "frame = points.filter(pl.col('metric') == 'imu.x', pl.col('source') == 'rig-01').sort('t').collect()\n"
        "values = frame['value'].to_list()\n"
    ),
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    gateway = Served(tmp_path, "sealing.after_s=0.05").start()
    yield gateway
    gateway.kill()


def send(served: Served, first: int, t0_ms: int) -> None:
    """Thirty points of one metric among those of others."""
    points = [
        {"metric": metric, "value": n + 0.5, "timestamp": t0_ms + n}
        for n in range(first, first + A_ROUND)
        for metric in ("imu.x", "imu.y")
    ]
    for source_id in ("rig-01", "rig-02"):
        served.post("/ingest", {"source_id": source_id, "points": points})


def read(tool: str, folder: Path) -> list[float]:
    """The values of `imu.x` of `rig-01`, in time; none when a file was merged with others while it was looked for."""
    script = f"import json, sys\nfolder = sys.argv[1]\n{WITH[tool]}print(json.dumps(values))\n"
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60)
    if "No such file" in done.stderr:
        return []
    assert done.returncode == 0, done.stderr
    values: list[float] = json.loads(done.stdout)
    return values


@pytest.mark.parametrize("tool", WITH)
def test_another_process_reads_them_while_the_gateway_runs(served: Served, tool: str) -> None:
    folder, t0_ms = served.folder / "data" / "history" / "points", int(time.time() * 1000) - 60_000
    for number in range(ROUNDS):
        before = set(folder.glob("*/*.parquet"))
        send(served, number * A_ROUND, t0_ms)
        eventually(lambda before=before: set(folder.glob("*/*.parquet")) - before, 30.0, "a sealed file")  # type: ignore[misc]
    # Its last points may be in two files of which the second is not there yet.
    owed = [n + 0.5 for n in range(ROUNDS * A_ROUND)]
    eventually(lambda: read(tool, folder) == owed, 30.0, "everything in files")
    # It did not mind, and goes on.
    send(served, ROUNDS * A_ROUND, t0_ms)
    assert served.values("rig-01", "imu.x") == [*owed, *(n + 0.5 for n in range(len(owed), len(owed) + A_ROUND))]
    assert served.stop() == 0
