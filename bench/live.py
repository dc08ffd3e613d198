"""Live streams: one source to many consumers, and from our client's `send()` to a consumer.

Consumers are sockets on the loader's core that only look for what they need in each frame; a frame that does not come
is an error, so nothing is dropped in what is shown here.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import attrs

from bench.figures import RUNS, median, percentile, table
from bench.house import House, Measurement, ours
from bench.loads import cpu_of, on_client_core, on_loop, process_of
from bench.rawlink import HEAD_END, open_link, packed

CONSUMERS, FRAMES_PER_S, POINTS, SECONDS = 500, 100, 10, 10
PATH_POINTS_PER_S, PATH_POINTS = 1_000, 10_000
SETTLE_S = 1.0
PATIENCE_S = 30.0

_numbers = re.compile(rb'"imu\.0","value":([0-9]+)')
_times = re.compile(rb'"value":([0-9.e+]+)')


@attrs.frozen
class Heard:
    """How a run went: microseconds from the way out to each consumer, ascending, and the gateway's CPU."""

    latencies_us: list[int]
    cpu: float

    def at(self, share: float) -> float:
        """The latency below which this share lies, milliseconds."""
        return percentile(self.latencies_us, share) / 1000


class Consumer(asyncio.Protocol):
    """A reader of a stream; `on_heard` gets the bytes of whole frames, one or several, as they come."""

    def __init__(self, host: str, path: str, key: str, on_heard: Callable[[bytes], None]) -> None:
        nonce = base64.b64encode(os.urandom(16)).decode()
        self._head = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._auth = packed(json.dumps({"type": "auth", "api_key": key, "ext": {"resume": 1}}).encode())
        self._on_heard = on_heard
        self._data = b""
        self._upgraded = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not derive from it
        self.transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        if not self._upgraded:
            head, end, data = (self._data + data).partition(HEAD_END)
            if not end:
                self._data = head
                return
            self._upgraded, self._data = True, b""
            self.transport.write(self._auth)
        if not self.ready.done():
            # The first frame says that the stream is ready, and comes alone: nothing is sent before.
            if b'"ready"' in data:
                self.ready.set_result(None)
            return
        if data.endswith(b"}"):
            self._on_heard(self._data + data)
            self._data = b""
        else:
            self._data += data


async def _open_consumers(house: House, path: str, count: int, on_heard: Callable[[bytes], None]) -> list[Consumer]:
    place = urlsplit(house.url)
    assert place.hostname is not None
    assert place.port is not None
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(count):
        _transport, consumer = await loop.create_connection(
            lambda: Consumer(place.netloc, path, house.key, on_heard), place.hostname, place.port
        )
        made.append(consumer)
    await asyncio.wait_for(asyncio.gather(*(consumer.ready for consumer in made)), PATIENCE_S)
    return made


# --- fan-out -----------------------------------------------------------------------------------------------------


async def _fan_out(house: House, source_id: str) -> Heard:
    count, latencies = FRAMES_PER_S * SECONDS, list[int]()
    sent = [0.0] * count

    def heard(data: bytes) -> None:
        now = time.perf_counter()
        # One point of each frame is looked for: frames that were committed together come together.
        latencies.extend(int((now - sent[int(number)]) * 1e6) for number in _numbers.findall(data))

    consumers = await _open_consumers(house, f"/v1/sources/{source_id}/metrics/stream", CONSUMERS, heard)
    link = await open_link(house.url, house.key, source_id)
    frames = [packed(_message(number)) for number in range(count)]
    await asyncio.sleep(SETTLE_S)
    process = process_of(house)
    cpu, began = cpu_of(process), time.perf_counter()
    for number, frame in enumerate(frames):
        await asyncio.sleep(max(0.0, began + number / FRAMES_PER_S - time.perf_counter()))
        sent[number] = time.perf_counter()
        link.transport.write(frame)
    await link.until(count)
    share = (cpu_of(process) - cpu) / (time.perf_counter() - began)
    await _until(lambda: len(latencies) >= count * CONSUMERS, f"{count * CONSUMERS} frames")
    link.transport.close()
    for consumer in consumers:
        consumer.transport.close()
    return Heard(sorted(latencies), share)


def _message(number: int) -> bytes:
    now = int(time.time() * 1000)
    points = [
        {"class": "metric", "metric": f"imu.{axis}", "value": number, "timestamp": now + number * 10}
        for axis in range(POINTS)
    ]
    frame = {"type": "telemetry", "points": points, "seq": number + 1}
    return json.dumps(frame, separators=(",", ":")).encode()


# --- the whole path ------------------------------------------------------------------------------------------------


async def _whole_path(house: House, source_id: str, folder: Path) -> Heard:
    latencies: list[int] = []

    def heard(data: bytes) -> None:
        now = time.time()
        latencies.extend(int((now - float(value)) * 1e6) for value in _times.findall(data))

    path = f"/v1/sources/{source_id}/metrics/stream?metrics=clock.sent"
    (consumer,) = await _open_consumers(house, path, 1, heard)
    process = process_of(house)
    work = await asyncio.to_thread(
        Measurement,
        house,
        ours(PATH_POINTS + 10),
        source_id,
        folder,
        measure="clocked",
        count=PATH_POINTS,
        rate=PATH_POINTS_PER_S,
    )
    cpu, began = cpu_of(process), time.perf_counter()
    await asyncio.to_thread(work.result)
    share = (cpu_of(process) - cpu) / (time.perf_counter() - began)
    await _until(lambda: len(latencies) >= PATH_POINTS, f"{PATH_POINTS} points")
    consumer.transport.close()
    return Heard(sorted(latencies), share)


async def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not all of {what} came to the consumers")
        await asyncio.sleep(0.05)


def run(house: House, folder: Path, runs: int = RUNS) -> str:
    """Measure and return a Markdown table."""
    with on_client_core():
        fanned = [on_loop(_fan_out(house, f"live-fan-{turn}")) for turn in range(runs)]
        through = [on_loop(_whole_path(house, f"live-path-{turn}", folder / "live")) for turn in range(runs)]
    rows = [
        _row(f"{FRAMES_PER_S} frames/s of {POINTS} points to {CONSUMERS} consumers, stored first", fanned),
        _row(f"our client, `send()` at {PATH_POINTS_PER_S:,} points/s, to one consumer", through),
    ]
    return table(["from a device to its consumers", "p50, ms", "p99, ms", "of the core", "missed"], rows)


def _row(name: str, heard: list[Heard]) -> list[str]:
    p50, p99 = (median([one.at(share) for one in heard]) for share in (0.5, 0.99))
    return [name, f"{p50:.1f}", f"{p99:.1f}", f"{median([one.cpu for one in heard]):.0%}", "0"]
