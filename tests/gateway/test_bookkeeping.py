"""What is written down beside the data: it is there after a restart, and costs a batch nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from plexus.adapters.audit.memory import MemoryAudit
from plexus.adapters.bus.memory import MemoryBus
from plexus.adapters.commandbook.memory import MemoryCommandbook
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.adapters.tallies.memory import MemoryTallies
from plexus.domain.errors import StoreError
from plexus.domain.source import ClockReport
from plexus.gateway import bookkeeping
from plexus.gateway.assembly import Ports, build_core
from plexus.gateway.core import Core
from plexus.gateway.settings import Retention, Settings
from plexus.ports.audit import LOCAL, AuditEntry
from plexus.ports.commandbook import Commandbook
from plexus.ports.store import Receipt, Submission
from plexus.ports.tallies import Place, Tallies, Tally
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Columns
from plexus.testing.contracts.commandbook import entry
from tests.support.served import Served
from tests.support.waiting import eventually

NS = 1_000_000_000
START_NS = 1_746_969_660 * NS


class CountingTallies(MemoryTallies):
    """Counts how often it is written, and fails while `failure` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.saves = 0
        self.failure: StoreError | None = None

    def save(self, tallies: Mapping[Place, Tally]) -> None:
        self.saves += 1
        if self.failure is not None:
            raise self.failure
        super().save(tallies)


