"""An acknowledgement means that the points are on disk: SQLite's own file layer, recorded, shows it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from plexus import Gateway
from tests.support.recording_vfs import Entry, flushed_between, recorded

KEY = "plx_" + "k" * 40
JOURNAL = "journal.db-wal"
SENT, ACKNOWLEDGED = "the frame is sent", "the acknowledgement is here"


def _converse(data_dir: Path) -> list[Entry | str]:
    """One acknowledged frame over a real socket, and the record of what happened to the files meanwhile."""
    with recorded() as recorder:
        with Gateway(data_dir=data_dir, bootstrap_key=KEY) as gateway, connect(gateway.ws_url + "/ws/device") as link:
            auth = {"type": "device_auth", "api_key": KEY, "source_id": "rig-01", "acks": True}
            link.send(json.dumps(auth))
            assert json.loads(link.recv())["type"] == "authenticated"
            recorder.note(SENT)
            points = [{"class": "metric", "metric": "motor.rpm", "value": index} for index in range(100)]
            link.send(json.dumps({"type": "telemetry", "points": points, "seq": 1}))
            assert json.loads(link.recv()) == {"type": "telemetry_ack", "seq": 1}
            recorder.note(ACKNOWLEDGED)
        return recorder.entries


def test_the_journal_is_flushed_between_a_frame_and_its_acknowledgement(tmp_path: Path) -> None:
    assert flushed_between(_converse(tmp_path), SENT, ACKNOWLEDGED, JOURNAL)


class _Careless(sqlite3.Connection):
    """A store that forgot to ask for flushes: the planted fault."""

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=FULL", "synchronous=OFF"), *arguments)


def test_without_the_flush_the_same_look_at_the_record_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sqlite3.connect

    def careless(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = honest(*arguments, **{**named, "factory": _Careless})
        return connection

    monkeypatch.setattr(sqlite3, "connect", careless)
    assert not flushed_between(_converse(tmp_path), SENT, ACKNOWLEDGED, JOURNAL)
