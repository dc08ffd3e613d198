"""`kill -9` under load of a gateway that has much to find again: it is ready within seconds, with everything in it.

Its store has points in files and points that are in the journal alone, from which a start makes what is held in memory.
`make test-faults` (FAULT_KILLS) has two million and half a million of them, and asks for five seconds.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.embedded.checking import check
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.gateway.wellknown import DEFAULT_ORG
from plexus.ports.store import Submission
from plexus.protocol.columns import Columns
from tests.faults.test_kill_sealing import DAY_MS, READY_S, Writer, instant, judge, ready
from tests.support.served import Served
from tests.support.waiting import eventually

SEALED, UNSEALED = (2_000_000, 500_000) if "FAULT_KILLS" in os.environ else (60_000, 40_000)
KILLS = 3 if "FAULT_KILLS" in os.environ else 1
SOURCES, METRICS = 10, 10
A_GROUP = 20_000
UNDER_LOAD = 30
"""Batches of each writer between a start and the kill."""

pytestmark = pytest.mark.timeout(300)


def fill(data: Path, t0_ms: int) -> None:
    """A store that has so many points in files, and so many that are not."""
    with closing(EmbeddedStore(data, upkeep=Upkeep(seal_after_ns=1))) as store:
        commit(store, 0, SEALED, t0_ms)
        for now_ns in (1, 3):
            while store.maintain(now_ns):
                pass
        commit(store, SEALED, SEALED + UNSEALED, t0_ms)
        assert (store._newest.unsealed, sum(file.points for file in store._shelf.files)) == (UNSEALED, SEALED)


def commit(store: EmbeddedStore, first: int, end: int, t0_ms: int) -> None:
    """Points `first` to `end`, each time one of every metric of every source."""
    for start in range(first, end, A_GROUP):
        numbers = range(start, start + A_GROUP)
        columns = Columns(
            [f"big-{n % SOURCES}" for n in numbers],
            [f"m{n // SOURCES % METRICS}" for n in numbers],
            [(t0_ms + n // (SOURCES * METRICS)) * 1_000_000 for n in numbers],
            [False] * A_GROUP,
            [n / 8 for n in numbers],
            [None] * A_GROUP,
            [None] * A_GROUP,
        )
        store.commit([Submission(DEFAULT_ORG, "big-0", columns, t0_ms * 1_000_000)])


def counted(served: Served, t0_ms: int) -> int:
    """How many of these points the gateway has."""
    window = {"start": instant(t0_ms), "end": instant(t0_ms + DAY_MS), "interval": "1h"}
    total = 0
    for number in range(SOURCES):
        answer = served.get(f"/v1/sources/big-{number}/metrics/query", **window)
        total += sum(sum(series["count"]) for series in answer["series"].values())
    return total


def test_a_gateway_with_much_in_its_store_is_ready_soon_after_a_kill_and_has_all_of_it(tmp_path: Path) -> None:
    t0_ms = int(time.time() * 1000) // DAY_MS * DAY_MS - DAY_MS
    fill(tmp_path / "data", t0_ms)
    served, slowest = Served(tmp_path), 0.0
    writers = [Writer(served, f"rig-{number}", t0_ms) for number in range(2)]
    try:
        ready(served)
        for kill in range(1, KILLS + 1):
            for writer in writers:
                writer.begin()
            enough = kill * UNDER_LOAD
            eventually(lambda enough=enough: min(one.acknowledged for one in writers) >= enough, 60.0, "load")  # type: ignore[misc]
            served.kill()
            for writer in writers:
                writer.join()
            slowest = max(slowest, ready(served))
            assert counted(served, t0_ms) == SEALED + UNSEALED
            judge(writers)
        assert served.stop() == 0
    finally:
        served.kill()
    assert check(tmp_path / "data") == []
    print(  # noqa: T201 - a long test's result is more than that it passed
        f"\n{SEALED:,} points in files and {UNSEALED:,} in the journal: ready in {slowest:.1f} s at most"
    )
    assert READY_S is None or slowest <= READY_S
