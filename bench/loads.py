"""What the gateway carries on one core: throughput in two codecs, a thousand devices, and how soon it acknowledges.

Frames are made beforehand, so the loader on the other core costs little; what was sent is read back and must be equal.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import httpx
import psutil

from bench.asker import READERS, ROWS
from bench.figures import RUNS, median, percentile, table
from bench.house import CLIENT_CORE, House
from bench.rawlink import BINARY, RawLink, open_link, packed
from plexus.protocol import binaryframe, columnar
from plexus.protocol.block import Block

uvloop: Any
try:
    import uvloop
except ImportError:
    # There is none for Windows.
    uvloop = None

_T = TypeVar("_T")

CONNECTIONS, FRAMES, POINTS, WINDOW = 4, 200, 1_000, 32
METRICS = [f"imu.{axis}" for axis in range(10)]
DEVICES, DEVICE_HZ, DEVICES_S = 1_000, 10, 10
STEADY_SOCKETS, STEADY_POINTS, STEADY_FRAME, STEADY_S = 16, 50_000, (50, 100), 8
SEALED_POINTS, SEALED_S = 150_000, 20
"""Enough to be sealed three times on the way: every million points are."""
TEXTS = 5_000
"""Texts a message."""
TICK_S = 0.002
"""So much too early is early enough: a timer costs the loader more than a frame."""
PAUSE_S = 0.5
"""Before a load, so that the last one's housekeeping is over."""


@attrs.frozen
class Acked:
    """How a load went: seconds from a frame's way out to its acknowledgement, ascending, and the gateway's CPU."""

    latencies_us: list[int]
    cpu: float

    def row(self, name: str) -> list[str]:
        """As a table has it."""
        p50, p99 = (percentile(self.latencies_us, share) / 1000 for share in (0.5, 0.99))
        return [name, f"{p50:.1f}", f"{p99:.1f}", f"{self.latencies_us[-1] / 1000:.1f}", f"{self.cpu:.0%}"]


def run(house: House, folder: Path, runs: int = RUNS) -> str:  # noqa: ARG001 - the shape of every benchmark
    """Measure and return Markdown tables."""
    with on_client_core():
        json_rates = [_throughput(house, f"loads-json-{turn}", _json_frames, {}) for turn in range(runs)]
        columnar_rates = [
            _throughput(house, f"loads-columnar-{turn}", _columnar_frames, {"columnar": 1}) for turn in range(runs)
        ]
        devices = [_devices(house, turn) for turn in range(runs)]
        steady = [_steady(house, f"loads-steady-{turn}", STEADY_POINTS, STEADY_S) for turn in range(runs)]
        sealed = [_steady(house, f"loads-sealed-{turn}", SEALED_POINTS, SEALED_S) for turn in range(runs)]
        with _readers(house):
            asked = [_steady(house, f"loads-asked-{turn}", STEADY_POINTS, STEADY_S) for turn in range(runs)]
    rates = [
        [f"JSON, frames of {POINTS:,} points, {CONNECTIONS} sockets, a fifth with tags", f"{median(json_rates):,.0f}"],
        ["the same in columnar frames", f"{median(columnar_rates):,.0f}"],
    ]
    waits = [
        _middle(devices).row(f"{DEVICES:,} devices, {DEVICE_HZ} points/s each, a frame a point"),
        _middle(steady).row(f"{STEADY_POINTS:,} points/s in frames of {STEADY_FRAME[0]} to {STEADY_FRAME[1]}"),
        _middle(sealed).row(f"{SEALED_POINTS:,} points/s for {SEALED_S} s, sealed every million points meanwhile"),
        _middle(asked).row(f"{STEADY_POINTS:,} points/s beside {READERS} readers of {ROWS:,} texts at a time"),
    ]
    return "\n\n".join(
        (
            table(["load on one core", "points/s, stored and acknowledged"], rates),
            table(["load on one core", "ack p50, ms", "ack p99, ms", "the slowest, ms", "of the core"], waits),
        )
    )


