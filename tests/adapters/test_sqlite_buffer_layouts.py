"""Spools that other releases wrote: an older one is brought up in place, a newer one is left alone."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch, Unsynced
from plexus.testing.contracts.buffer import a_batch, a_declaration, every, record, same
from tests.support.spoolkit import LARGE

LAYOUT_1 = """
    PRAGMA journal_mode=WAL;
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY, stream TEXT NOT NULL, n INTEGER NOT NULL, count INTEGER NOT NULL, digest TEXT NOT NULL,
        needs TEXT NOT NULL, first_ms REAL NOT NULL, last_ms REAL NOT NULL, packing INTEGER NOT NULL,
        checksum INTEGER NOT NULL, body BLOB NOT NULL
    );
    CREATE UNIQUE INDEX names ON batches (stream, n, count);
    PRAGMA user_version=1;
    PRAGMA application_id=1347180545;
"""


def write_layout_1(path: Path, batches: list[Batch]) -> None:
    """As the first release did it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(LAYOUT_1)
        for batch in batches:
            needs = ",".join(sorted(batch.needs))
            facts = (batch.stream, batch.n, batch.count, batch.digest, needs, batch.first_ms, batch.last_ms)
            packed = zlib.compress(batch.body, 1)
            checksum = zlib.crc32(packed, zlib.crc32(repr((facts, 1)).encode()))
            row = (None, *facts, 1, checksum, packed)
            db.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "spool.db"
    write_layout_1(path, [a_batch(n) for n in range(1, 31)])
    return path


def test_a_spool_of_layout_1_gives_all_its_batches(old: Path) -> None:
    with closing(SqliteBuffer(old, LARGE)) as buffer:
        assert same(every(buffer), [a_batch(n) for n in range(1, 31)])
        assert (buffer.points, buffer.lost_points, record(buffer)) == (300, 0, [])


def test_a_spool_of_layout_1_takes_what_only_layout_2_knows(old: Path) -> None:
    rare = attrs.evolve(a_batch(31), unsynced=Unsynced("a-boot", 12.5), losses=(Loss("malformed", 2),))
    with closing(SqliteBuffer(old, LARGE)) as buffer:
        buffer.append([rare])
        buffer.lose([Loss("non_finite", 1)])
        buffer.declare(a_declaration(32, Loss("non_finite", 1)))
        buffer.release([a_batch(n) for n in range(1, 31)])
    with closing(SqliteBuffer(old, LARGE)) as buffer:
        assert same(every(buffer), [rare, a_declaration(32, Loss("non_finite", 1))])
        assert record(buffer) == []
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_damaged_spool_of_layout_1_gives_what_can_be_read(old: Path) -> None:
    content = bytearray(old.read_bytes())
    leaf = content.index(a_batch(9).digest.encode()) // 4096 * 4096
    content[leaf : leaf + 4096] = b"\xff" * 4096
    old.write_bytes(content)
    with closing(SqliteBuffer(old, LARGE)) as buffer:
        found = every(buffer)
        assert same(found, [a_batch(batch.n) for batch in found])
        assert record(buffer) == [Loss("spool_damaged", 300 - buffer.points)]
        assert 0 < buffer.points < 300


def test_a_spool_of_a_newer_release_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    SqliteBuffer(path, LARGE).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=7")
        connection.execute(f"PRAGMA application_id={0x504C5800 + 7}")
    before = path.read_bytes()
    with pytest.raises(BufferFault, match=r"newer release of Plexus \(layout 7, this one knows 2\)"):
        SqliteBuffer(path, LARGE)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.corrupt*"))