class Life:
    """Gateways one after the other over the same books."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.tallies = CountingTallies()
        self.book = MemoryCommandbook()
        self.store = MemoryStore()
        self.audit = MemoryAudit()
        self.core = self.start()

    def start(
        self, tallies: Tallies | None = None, book: Commandbook | None = None, settings: Settings | None = None
    ) -> Core:
        ports = Ports(
            self.store,
            MemoryBus(),
            MemoryKeyring(),
            MemoryRegistry(),
            self.audit,
            commandbook=book or self.book,
            tallies=tallies or self.tallies,
        )
        self.core = build_core(ports, settings=settings, wall_ns=lambda: self.now_ns)
        return self.core

    def batch(self, verdict: Any, times: int = 1) -> None:
        for _ in range(times):
            item = Submission("acme", "rig", Columns(), self.now_ns, BatchName("0" * 32, 1, 1, "ab"))
            self.core.committer.deliveries.note(item, Receipt(verdict, 0))

    def counted(self) -> tuple[int, int, int, int]:
        of = self.core.committer.deliveries.of("acme", "rig")
        return of.batches, of.duplicates, of.gaps_refused, of.forks


@pytest.fixture
def life() -> Life:
    return Life()


def test_what_was_counted_goes_on_after_a_restart(life: Life) -> None:
    for verdict, times in (("store", 5), ("duplicate", 4), ("gap", 3), ("fork", 2)):
        life.batch(verdict, times)
    life.core.committer.deliveries.told_clock("acme", "rig", ClockReport(1.5, 0.25, 10.0))
    asyncio.run(bookkeeping.close(life.core))
    life.start()
    assert life.counted() == (5, 4, 3, 2)
    assert life.core.committer.deliveries.of("acme", "rig").clock == ClockReport(1.5, 0.25, 10.0)
    life.batch("store")
    assert life.counted() == (6, 4, 3, 2)


def test_it_is_written_once_for_all_batches_and_not_when_nothing_was_counted(life: Life) -> None:
    life.batch("store", 1_000)
    asyncio.run(bookkeeping.save(life.core))
    asyncio.run(bookkeeping.save(life.core))
    assert life.tallies.saves == 1


def test_what_could_not_be_written_is_written_the_next_time(life: Life) -> None:
    life.batch("store")
    life.tallies.failure = StoreError("tallies.db: disk full")
    asyncio.run(bookkeeping.save(life.core))
    life.tallies.failure = None
    asyncio.run(bookkeeping.save(life.core))
    assert life.tallies.load()["acme", "rig"].batches == 1


def test_a_device_that_was_connected_and_silent_is_offline_after_a_restart_and_was_seen_when_it_was(life: Life) -> None:
    life.core.presence.opened("acme", "rig")
    life.now_ns += 60 * NS
    life.core.presence.met("acme", "rig")
    asyncio.run(bookkeeping.save(life.core))
    life.now_ns += 5 * NS
    core = life.start()
    assert not core.presence.online("acme", "rig")
    assert core.presence.last_seen_ms("acme", "rig") == (START_NS + 60 * NS) / 1e6


def test_data_alone_is_not_written_down_since_the_store_knows_when_it_came(life: Life) -> None:
    life.core.presence.heard("acme", "rig")
    asyncio.run(bookkeeping.save(life.core))
    assert life.tallies.saves == 0


def test_sources_that_nobody_knew_are_written_down_when_they_come_and_together(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookkeeping, "LOOK_EVERY_S", 3_600.0)
    fleet = [("acme", f"rig-{number}") for number in range(10_000)]

    async def keep() -> None:
        keeping = asyncio.create_task(bookkeeping.keep_books(life.core))
        for place in fleet:
            life.core.presence.opened(*place)
        await asyncio.to_thread(eventually, lambda: life.tallies.saves > 0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(keep())
    assert life.tallies.saves == 1
    core = life.start()
    assert {core.presence.last_seen_ms(*place) for place in fleet} == {START_NS / 1e6}


UNSAVED = """
import runpy, sys
from plexus.gateway import bookkeeping
bookkeeping.SAVE_EVERY_S = 1e9
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A gateway that writes its counts down at its end only, which a kill does not let it come to."""


def test_a_source_that_greeted_and_sent_nothing_was_seen_also_when_the_gateway_is_killed(tmp_path: Path) -> None:
    served = Served(tmp_path).start(sys.executable, "-c", UNSAVED)
    try:
        with connect(f"ws://127.0.0.1:{served.port}/ws/device", proxy=None) as wire:
            wire.send(json.dumps({"type": "device_auth", "api_key": served.key, "source_id": "rig"}))
            assert json.loads(wire.recv(timeout=10))["type"] == "authenticated"
            before = served.get("/v1/sources/rig")["last_seen_ms"]
            eventually(lambda: _rows(tmp_path / "data" / "tallies.db"), what="the greeting on disk")
            served.kill()
        served.start()
        assert served.get("/v1/sources/rig") == {"source_id": "rig", "online": False, "last_seen_ms": before}
    finally:
        served.kill()


def _rows(path: Path) -> list[Any]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return file.execute("SELECT source_id FROM tallies").fetchall()


def test_the_books_are_looked_after_while_the_gateway_runs(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeping, "LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(bookkeeping, "SAVE_EVERY_S", 0.0)
    life.book.put(entry("old", asked_ms=0.0, state="failed"))
    life.book.put(entry("late", asked_ms=START_NS / 1e6, expires_ms=START_NS / 1e6 - 1.0))
    core = life.start()
    life.batch("store")

    async def keep() -> None:
        keeping = asyncio.create_task(bookkeeping.keep_books(core))
        await asyncio.to_thread(eventually, lambda: life.book.find("acme", "old") is None)
        await asyncio.to_thread(eventually, lambda: life.tallies.saves > 0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(keep())
    late = life.book.find("acme", "late")
    assert late is not None
    assert late.state == "expired"


def test_counts_go_with_a_source_that_is_renamed_and_end_with_one_that_is_removed(life: Life) -> None:
    life.batch("store")
    deliveries = life.core.committer.deliveries
    deliveries.rename("acme", "rig", "arm")
    assert (deliveries.of("acme", "rig").batches, deliveries.of("acme", "arm").batches) == (0, 1)
    deliveries.remove("acme", "arm")
    assert deliveries.of("acme", "arm").batches == 0
    assert not deliveries.take_changed()


@pytest.mark.parametrize(("days", "kept"), [(400, [3, 2]), (1, [3]), (0, [3, 2, 1])])
def test_the_audit_trail_is_kept_for_as_long_as_the_settings_say(
    life: Life, monkeypatch: pytest.MonkeyPatch, days: int, kept: list[int]
) -> None:
    monkeypatch.setattr(bookkeeping, "LOOK_EVERY_S", 0.001)
    for age_days in (401, 399, 0):
        life.audit.record(AuditEntry(START_NS / 1e6 - age_days * 86_400_000, "acme", LOCAL, "key.create", "key"))
    core = life.start(settings=Settings(retention=Retention(audit_days=days)))
    looked = threading.Event()
    forget = bookkeeping._forget

    async def forgetting(of: Core) -> None:
        await forget(of)
        looked.set()

    monkeypatch.setattr(bookkeeping, "_forget", forgetting)

    async def keep() -> None:
        keeping = asyncio.create_task(bookkeeping.keep_books(core))
        assert await asyncio.to_thread(looked.wait, 10.0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(keep())
    assert [number for number, _ in life.audit.entries("acme")] == kept


def test_a_trail_that_cannot_forget_is_said_and_the_books_go_on(
    life: Life, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_before_ms: float) -> int:
        raise StoreError("audit.db: the disk is full")

    monkeypatch.setattr(life.audit, "forget", fail)
    asyncio.run(bookkeeping._forget(life.core))
    assert "audit.db: the disk is full" in caplog.text
