"""The mixed load: devices of ours, bare HTTP and WebSocket devices, readers, viewers, runs and commands, in threads.

Each worker does one round of its work, waits a moment on the common end, and goes on until that comes; what it sent is
counted so that it can be compared with what is stored.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

from websockets.sync.client import connect

from plexus import Plexus, PlexusAPI
from tests.support import plain
from tests.support.served import Served

PAUSE_S = 0.05
RECONNECTS_EVERY = 40
"""Rounds after which a bare device hangs up and comes back."""


class Load:
    """All workers over one gateway. `sent` is what is owed, by source."""

    def __init__(self, served: Served, folder: Path) -> None:
        self._served = served
        self._folder = folder
        self._ended = threading.Event()
        self._read_enough = threading.Event()
        self._lock = threading.Lock()
        self.sent: dict[str, int] = {}
        self.read = 0
        self.faults: list[BaseException] = []
        others: list[Callable[[], None]] = [
            lambda: self._device("ours-0"),
            lambda: self._device("ours-1"),
            lambda: self._socket("socket-0"),
            lambda: self._socket("socket-1"),
            lambda: self._posts("posts-0"),
            self._questions,
            self._runs,
        ]
        readers: list[Callable[[], None]] = [lambda: self._live("ours-0"), lambda: self._live("socket-0")]
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
                        self.read += 1
                        if self._read_enough.is_set() or self.read % 50_000 == 0:
                            break

    def _runs(self) -> None:
        with plain.client(base_url=self._served.url, headers={"x-api-key": self._served.key}, timeout=30) as client:
            while self._going():
                opened = client.post("/api/runs", json={"name": "soak", "source_id": None}).raise_for_status().json()
                client.post("/v1/sources/ours-0/commands", json={"command": "say", "params": {"text": "hello"}})
                client.patch(f"/api/runs/{opened['run']['id']}", json={"status": "completed"}).raise_for_status()
                self._ended.wait(1.0)
