"""What a released client could not deliver before the upgrade is delivered by ours, once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from plexus import Plexus
from plexus.adapters.status.memory import MemoryStatus
from tests.peers.released import Released, install
from tests.support.served import Served
from tests.support.waiting import eventually

pytestmark = pytest.mark.peers

ROOT = Path(__file__).resolve().parents[2]
FILES = {"0.5.2": "buffer.db", "0.16.0": "buffer-rig-01.db"}
NOWHERE = "http://127.0.0.1:9"
COUNT = 2


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (folder := tmp_path / "served").mkdir()
    gateway = Served(folder).start()
    yield gateway
    gateway.kill()


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each version the home of a client that found no gateway; at once, for each of its calls tries for seconds."""
    made = {version: tmp_path_factory.mktemp(f"peer-{version}") for version in FILES}
    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(leave_a_backlog, made, made.values()))
    return made


def leave_a_backlog(version: str, home: Path) -> None:
    python = install(version, ROOT / ".cache" / "peers")
    peer = Released(python, home, NOWHERE, {"api_key": "plx_of_nowhere", "source_id": "rig-01", "timeout": 0.5})
    try:
        assert peer.do("send", metric="motor.rpm", first=0, count=COUNT, base=time.time() - 60) == COUNT
    finally:
        peer.end()


@pytest.mark.parametrize("version", list(FILES))
def test_the_backlog_of_a_released_client_is_delivered_once_by_ours(
    version: str, homes: dict[str, Path], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = homes[version] / ".plexus" / FILES[version]
    assert rows(old) == COUNT

    monkeypatch.setenv("PLEXUS_HOME", str(homes[version] / ".plexus"))
    monkeypatch.setenv("PLEXUS_URL", served.url)
    for _start in range(2):
        with Plexus(api_key=served.key, source_id="rig-01", status=MemoryStatus()) as px:
            assert px.flush_buffer(30.0)
    eventually(lambda: served.values("rig-01", "motor.rpm") == list(range(COUNT)), 20.0, "the backlog")
    assert rows(old) == 0


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT COUNT(*) FROM points").fetchone()[0])
