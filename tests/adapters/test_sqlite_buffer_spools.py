"""The spools of a directory: one a client, and what dead processes left."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from plexus.adapters.buffer.spools import adopt, open_spool
from plexus.protocol.batch import Batch
from plexus.testing.contracts.buffer import a_batch, every, same
from tests.support.spoolkit import LARGE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".plexus" / "spool.db"


def test_a_client_takes_the_first_spool_that_is_free(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path, "rig-01", LARGE)) as first:
        assert first.path.name == "spool-rig-01-1.db"
        with closing(open_spool(tmp_path, "rig-01", LARGE)) as second:
            assert second.path.name == "spool-rig-01-2.db"
        first.append([a_batch(1)])
    with closing(open_spool(tmp_path, "rig-01", LARGE)) as again:
        assert again.path.name == "spool-rig-01-1.db"
        assert same(every(again), [a_batch(1)])


def left_behind(directory: Path, source: str, *batches: Batch, beside: int) -> None:
    """A spool of a process that is gone, while `beside` others had theirs open."""
    others = [open_spool(directory, source, LARGE) for _ in range(beside)]
    with closing(open_spool(directory, source, LARGE)) as spool:
        spool.append(batches)
    for other in others:
        other.close()


def test_what_dead_processes_left_is_adopted(tmp_path: Path) -> None:
    left_behind(tmp_path, "rig-01", a_batch(1), beside=2)
    left_behind(tmp_path, "rig-01", a_batch(2), beside=1)
    with closing(open_spool(tmp_path, "rig-01", LARGE)):
        adopted = adopt(tmp_path, "rig-01", LARGE)
        assert [spool.path.name for spool in adopted] == ["spool-rig-01-2.db", "spool-rig-01-3.db"]
        assert [[batch.n for batch in every(spool)] for spool in adopted] == [[2], [1]]
        assert adopt(tmp_path, "rig-01", LARGE) == []
        for spool in adopted:
            spool.release(every(spool))
            spool.close()
        assert adopt(tmp_path, "rig-01", LARGE) == []


def test_spools_of_other_sources_and_other_files_are_not_adopted(tmp_path: Path) -> None:
    for source in ("rig-01-2", "rig", "rig.01", "rig-011"):
        left_behind(tmp_path, source, a_batch(1), beside=0)
    for name in (
        "buffer.db",
        "buffer-rig-01.db",
        "spool-rig-01-.db",
        "spool-rig-01-1.db.corrupt-1",
        "spool-rig-01-x.db",
    ):
        (tmp_path / name).write_bytes(b"")
    assert adopt(tmp_path, "rig-01", LARGE) == []
    adopted = adopt(tmp_path, "rig", LARGE)
    assert [spool.path.name for spool in adopted] == ["spool-rig-1.db"]
    adopted[0].close()


def test_a_source_that_is_no_file_name_stays_in_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "spools"
    with closing(open_spool(directory, "../../etc/x", LARGE)) as spool:
        assert spool.path.parent == directory


def test_a_spool_that_cannot_be_adopted_is_named_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(tmp_path / "spool-rig-01-4.db")) as connection:
        connection.execute("CREATE TABLE something (a)")
    assert adopt(tmp_path, "rig-01", LARGE) == []
    assert "spool-rig-01-4.db is a database, but no spool" in caplog.text


def test_adopting_from_a_directory_that_is_not_there_finds_nothing(tmp_path: Path) -> None:
    assert adopt(tmp_path / "none", "rig-01", LARGE) == []
