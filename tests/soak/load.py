"""The mixed load: devices of ours with a camera, bare HTTP and WebSocket devices, readers, viewers, exports, removals,
runs and commands, in threads.

Each worker does one round of its work, waits a moment on the common end, and goes on until that comes; what it sent is
counted so that it can be compared with what is stored.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from websockets.sync.client import connect

from plexus import Plexus, PlexusAPI
from tests.support import plain
from tests.support.jpegs import jpeg
from tests.support.served import Served

PAUSE_S = 0.05
CAMERA, PICTURE = "front", jpeg(b"\x55" * 20_000)
RECONNECTS_EVERY = 40
"""Rounds after which a bare device hangs up and comes back."""


class Load:
    """All workers over one gateway. `sent` is what is owed, by source; `read` counts what came live."""

    def __init__(self, served: Served, folder: Path) -> None:
        self._served = served
        self._folder = folder
        self._ended = threading.Event()
        self._read_enough = threading.Event()
        self._lock = threading.Lock()
        self.sent: dict[str, int] = {}
        self.read: Counter[str] = Counter()
        self.faults: list[BaseException] = []
        others: list[Callable[[], None]] = [
            lambda: self._device("ours-0"),
            lambda: self._device("ours-1"),
            lambda: self._socket("socket-0"),
            lambda: self._socket("socket-1"),
            lambda: self._posts("posts-0"),
            self._questions,
            self._runs,
            self._files,
            self._removals,
        ]
        readers: list[Callable[[], None]] = [lambda: self._live("ours-0"), lambda: self._live("socket-0")]
        readers += [self._events, self._viewer]
        self._readers = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in readers]
        self._others = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in others]

    @property
    def total(self) -> int:
        """Points that were sent so far."""
        with self._lock:
            return sum(self.sent.values())

    def start(self) -> None:
        """Begin."""
        for thread in (*self._others, *self._readers):
            thread.start()

    def stop(self) -> None:
        """End every worker; each flushes what it owes. The readers first: who waits for a point is to get one."""
        for event, threads in ((self._read_enough, self._readers), (self._ended, self._others)):
            event.set()
            for thread in threads:
                thread.join(60.0)
                assert not thread.is_alive() or self.faults, "a worker hangs"
        if self.faults:
            raise self.faults[0]

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001 - told by `stop`, in the thread of the test
            self.faults.append(exc)
            self._read_enough.set()
            self._ended.set()

    def _owe(self, source_id: str, count: int) -> None:
        with self._lock:
            self.sent[source_id] = self.sent.get(source_id, 0) + count

    def _going(self) -> bool:
        return not self._ended.wait(PAUSE_S)

    # --- those who send ----------------------------------------------------------------------------------------

    def _device(self, source_id: str) -> None:
        px = Plexus(
            api_key=self._served.key,
            source_id=source_id,
            ws_url=self._served.url.replace("http", "ws", 1),
            buffer_path=str(self._folder / f"{source_id}.spool"),
            max_buffer_size=1_000_000,
        )
        px.on_command("say", lambda _name, params: dict(params))
        with px:
            number = 0
            while self._going():
                for _ in range(200):
                    px.send("soak.value", number * 0.5)
                    number += 1
                self._owe(source_id, 200)
                px.event("soak.round", {"number": number})
                px.send_video_frame(PICTURE, CAMERA)
            assert px.flush(60.0), "a device could not deliver everything"

    def _socket(self, source_id: str) -> None:
        number = 0
        while not self._ended.is_set():
            with connect(self._served.url.replace("http", "ws", 1) + "/ws/device", max_size=None) as link:
                auth = {"type": "device_auth", "api_key": self._served.key, "source_id": source_id, "acks": True}
                link.send(json.dumps(auth))
                json.loads(link.recv())
                for seq in range(1, RECONNECTS_EVERY + 1):
                    now = int(time.time() * 1000)
                    points = [
                        {"metric": "soak.value", "value": number + index, "timestamp": now, "tags": {"part": "left"}}
                        for index in range(100)
                    ]
                    number += 100
                    link.send(json.dumps({"type": "telemetry", "seq": seq, "points": points}))
                    while json.loads(link.recv()).get("seq") != seq:
                        pass
                    self._owe(source_id, 100)
                    if not self._going():
                        return

    def _posts(self, source_id: str) -> None:
        with plain.client(headers={"x-api-key": self._served.key}, timeout=30) as client:
            while self._going():
                points = [{"metric": "soak.value", "value": index, "source_id": source_id} for index in range(50)]
                client.post(self._served.url + "/ingest", json={"points": points}).raise_for_status()
                self._owe(source_id, 50)

    # --- those who read ----------------------------------------------------------------------------------------

    def _questions(self) -> None:
        with PlexusAPI(api_key=self._served.key, base_url=self._served.url) as api:
            while self._going():
                for source in api.sources.list():
                    api.metrics.latest(source.source_id)
                    api.metrics.query(source.source_id, "soak.value", last="5m")
                    api.metrics.query(source.source_id, "soak.value", last="1h", interval="1m")
                api.fleet.metrics("soak.value", last="1h")

    def _live(self, source_id: str) -> None:
        with PlexusAPI(api_key=self._served.key, base_url=self._served.url) as api:
            while not self._read_enough.is_set():
                with api.metrics.stream(source_id, metrics=["soak.value"]) as stream:
                    for _point in stream:
                        self.read[source_id] += 1
                        if self._read_enough.is_set() or self.read[source_id] % 50_000 == 0:
                            break

    def _events(self) -> None:
        with PlexusAPI(api_key=self._served.key, base_url=self._served.url) as api:
            while not self._read_enough.is_set():
                with api.events.stream("ours-0") as stream:
                    for _event in stream:
                        self.read["events"] += 1
                        if self._read_enough.is_set():
                            break

    def _viewer(self) -> None:
        with PlexusAPI(api_key=self._served.key, base_url=self._served.url) as api:
            while not self._read_enough.is_set():
                with api.video.stream("ours-0", CAMERA) as stream:
                    for _frame in stream:
                        self.read["video"] += 1
                        if self._read_enough.is_set():
                            break

    def _files(self) -> None:
        """An export and an Arrow table of the last seconds, as somebody with a notebook asks for them."""
        query = "/v1/sources/ours-0/metrics/query?metrics=soak.value&last=1m&interval=raw"
        with plain.client(base_url=self._served.url, headers={"x-api-key": self._served.key}, timeout=60) as client:
            while self._going():
                if client.get("/v1/sources/ours-0").status_code == 404:
                    continue  # it has not come yet
                client.get("/v1/export?sources=ours-0&last=1m&format=csv").raise_for_status()
                client.get(query, headers={"accept": "application/vnd.apache.arrow.stream"}).raise_for_status()
                self._ended.wait(1.0)

    def _removals(self) -> None:
        """A sensor that was wrong: its points are sent, and removed."""
        path, wrong = "/v1/sources/wrong-0/data", {"metrics": "soak.wrong"}
        with plain.client(base_url=self._served.url, headers={"x-api-key": self._served.key}, timeout=60) as client:
            good = {"metric": "soak.value", "value": 1, "source_id": "wrong-0"}
            client.post("/ingest", json={"points": [good]}).raise_for_status()
            self._owe("wrong-0", 1)
            while self._going():
                points = [{"metric": "soak.wrong", "value": index, "source_id": "wrong-0"} for index in range(20)]
                client.post("/ingest", json={"points": points}).raise_for_status()
                removed = client.delete(path, params={**wrong, "confirm": 20}).raise_for_status().json()
                assert removed == {"points": 20, "dry_run": False}
                self._ended.wait(1.0)

    def _runs(self) -> None:
        with plain.client(base_url=self._served.url, headers={"x-api-key": self._served.key}, timeout=30) as client:
            while self._going():
                opened = client.post("/api/runs", json={"name": "soak", "source_id": None}).raise_for_status().json()
                client.post("/v1/sources/ours-0/commands", json={"command": "say", "params": {"text": "hello"}})
                client.patch(f"/api/runs/{opened['run']['id']}", json={"status": "completed"}).raise_for_status()
                self._ended.wait(1.0)
