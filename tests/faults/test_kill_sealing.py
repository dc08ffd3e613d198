"""`kill -9` of a whole gateway while it seals, under load: what it acknowledged is there, once, after every start.

It is set to seal every few hundred points, so that it seals, merges and lets go of rows all the time. Each kill comes
at the sight of a file that is not finished, or some milliseconds after one that is. FAULT_KILLS (200 in `make
test-faults`) is how many kills there are, FAULT_SEED where they begin; with it each start must be quick, too.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from plexus.adapters.store.embedded.checking import check
from tests.support import plain
from tests.support.served import Served
from tests.support.waiting import eventually

KILLS = int(os.environ.get("FAULT_KILLS", "2"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
READY_S = 5.0 if "FAULT_KILLS" in os.environ else None
WRITERS = 2
BATCH, SEALED = 20, 200
A_METRIC = 5_000
"""Points of a metric: a query for raw values gives ten thousand rows at most."""

DAY_MS = 86_400_000
_pause = threading.Event()
pytestmark = pytest.mark.timeout(120 + 20 * KILLS)


@attrs.define
class Writer:
    """A device that sends named batches one by one over HTTP, and again whatever was not acknowledged."""

    served: Served
    source_id: str
    t0_ms: int
    acknowledged: int = 0
    thread: threading.Thread | None = None
    failure: BaseException | None = None

    def begin(self) -> None:
        """Send until the gateway goes away."""
        self.thread = threading.Thread(target=self._run, name="writer")
        self.thread.start()

    def join(self) -> None:
        """It went away; raises what else went wrong."""
        assert self.thread is not None
        self.thread.join()
        if self.failure is not None:
            raise self.failure

    def send_next(self, client: httpx.Client) -> None:
        """One batch, the same one until it is acknowledged."""
        n = self.acknowledged + 1
        name = {"stream": format(hash_of(self.source_id), "032x"), "n": n, "base": n, "digest": format(n, "x")}
        body = {"source_id": self.source_id, "batch": name, "points": [self._point(n, i) for i in range(BATCH)]}
        answer = client.post("/ingest", json=body, headers={"x-plexus-ext": "batch=1"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["batch"] == name
        self.acknowledged = n

    def stored(self) -> Counter[Any]:
        """How often each value is stored, over all metrics."""
        points, found = self.acknowledged * BATCH + BATCH, Counter[Any]()
        window = {"start": instant(self.t0_ms), "end": instant(self.t0_ms + 2 * DAY_MS), "interval": "raw"}
        for first in range(0, points, A_METRIC):
            metric = f"m{first // A_METRIC}"
            answer = self.served.get(f"/v1/sources/{self.source_id}/metrics/query", metrics=metric, **window)
            if answer is not None and metric in answer["series"]:
                found.update(answer["series"][metric]["value"])
        return found

    def _point(self, n: int, place: int) -> dict[str, Any]:
        index = (n - 1) * BATCH + place
        # Two days at once: a sealing makes two files, and one of the days is over, which is merged at once.
        t_ms = self.t0_ms + index % 2 * DAY_MS + index
        return {"metric": f"m{index // A_METRIC}", "value": index, "timestamp": t_ms}

    def _run(self) -> None:
        try:
            with plain.client(base_url=self.served.url, headers={"x-api-key": self.served.key}, timeout=30) as client:
                while True:
                    self.send_next(client)
        except httpx.TransportError:
            pass
        except BaseException as exc:  # noqa: BLE001 - raised again by the test's own thread
            self.failure = exc


def hash_of(name: str) -> int:
    """A stream's number."""
    return int.from_bytes(name.encode(), "big")


def instant(ms: int) -> str:
    """ISO 8601."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat()


def files(folder: Path) -> tuple[set[Path], set[Path]]:
    """The history's files that are finished, and those that are not."""
    finished: set[Path] = set()
    unfinished: set[Path] = set()
    for path in folder.glob("data/history/*/*=*/*"):
        (unfinished if path.suffix == ".part" else finished).add(path)
    return finished, unfinished


def wait_for_sealing(folder: Path, wanted: int, *, unfinished: bool) -> None:
    """Return when so many files were made since now, or the one after them is being made."""
    before, since = files(folder)[0], set[Path]()
    # At once when it comes: what is looked for is there for milliseconds.
    end = time.monotonic() + 60.0
    while time.monotonic() < end:
        made, making = files(folder)
        since |= made - before
        if len(since) >= wanted and (making or not unfinished):
            return
        _pause.wait(0.0005)
    raise AssertionError(f"of {wanted} files only {len(since)} were sealed within 60 s")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "gateway"
    folder.mkdir()
    gateway = Served(folder, f"sealing.points={SEALED}", "sealing.after_s=0.05", "log.level=info")
    yield gateway
    gateway.kill()


def test_a_gateway_that_is_killed_while_it_seals_has_everything_that_it_acknowledged_once(served: Served) -> None:
    dice, today = random.Random(SEED), int(time.time() * 1000) // DAY_MS * DAY_MS
    writers = [Writer(served, f"rig-{number}", today - DAY_MS) for number in range(WRITERS)]
    left, slowest = 0, 0.0
    for kill in range(KILLS):
        slowest = max(slowest, ready(served))
        judge(writers)
        for writer in writers:
            writer.begin()
        # At the first sealing of a life, or when merging goes on beside it.
        wait_for_sealing(served.folder, dice.choice((1, 1, 3, 9)), unfinished=kill % 2 == 0)
        if kill % 2:
            _pause.wait(dice.uniform(0.0, 0.02))
        served.kill()
        for writer in writers:
            writer.join()
        left += bool(files(served.folder)[1])
    slowest = max(slowest, ready(served))
    with plain.client(base_url=served.url, headers={"x-api-key": served.key}, timeout=30) as client:
        for writer in writers:
            writer.send_next(client)  # which is a repeat, or not
    judge(writers, whole=True)
    assert served.stop() == 0
    assert check(served.folder / "data") == []
    points = sum(writer.acknowledged for writer in writers) * BATCH
    print(  # noqa: T201 - a long test's result is more than that it passed
        f"\n{KILLS} kills, {left} of them with a file unfinished; {points:,} points; ready in {slowest:.1f} s at most"
    )
    assert READY_S is None or slowest <= READY_S


def ready(served: Served) -> float:
    """Start it; seconds until it says that it is ready."""
    begun = time.monotonic()
    served.start()
    eventually(lambda: plain.request("GET", f"{served.url}/readyz").status_code == 200, 30.0, "the gateway's readiness")
    return time.monotonic() - begun


def judge(writers: list[Writer], *, whole: bool = False) -> None:
    """Each acknowledged batch is there once; one more may be that was on its way, unless they are all (`whole`)."""
    for writer in writers:
        found = writer.stored()
        owed = writer.acknowledged * BATCH
        assert not (twice := [value for value, times in found.items() if times > 1]), f"stored twice: {twice[:5]}"
        assert not (lost := set(range(owed)) - found.keys()), f"lost: {len(lost)}, such as {sorted(lost)[:5]}"
        assert len(found) in ((owed,) if whole else (owed, owed + BATCH)), "a batch is there in part"
