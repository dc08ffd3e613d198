"""What a released client could not deliver before the upgrade is delivered by ours, once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
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


@pytest.mark.parametrize("version", list(FILES))
def test_the_backlog_of_a_released_client_is_delivered_once_by_ours(
    version: str, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "peer-home"
    home.mkdir()
    base = time.time() - 60
    arguments = {"api_key": served.key, "source_id": "rig-01", "timeout": 0.5}
    peer = Released(install(version, ROOT / ".cache" / "peers"), home, NOWHERE, arguments)
    assert peer.do("send", metric="motor.rpm", first=0, count=COUNT, base=base) == COUNT
    peer.end()
    old = home / ".plexus" / FILES[version]
    assert rows(old) == COUNT

    monkeypatch.setenv("PLEXUS_HOME", str(home / ".plexus"))
    monkeypatch.setenv("PLEXUS_URL", served.url)
    for _start in range(2):
        with Plexus(api_key=served.key, source_id="rig-01", status=MemoryStatus()) as px:
            assert px.flush_buffer(30.0)
    eventually(lambda: served.values("rig-01", "motor.rpm") == list(range(COUNT)), 20.0, "the backlog")
    assert rows(old) == 0


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT COUNT(*) FROM points").fetchone()[0])
