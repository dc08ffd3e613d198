"""What a reader waits for: a million values as arrays and data frames, the newest values, the import.

The million lies in sealed files behind `plexus serve` on one core; the reader has the other. Beside it, on the same
rows: InfluxDB 1.6 over its own query API into pandas, and the decoder of influxdb-client, with which its
`query_data_frame` makes data frames. That one is given the answer in memory: InfluxDB 1.6 has no API that
influxdb-client speaks, so no server and no network is in its figure.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import httpx
import numpy as np
import pandas as pd
import psutil
from influxdb_client.client.flux_csv_parser import FluxCsvParser, FluxSerializationMode

from bench.figures import RUNS, median, table
from bench.history import END_MS, Plan, build, started
from bench.house import CLIENT_CORE, House, pinned
from bench.neighbours import Influx
from plexus import PlexusAPI
from plexus.api.tables import reading

PLAN = Plan("1 M values of one metric", 1, 1, 100, 1_000_000)
SOURCE, METRIC = "rig-0000", "imu.axis00"
WINDOW: dict[str, Any] = {"start": END_MS - PLAN.points * PLAN.interval_ms - 1_000, "end": END_MS + 1_000}
BATCH = 10_000
CALLS = 200


@attrs.frozen
class Took:
    """Seconds by the clock, of the reader's processor, and of the gateway's."""

    wall: float
    reader: float
    gateway: float

    def cells(self) -> list[str]:
        """As they stand in the table; a server whose processor was not looked at has none."""
        return [f"{self.wall:.2f}", f"{self.reader:.2f}", f"{self.gateway:.2f}" if self.gateway else ""]


def run(house: House, folder: Path, runs: int = RUNS) -> str:  # noqa: ARG001 - it starts its own, on data of its own
    """Measure and return Markdown tables; the reader is a process of its own, on a core of its own."""
    build(PLAN, folder / "reader" / "data")
    with started(folder / "reader") as (own, process, _):
        found = _worker("ours", own.url, own.key, str(runs), str(process.pid))
    with Influx(folder / "influx") as influx:
        _fill(influx)
        found |= _worker("theirs", influx.url, str(runs))
    rows = [[name, *Took(*took).cells()] for name, took in {**found["tables"], **found["neighbours"]}.items()]
    small = [[name, text] for name, text in {**found["calls"], **_imports(runs)}.items()]
    head = ["1 M values of one metric", "s", "s of the reader's processor", "of the gateway's"]
    return table(head, rows) + "\n\n" + table(["what", "ms"], small)


# --- the worker: on its core, with libraries that are loaded before the clock runs -----------------------------------


def _worker(side: str, *arguments: str) -> dict[str, Any]:
    command = [*pinned(CLIENT_CORE), sys.executable, "-m", "bench.reader", side, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _ours(url: str, key: str, runs: str, pid: str) -> dict[str, Any]:
    with PlexusAPI(key, url, timeout=60) as api, httpx.Client(headers={"x-api-key": key}, timeout=60) as client:
        loads: dict[str, Callable[[], int]] = {
            "numpy": lambda: len(api.metrics.load(SOURCE, **WINDOW).to_numpy()[METRIC]["value"]),
            "pandas": lambda: len(api.metrics.load(SOURCE, **WINDOW).to_pandas()),
        }
        tables = {f"Plexus over Arrow, into {into}": _timed(load, int(runs), int(pid)) for into, load in loads.items()}
        _without_arrow()
        tables |= {f"Plexus over JSON, into {into}": _timed(load, int(runs), int(pid)) for into, load in loads.items()}
        path = f"{url}/v1/sources/{SOURCE}/metrics/latest"
        calls = {
            "`httpx.Client.get` of the newest values": _call(lambda: client.get(path).raise_for_status()),
            "`api.metrics.latest()`": _call(lambda: api.metrics.latest(SOURCE)),
        }
    return {"tables": tables, "calls": calls}


def _theirs(url: str, runs: str) -> dict[str, Any]:
    text = _annotated()
    with httpx.Client(base_url=url, timeout=120) as client:
        loads: dict[str, Callable[[], int]] = {
            "InfluxDB 1.6, its CSV over HTTP, `pandas.read_csv`": lambda: _influx_frame(client),
            "influxdb-client's decoder alone, from memory, into pandas": lambda: _flux_frame(text),
        }
        return {"neighbours": {name: _timed(load, int(runs)) for name, load in loads.items()}}


def _timed(load: Callable[[], int], runs: int, pid: int | None = None) -> tuple[float, float, float]:
    gateway = psutil.Process(pid) if pid is not None else None
    load()
    found = []
    for _ in range(runs):
        wall, reader, server = time.perf_counter(), time.process_time(), _processor(gateway)
        count = load()
        found.append((time.perf_counter() - wall, time.process_time() - reader, _processor(gateway) - server))
        if count != PLAN.total:
            raise AssertionError(f"{count} values of {PLAN.total}")
    wall_s, reader_s, gateway_s = (median(column) for column in zip(*found, strict=True))
    return wall_s, reader_s, gateway_s


def _processor(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)


def _call(ask: Callable[[], object]) -> str:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return f"{median(times) * 1e3:.2f}"


def _without_arrow() -> None:
    """As if pyarrow were not installed."""
    reading.accepted = lambda: "application/json"


# --- the neighbours --------------------------------------------------------------------------------------------------


def _columns() -> tuple[Any, Any]:
    turns = np.arange(PLAN.points)
    return PLAN.times(turns, 1), np.round(9.81 + 0.5 * np.sin(turns / 70), 3)


def _fill(influx: Influx) -> None:
    times, values = (column.tolist() for column in _columns())
    with httpx.Client(base_url=influx.url, timeout=120) as client:
        for first in range(0, PLAN.points, BATCH):
            rows = zip(values[first : first + BATCH], times[first : first + BATCH], strict=True)
            text = "\n".join(f"imu,source={SOURCE} value={value!r} {t}" for value, t in rows)
            client.post("/write?db=plexus&precision=ms", content=text).raise_for_status()


def _influx_frame(client: httpx.Client) -> int:
    params = {"db": "plexus", "epoch": "ns", "q": 'SELECT "value" FROM "imu"'}
    answer = client.get("/query", params=params, headers={"accept": "application/csv"}).raise_for_status()
    frame = pd.read_csv(io.BytesIO(answer.content), usecols=["time", "value"])
    return len(frame.set_index(pd.to_datetime(frame["time"], utc=True)))


def _annotated() -> bytes:
    """The rows as InfluxDB 2 answers a Flux query: annotated CSV."""
    head = [
        "#datatype,string,long,dateTime:RFC3339,double,string,string,string",
        "#group,false,false,false,false,true,true,true",
        "#default,_result,,,,,,",
        ",result,table,_time,_value,_field,_measurement,source",
    ]
    times, values = _columns()
    texts = np.datetime_as_string(times.astype("M8[ms]")).tolist()
    rows = (f",,0,{t}Z,{value},value,imu,{SOURCE}" for t, value in zip(texts, values.tolist(), strict=True))
    return "\r\n".join([*head, *rows, "", ""]).encode()


def _flux_frame(text: bytes) -> int:
    parser: Any = FluxCsvParser(io.BytesIO(text), FluxSerializationMode.dataFrame)
    return sum(map(len, parser.generator()))


def _imports(runs: int) -> dict[str, str]:
    code = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"
    found = {}
    for module in ("httpx", "plexus.api"):
        command = [*pinned(CLIENT_CORE), sys.executable, "-c", code.format(module)]
        times = [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(runs + 1)]
        found[f"`import {module}`"] = f"{median(times[1:]) * 1e3:.0f}"
    return found


SIDES: dict[str, Callable[..., dict[str, Any]]] = {"ours": _ours, "theirs": _theirs}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]](*sys.argv[2:])))
