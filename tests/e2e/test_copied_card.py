"""A card that was copied, with its install id and its spool, into a second machine: two sources, each with its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from plexus import Plexus
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.status.memory import MemoryStatus
from plexus.adapters.store.memory import MemoryStore
from plexus.gateway import Gateway
from plexus.gateway.wellknown import DEFAULT_ORG
from plexus.ports.store import Window
from tests.support.waiting import eventually

BACKLOG = list(range(40))
ALL = Window(0, 2**62)


class Cards:
    """One machine a card; `machine` is the one that runs now."""

    def __init__(self, folder: Path, gateway: Gateway, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.gateway = gateway
        self._store = store
        self._patch = monkeypatch

    def machine(self, name: str, hardware: str | None = "its own") -> None:
        self._patch.setenv("PLEXUS_HOME", str(self.folder / name))
        self._patch.setattr("plexus.config.hardware_id", lambda: hardware and f"device-tree:{name}")

    def device(self, ws_url: str | None = None, key: str | None = None) -> Plexus:
        return Plexus(
            key or self.gateway.api_key,
            source_id="drone-01",
            ws_url=ws_url or self.gateway.ws_url,
            status=MemoryStatus(),
        )

    def copy(self) -> None:
        shutil.copytree(self.folder / "first", self.folder / "second")

    def stored(self, source_id: str, metric: str) -> list[object]:
        series = self._store.raw(DEFAULT_ORG, source_id, [metric], ALL, 1_000).series
        return list(series[metric].value) if metric in series else []


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cards]:
    """The first machine was known to the gateway, then lost the network, and then its card was copied."""
    store = MemoryStore()
    with Gateway(store=store, registry=MemoryRegistry()) as gateway:
        cards = Cards(tmp_path, gateway, store, monkeypatch)
        cards.machine("first")
        with cards.device() as px:
            px.send("before", 1, timestamp=1_746_969_660_000)
            assert px.flush_buffer()
        offline = cards.device("ws://127.0.0.1:9")
        for number in BACKLOG:
            offline.send("backlog", number, timestamp=1_746_969_660_000 + number)
        offline.close(0.0)
        cards.copy()
        yield cards


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_a_copied_card_ends_as_two_sources_and_its_backlog_is_there_once(cards: Cards, order: tuple[str, str]) -> None:
    for name in order:
        cards.machine(name)
        with cards.device() as px:
            px.send(name, 7, timestamp=1_746_969_661_000)
            eventually(px.flush_buffer, 20.0, "delivery")
    assert cards.stored("drone-01", "backlog") == BACKLOG
    assert cards.stored("drone-01_2", "backlog") == []
    assert cards.stored("drone-01", "first") == cards.stored("drone-01_2", "second") == [7]
    assert cards.stored("drone-01", "second") == cards.stored("drone-01_2", "first") == []


def test_both_machines_may_run_at_once(cards: Cards) -> None:
    with ExitStack() as running:
        for name in ("first", "second"):
            cards.machine(name)
            px = running.enter_context(cards.device())
            px.send(name, 7, timestamp=1_746_969_661_000)
        eventually(lambda: cards.stored("drone-01_2", "second") == [7], 20.0, "the second machine's reading")
        eventually(lambda: cards.stored("drone-01", "backlog") == BACKLOG, 20.0, "the backlog")
    assert cards.stored("drone-01_2", "backlog") == []


def test_the_copy_is_told_apart_once_and_keeps_its_name(cards: Cards, caplog: pytest.LogCaptureFixture) -> None:
    for _start in range(2):
        cards.machine("second")
        with cards.device() as px:
            px.send("second", 7, timestamp=1_746_969_661_000)
            eventually(px.flush_buffer, 20.0, "delivery")
            assert px.source_id == "drone-01_2"
    assert caplog.text.count("comes from another machine") == 1
    first, second = (json.loads((cards.folder / name / "config.json").read_text()) for name in ("first", "second"))
    assert first["install_id"] != second["install_id"]
    assert "copied" not in second


def test_a_new_card_with_the_key_of_its_source_goes_on_under_the_name_of_the_old_one(cards: Cards) -> None:
    key, _ = cards.gateway.core.keyring.create(DEFAULT_ORG, "drone-01", ["write"], source_id="drone-01")
    for number, name in enumerate(("first", "new")):
        cards.machine(name)
        with cards.device(key=key) as px:
            px.send("reading", number, timestamp=1_746_969_661_000 + number)
            eventually(px.flush_buffer, 20.0, "delivery")
            assert px.source_id == "drone-01"
    assert cards.stored("drone-01", "reading") == [0, 1]
    assert cards.stored("drone-01", "backlog") == BACKLOG
    assert cards.gateway.core.registry.registered(DEFAULT_ORG) == ["drone-01"]


def test_without_a_name_of_the_machine_the_copy_goes_on_as_the_same_device(cards: Cards) -> None:
    cards.machine("second", hardware=None)
    with cards.device() as px:
        px.send("second", 7, timestamp=1_746_969_661_000)
        eventually(px.flush_buffer, 20.0, "delivery")
        assert px.source_id == "drone-01"
    assert cards.stored("drone-01", "backlog") == BACKLOG
