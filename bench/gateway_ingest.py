"""Points a second that the gateway stores and acknowledges: ready-made frames of 1,000 points over four sockets.

The loader speaks 0.16.0's dialect (acknowledged `seq`), so that it measures the gateway and nothing of our client.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

from bench.figures import RUNS, median, table
from bench.house import Client, House, Measurement, peer

CONNECTIONS, FRAMES, POINTS = 4, 200, 1_000
WINDOW = 32


def run(house: House, folder: Path, runs: int = RUNS, frames: int = FRAMES) -> str:
    """Measure and return a Markdown table."""
    loaded, released = [], []
    count = CONNECTIONS * frames * POINTS
    client = peer(folder / "peers", count + 10)
    for turn in range(runs):
        loaded.append(_load(house, turn, frames))
        released.append(_released(house, client, f"ingest-peer-{turn}", folder, count // 4))
    rows = [
        [f"frames of {POINTS:,} points, {CONNECTIONS} sockets, a fifth with tags", f"{median(loaded):,.0f}"],
        [f"{client.name}, one socket", f"{median(released):,.0f}"],
    ]
    return table(["load on the gateway", "points/s, stored and acknowledged"], rows)


def _load(house: House, turn: int, frames: int) -> float:
    sources = [f"ingest-{turn}-{number}" for number in range(CONNECTIONS)]
    prepared = [_frames(frames) for _source in sources]
    links = [_link(house, source) for source in sources]
    threads = [threading.Thread(target=_send, args=(link, texts)) for link, texts in zip(links, prepared, strict=True)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    for link in links:
        link.close()
    for source in sources:
        stored = sum(house.count(source, f"imu.{axis}") for axis in range(10))
        if stored != frames * POINTS:
            raise AssertionError(f"{frames * POINTS} sent, {stored} stored")
    return CONNECTIONS * frames * POINTS / took


def _frames(frames: int) -> list[str]:
    now = int(time.time() * 1000) - frames * POINTS // 10
    texts = []
    for number in range(frames):
        first = number * POINTS
        points = [_point(index, now + index // 10) for index in range(first, first + POINTS)]
        body = json.dumps(points, separators=(",", ":"))
        texts.append(f'{{"type":"telemetry","points":{body},"seq":{number + 1}}}')
    return texts


def _point(index: int, timestamp: int) -> dict[str, object]:
    point: dict[str, object] = {
        "class": "metric",
        "metric": f"imu.{index % 10}",
        "value": index * 0.001,
        "timestamp": timestamp,
    }
    if index % 5 == 0:
        point["tags"] = {"part": "left", "unit": "g"}
    return point


def _link(house: House, source_id: str) -> ClientConnection:
    link = connect(house.url.replace("http", "ws", 1) + "/ws/device", compression=None, max_size=None)
    auth = {"type": "device_auth", "api_key": house.key, "source_id": source_id, "platform": "bench", "acks": True}
    link.send(json.dumps(auth))
    if json.loads(link.recv())["acks"] is not True:
        raise AssertionError("the gateway offers no acknowledgements")
    return link


def _send(link: ClientConnection, texts: list[str]) -> None:
    acknowledged = 0
    for number, text in enumerate(texts, start=1):
        while number - acknowledged > WINDOW:
            acknowledged = json.loads(link.recv())["seq"]
        link.send(text)
    while acknowledged < len(texts):
        acknowledged = json.loads(link.recv())["seq"]


def _released(house: House, client: Client, source_id: str, folder: Path, count: int) -> float:
    work = Measurement(house, client, source_id, folder / "work", measure="delivered", count=count)
    times = json.loads(work.line())
    stored_at = house.wait_for(source_id, "load.value", count - 1)
    work.proceed()
    work.result()
    return count / (stored_at - float(times["started"]))