def _middle(runs: list[Acked]) -> Acked:
    return sorted(runs, key=lambda one: percentile(one.latencies_us, 0.99))[len(runs) // 2]


# --- throughput ----------------------------------------------------------------------------------------------------


def _throughput(house: House, name: str, make: Callable[[], list[bytes]], ext: dict[str, int]) -> float:
    sources = [f"{name}-{number}" for number in range(CONNECTIONS)]
    frames = make()
    took = on_loop(send_all(house, sources, frames, ext))
    for source in sources:
        _check(house, source, FRAMES * POINTS)
    return CONNECTIONS * FRAMES * POINTS / took


async def send_all(house: House, sources: list[str], frames: list[bytes], ext: dict[str, int]) -> float:
    """Seconds until the same frames of every source are stored and acknowledged."""
    links = [await open_link(house.url, house.key, source, ext) for source in sources]
    await asyncio.sleep(PAUSE_S)
    began = time.perf_counter()
    await asyncio.gather(*(link.send_all(frames, WINDOW) for link in links))
    took = time.perf_counter() - began
    _leave(links)
    return took


def _rows(count: int = FRAMES * POINTS) -> Iterator[list[tuple[str, int, float, dict[str, str] | None]]]:
    """Frame by frame: name, time in ms, value, tags."""
    now = int(time.time() * 1000) - count // 10
    tags = {"part": "left", "unit": "g"}
    for first in range(0, count, POINTS):
        yield [
            (METRICS[index % 10], now + index // 10, index * 0.001, tags if index % 5 == 0 else None)
            for index in range(first, first + POINTS)
        ]


def _json_frames() -> list[bytes]:
    return [packed(_json_message(rows, seq)) for seq, rows in enumerate(_rows(), start=1)]


def _json_message(rows: list[tuple[str, int, float, dict[str, str] | None]], seq: int) -> bytes:
    points = [
        {"class": "metric", "metric": metric, "value": value, "timestamp": ms} | ({"tags": tags} if tags else {})
        for metric, ms, value, tags in rows
    ]
    return json.dumps({"type": "telemetry", "points": points, "seq": seq}, separators=(",", ":")).encode()


def _columnar_frames() -> list[bytes]:
    frames = []
    for seq, rows in enumerate(_rows(), start=1):
        metric, ms, value, tags = map(list, zip(*rows, strict=True))
        block = Block(metric, [stamp * 1_000_000 for stamp in ms], value, tags=tags)
        body = columnar.write_body([block], columnar.BEST)
        frames.append(packed(binaryframe.dump(body, seq=seq), BINARY))
    return frames


# --- acknowledgements ------------------------------------------------------------------------------------------------


def _devices(house: House, turn: int) -> Acked:
    count = DEVICE_HZ * DEVICES_S
    now = int(time.time() * 1000)
    frames = [packed(_json_message([("load", now + seq, float(seq), None)], seq)) for seq in range(1, count + 1)]
    sources = [f"loads-device-{turn}-{number}" for number in range(DEVICES)]
    acked = on_loop(_paced(house, sources, [frames] * DEVICES, 1 / DEVICE_HZ))
    for source in (sources[0], sources[DEVICES // 2], sources[-1]):
        _check(house, source, count, ["load"])
    return acked


def _steady(house: House, name: str, points_s: int, seconds: int) -> Acked:
    per_frame = sum(STEADY_FRAME) / len(STEADY_FRAME)
    period = STEADY_SOCKETS * per_frame / points_s
    rows = [row for part in _rows(round(points_s * seconds / STEADY_SOCKETS) + POINTS) for row in part]
    frames, at = [], 0
    for seq in range(1, int(seconds / period) + 1):
        size = STEADY_FRAME[seq % 2]
        frames.append(packed(_json_message(rows[at : at + size], seq)))
        at += size
    sources = [f"{name}-{number}" for number in range(STEADY_SOCKETS)]
    acked = on_loop(_paced(house, sources, [frames] * STEADY_SOCKETS, period))
    for source in sources:
        _check(house, source, at)
    return acked


async def _paced(house: House, sources: list[str], frames: list[list[bytes]], period: float) -> Acked:
    """Every source sends a frame each `period` seconds, all of them spread over it."""
    links = [await open_link(house.url, house.key, source) for source in sources]
    await asyncio.sleep(PAUSE_S)
    gateway = process_of(house)
    cpu, began = cpu_of(gateway), time.perf_counter()
    paces = [_Pace(link, own) for link, own in zip(links, frames, strict=True)]
    for number in range(len(frames[0]) * len(paces)):
        due = began + PAUSE_S + period * number / len(paces) - time.perf_counter()
        if due > TICK_S:
            await asyncio.sleep(due)
        paces[number % len(paces)].send()
    await asyncio.gather(*(link.until(len(own)) for link, own in zip(links, frames, strict=True)))
    share = (cpu_of(gateway) - cpu) / (time.perf_counter() - began - PAUSE_S)
    _leave(links)
    return Acked(sorted(one for pace in paces for one in pace.latencies_us), share)


class _Pace:
    """One source that sends a frame when it is told to, and knows how long each took to be acknowledged."""

    def __init__(self, link: RawLink, frames: list[bytes]) -> None:
        self._link = link
        self._frames = iter(frames)
        self._sent: list[float] = []
        self.latencies_us: list[int] = []
        link.on_ack = self._acknowledged

    def send(self) -> None:
        self._sent.append(time.perf_counter())
        self._link.transport.write(next(self._frames))

    def _acknowledged(self, seq: int) -> None:
        now = time.perf_counter()
        self.latencies_us.extend(int((now - at) * 1e6) for at in self._sent[len(self.latencies_us) : seq])


@contextmanager
def _readers(house: House) -> Iterator[None]:
    """While this lasts, large questions are answered all the time."""
    source, now = "loads-texts", int(time.time() * 1000)
    with httpx.Client(headers={"x-api-key": house.key}, timeout=60, trust_env=False) as client:
        for first in range(0, ROWS, TEXTS):
            points = [
                {"class": "metric", "metric": "state", "value": f"state {index}", "timestamp": now - ROWS + index}
                for index in range(first, first + TEXTS)
            ]
            client.post(f"{house.url}/ingest", json={"source_id": source, "points": points}).raise_for_status()
    asker = [sys.executable, "-m", "bench.asker", house.url, house.key, source]
    with subprocess.Popen(asker, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
            assert process.poll() is None, "the readers gave up"
        finally:
            process.kill()


# --- around it ------------------------------------------------------------------------------------------


def _check(house: House, source: str, count: int, metrics: list[str] = METRICS) -> None:
    stored = sum(house.count(source, metric) for metric in metrics)
    if stored != count:
        raise AssertionError(f"{source}: {count} sent and acknowledged, {stored} stored")


def _leave(links: list[RawLink]) -> None:
    for link in links:
        link.transport.close()


def process_of(house: House) -> psutil.Process:
    """The gateway's process, found by its port."""
    port = int(house.url.rpartition(":")[2])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise RuntimeError("no process listens on the gateway's port")


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def on_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Run on the fastest loop that there is: the loader is to cost as little as it can."""
    loop = asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()
    try:
        result: _T = loop.run_until_complete(work)
    finally:
        loop.close()
    return result


@contextmanager
def on_client_core() -> Iterator[None]:
    """The loader stays away from the gateway's core, where the system can do that."""
    if not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CLIENT_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
