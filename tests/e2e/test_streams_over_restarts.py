"""A gateway is killed and started again under a stream: what the consumer got is exactly what was stored, once.

STREAM_KILLS (2) of them from FAULT_SEED (1), with the extension `resume` and without. `tests/api/test_streams_model.py`
does it to a model, thousands of times.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from plexus.api.streams import plans
from tests.api.streaming import SHELLS, Pauses, Shell
from tests.support.served import Served
from tests.support.withoutresume import cut_out

KILLS = int(os.environ.get("STREAM_KILLS", "2"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
BETWEEN = 150
"""Points that come between two kills."""


class Writer:
    """Stores points on a thread of its own: each value once, whatever becomes of it. What is lost is not sent again."""

    def __init__(self, served: Served, rng: random.Random) -> None:
        self._served = served
        self._rng = rng
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer")

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _write(self) -> None:
        value, last_ms = 0, 0.0
        with httpx.Client(headers={"x-api-key": self._served.key}, timeout=5) as client:
            while not self._over.wait(self._rng.random() * 0.02):
                points = []
                for _ in range(self._rng.randrange(1, 20)):
                    value, last_ms = value + 1, max(last_ms + 0.001, round(time.time() * 1e3, 3))
                    points.append({"metric": "m", "value": value, "timestamp": round(last_ms, 3)})
                body = {"source_id": "rig-01", "points": points}
                try:
                    client.post(f"{self._served.url}/ingest", json=body)
                except httpx.TransportError:
                    # Whether it was stored is what the history says in the end.
                    continue


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    gateway = Served(tmp_path).start()
    yield gateway
    gateway.stop()


@pytest.mark.parametrize("resume", [True, False], ids=["resume", "without"])
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.name)
def test_what_a_stream_delivers_over_kills_is_what_is_stored(
    shell: Shell, resume: bool, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not resume:
        cut_out(monkeypatch)
    rng = random.Random(SEED)
    got: list[int] = []
    served.post("/ingest", {"source_id": "rig-01", "points": [{"metric": "m", "value": 0}]})
    plan = plans.points("rig-01", None, sources=None, since="1h", queue=10_000, when_full="block")
    with shell.open(served.url, plan, key=served.key, pauses=Pauses(0.1)) as stream:
        got += stream.values(1)
        with Writer(served, rng):
            for _ in range(KILLS):
                got += stream.values(rng.randrange(1, BETWEEN))
                served.kill()
                served.start()
            got += stream.values(BETWEEN)
        stored = served.values("rig-01", "m")
        got += stream.values(len(stored) - len(got))
        assert got == stored
        assert stream.receive(0.1) is None
        # Not one for each kill: two may fall into one absence.
        assert stream.stream.reconnects >= 1
