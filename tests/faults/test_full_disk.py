"""A full disk: appending is refused, nothing kept is lost, what gives room goes through, and so does a loss.

Everywhere on a disk whose room SQLite's file system layer counts. With FULL_DISK_TMPFS=1 also on a real file system
that is full, in a name space of its own (Linux, `unshare`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from plexus.adapters.buffer.ballast import BALLAST_BYTES
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch
from plexus.testing.contracts.buffer import a_batch, every, record, same
from tests.support.recording_vfs import recorded
from tests.support.tmpfs import needs_tmpfs, on_tmpfs

CAPACITY = 4 * 1024 * 1024
LARGE = 10_000_000


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def fill(buffer: SqliteBuffer) -> list[Batch]:
    """Append until the disk is full; what was taken."""
    taken: list[Batch] = []
    while len(taken) < 10_000:
        batch = a_batch(len(taken) + 1, body=os.urandom(3_000))
        try:
            buffer.append([batch])
        except BufferFault as exc:
            if "the disk is full" not in str(exc):
                raise
            return taken
        taken.append(batch)
    raise AssertionError("the disk is never full")


def live(path: Path) -> None:
    """All that a spool may be asked for on a full disk."""
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        taken = fill(buffer)
        assert len(taken) > 100
        assert same(every(buffer), taken)
        buffer.lose([Loss("malformed", 7)])
        half = len(taken) // 2
        buffer.release(taken[:half])
        assert same(every(buffer), taken[half:])
    with closing(SqliteBuffer(path, 10 * (len(taken) - half))) as buffer:
        # A kill on a full disk may have brought deliveries back; an end in good order has not.
        assert same(every(buffer), taken[half:])
        assert record(buffer) == [Loss("malformed", 7)]
        for number in range(100):
            assert same(buffer.append([a_batch(20_000 + number, body=os.urandom(3_000))]), [taken[half + number]])
        assert {loss.reason: loss.count for loss in record(buffer)} == {"buffer_full": 1_000, "malformed": 7}


def live_full(path: Path) -> None:
    """What makes room makes it at once, when there is nothing to delete before."""
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        taken = fill(buffer)
        buffer._max_points = buffer.points
        for number in range(300):
            assert same(buffer.append([a_batch(20_000 + number, body=os.urandom(2_000))]), [taken[number]])
        assert [(loss.reason, loss.count) for loss in record(buffer)] == [("buffer_full", 3_000)]
        buffer.lose([Loss("malformed", 1)])
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        assert buffer.points == 10 * len(taken)
        assert record(buffer)[1] == Loss("malformed", 1)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(CAPACITY, CAPACITY - room(folder), room(folder)))
    return folder / "spool.db"


def room(folder: Path) -> int:
    return CAPACITY - sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("life", [live, live_full])
def test_on_a_full_disk_nothing_is_lost_and_what_gives_room_goes_through(
    path: Path, life: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plexus.adapters.buffer.ballast._ROOM_BYTES", 2 * BALLAST_BYTES)
    with recorded() as disk:
        disk.free = lambda: room(path.parent)
        life(path)


ON_TMPFS = """
import sys
from pathlib import Path
from plexus.adapters.buffer import ballast
from tests.faults import test_full_disk
ballast._ROOM_BYTES = 2 * ballast.BALLAST_BYTES
test_full_disk.%s(Path(sys.argv[1]) / "spool.db")
"""


@needs_tmpfs
@pytest.mark.parametrize("life", ["live", "live_full"])
def test_the_same_on_a_real_file_system_that_is_full(tmp_path: Path, life: str) -> None:
    on_tmpfs(tmp_path, 4, ON_TMPFS % life)
