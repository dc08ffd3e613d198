"""A disk that fails, is full or may not be written."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.buffer import mending
from plexus.adapters.buffer.ballast import BALLAST_BYTES
from plexus.adapters.buffer.sqlite import FLUSH_AFTER, SqliteBuffer
from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.testing.contracts.buffer import a_batch, a_declaration, every, eviction, record, same
from tests.support.recording_vfs import FULL, IOERR_FSYNC, IOERR_WRITE, Recorder, recorded
from tests.support.spoolkit import LARGE, kept, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".plexus" / "spool.db"


@pytest.fixture
def disk() -> Iterator[Recorder]:
    with recorded() as recorder:
        yield recorder


def names(path: Path) -> set[str]:
    return {name.name for name in path.parent.iterdir()}


# --- a disk that fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "code"), [("sync", IOERR_FSYNC), ("write", IOERR_WRITE)])
def test_a_disk_that_fails_once_costs_nothing(
    path: Path, disk: Recorder, action: Any, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(n) for n in (1, 2, 3)])
        buffer.release([a_batch(2)])
        disk.fail(action, "spool.db-wal", code, times=1)
        assert buffer.append([a_batch(4)]) == []
        assert same(every(buffer), [a_batch(1), a_batch(3), a_batch(4)])
        assert (buffer.points, buffer.lost_points, record(buffer)) == (30, 0, [])
        buffer.append([a_batch(5)])
    assert same(kept(path), [a_batch(n) for n in (1, 3, 4, 5)])
    assert "spool.db.failed-1" in names(path)
    assert "the disk failed under the spool" in caplog.text
    assert "spool.db.failed-1" in caplog.text


def test_the_flush_that_failed_is_not_tried_again(path: Path, disk: Recorder) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
        before = path.stat().st_ino
        disk.fail("sync", "spool.db-wal", IOERR_FSYNC, times=1)
        buffer.append([a_batch(2)])
        assert path.stat().st_ino != before
        assert path.with_name("spool.db.failed-1").stat().st_ino == before


def test_a_loss_is_recorded_once_though_the_flush_failed(path: Path, disk: Recorder) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.lose([Loss("malformed", 1)])
        disk.fail("sync", "spool.db-wal", IOERR_FSYNC, times=1)
        buffer.lose([Loss("malformed", 2)])
        assert record(buffer) == [Loss("malformed", 3)]
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        assert record(buffer) == [Loss("malformed", 3)]


def test_what_makes_room_is_returned_though_the_flush_failed(path: Path, disk: Recorder) -> None:
    with closing(SqliteBuffer(path, 20)) as buffer:
        buffer.append([a_batch(1), a_batch(2)])
        disk.fail("sync", "spool.db-wal", IOERR_FSYNC, times=1)
        assert same(buffer.append([a_batch(3)]), [a_batch(1)])
        assert record(buffer) == [eviction(1)]
        assert same(every(buffer), [a_batch(2), a_batch(3)])


def test_a_declaration_is_made_once_though_the_flush_failed(path: Path, disk: Recorder) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.lose([Loss("malformed", 5)])
        disk.fail("sync", "spool.db-wal", IOERR_FSYNC, times=1)
        buffer.declare(a_declaration(1, Loss("malformed", 3)))
        assert record(buffer) == [Loss("malformed", 2)]
        assert len(every(buffer)) == 1


def test_what_cannot_be_taken_over_is_on_the_record(path: Path, disk: Recorder) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(n, body=os.urandom(2_000)) for n in range(1, 41)])
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        # By another process: this one must not close a descriptor of its own locked file.
        place = str(path.stat().st_size // 2 // 512 * 512)
        run("f = path.open('r+b'); f.seek(int(sys.argv[2])); f.write(b'\\xff' * 4096); f.close()", path, place)
        disk.fail("sync", "spool.db-wal", IOERR_FSYNC, times=1)
        buffer.append([a_batch(99)])
        assert buffer.lost_points == 410 - buffer.points > 0
        assert record(buffer) == [Loss("spool_fault", buffer.lost_points)]


def test_a_disk_that_goes_on_failing_closes_the_spool_and_what_was_kept_is_there(path: Path, disk: Recorder) -> None:
    buffer = SqliteBuffer(path, LARGE)
    buffer.append([a_batch(1)])
    disk.fail("sync", "", IOERR_FSYNC)
    for words in ("no new one can be made", "is not open: the disk failed under it"):
        with pytest.raises(BufferFault, match=words):
            buffer.append([a_batch(2)])
    buffer.close()
    disk.heal()
    assert kept(path)[0].n == 1
    assert not [name for name in names(path) if "failed" in name or "next" in name]


def test_a_batch_that_the_file_system_does_not_take_closes_the_spool_and_what_was_kept_is_there(path: Path) -> None:
    failed = run(
        "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "buffer = SqliteBuffer(path, 1000)\n"
        "buffer.append([a_batch(1)])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "for attempt in range(2):\n"
        "    try:\n"
        "        buffer.append([a_batch(2, body=os.urandom(500_000))])\n"
        "    except BufferFault as exc:\n"
        "        print(exc)\n",
        path,
    )
    first, second = failed.stdout.splitlines()
    assert "the disk failed under the spool" in first
    assert "is not open: the disk failed under it" in second
    assert same(kept(path), [a_batch(1)])


# --- a kill while a new file takes the place of the broken one ------------------------------------------------

KILLED_AT = """
calls = 0
real = Path.rename
def rename(self, target):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
Path.rename = rename
try:
    SqliteBuffer(path, 10_000).close()
except BaseException as exc:
    print(type(exc), exc)
"""


@pytest.mark.parametrize("number", [1, 2])
def test_mending_that_was_killed_is_ended_at_the_next_start(path: Path, number: int) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        batches = [a_batch(n, body=os.urandom(2_000)) for n in range(1, 41)]
        buffer.append(batches)
        buffer.lose([Loss("malformed", 1)])
    content = bytearray(path.read_bytes())
    middle = content.index(batches[20].digest.encode()) // 512 * 512
    content[middle : middle + 512] = bytes(512)
    path.write_bytes(content)
    assert run(KILLED_AT, path, number).returncode < 0
    assert "spool.db.next" in names(path)
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        found = every(buffer)
        assert same(found, [batch for batch in batches if batch.n in {one.n for one in found}])
        lost = 400 - buffer.points
        assert record(buffer) == [Loss("malformed", 1), Loss("spool_damaged", lost)]
        assert 0 < lost < 100
    assert "spool.db.next" not in names(path)


def test_a_new_file_that_was_not_finished_is_begun_anew(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
    SqliteBuffer(path.with_name("spool.db.next"), LARGE).close()
    assert same(kept(path), [a_batch(1)])
    assert "spool.db.next" not in names(path)


def test_two_do_not_mend_one_file(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
        with closing(SqliteBuffer(path.with_name("spool.db.next"), LARGE)):
            other = run(
                "try:\n    SqliteBuffer(path, 9)\nexcept BufferFault as exc:\n    print(type(exc).__name__)", path
            )
            assert other.stdout == "SpoolHeld\n"
        path.with_name("spool.db.next").unlink()


def test_a_symbolic_link_in_the_place_of_the_new_file_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.with_name("spool.db.next").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BufferFault, match=r"spool\.db\.next is a symbolic link"):
        SqliteBuffer(path, LARGE)


def test_where_no_new_file_can_be_made_a_damaged_one_stays_in_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"garbage" * 1_000)

    def refuse(_path: Path) -> sqlite3.Connection:
        raise BufferFault("Read-only file system")

    monkeypatch.setattr(mending, "open_file", refuse)
    with pytest.raises(BufferFault, match="no new one can be made: Read-only file system"):
        SqliteBuffer(path, LARGE)
    assert path.read_bytes() == b"garbage" * 1_000


# --- a full disk --------------------------------------------------------------------------------------------


def test_a_full_disk_is_a_buffer_fault_and_changes_nothing(path: Path, disk: Recorder) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
        disk.fail("write", "", FULL)
        with pytest.raises(BufferFault, match=rf"{path} cannot grow: the disk is full"):
            buffer.append([a_batch(3), a_batch(2)])
        assert buffer.points == 10
        assert same(every(buffer), [a_batch(1)])
        disk.heal()
        buffer.append([a_batch(2)])
        assert same(every(buffer), [a_batch(1), a_batch(2)])
    assert "spool.db.failed-1" not in names(path)


def test_the_ballast_is_real_and_private(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)):
        ballast = path.with_name("spool.db.ballast")
        found = ballast.stat()
        assert (found.st_size, found.st_mode & 0o777) == (BALLAST_BYTES, 0o600)
        assert found.st_blocks * 512 >= BALLAST_BYTES


@pytest.mark.parametrize("what", ["lose", "evict", "replace", "declare", "close"])
def test_on_a_full_disk_the_ballast_is_let_go_for_what_gives_room_or_tells_of_a_loss(
    path: Path, disk: Recorder, what: str
) -> None:
    buffer = SqliteBuffer(path, 20)
    buffer.append([a_batch(1), a_batch(2)])
    ballast = path.with_name("spool.db.ballast")
    real = buffer._ballast.let_go

    def let_go() -> bool:
        disk.heal()
        return real()

    buffer._ballast.let_go = let_go  # type: ignore[method-assign]
    buffer._ballast.fill = lambda: None  # type: ignore[method-assign]
    if what == "close":
        buffer.release([a_batch(1)])
    disk.fail("write", "", FULL)
    {
        "lose": lambda: buffer.lose([Loss("malformed", 1)]),
        "evict": lambda: buffer.append([a_batch(3)]),
        "replace": lambda: buffer.replace([a_batch(1)], [a_batch(4)]),
        "declare": lambda: buffer.declare(a_declaration(5)),
        "close": buffer.close,
    }[what]()
    assert not ballast.exists()
    buffer.close()


def test_releases_that_find_no_room_wait_and_raise_nothing(path: Path, disk: Recorder) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        batches = [a_batch(n, body=b"x") for n in range(1, FLUSH_AFTER + 2)]
        buffer.append(batches)
        disk.fail("write", "", FULL)
        buffer.release(batches[:FLUSH_AFTER])
        assert same(every(buffer), batches[FLUSH_AFTER:])
        disk.heal()
        buffer.release(batches[FLUSH_AFTER:])
    assert kept(path) == []


def test_the_ballast_is_made_again_when_there_is_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        ballast = path.with_name("spool.db.ballast")
        buffer._ballast.let_go()
        full = os.statvfs_result((4096, 4096, 100, 9, 9, 0, 0, 0, 0, 255))
        with monkeypatch.context() as filled_up:
            filled_up.setattr(os, "statvfs", lambda _path: full)
            buffer.append([a_batch(1)])
            assert not ballast.exists()
        buffer.append([a_batch(2)])
        assert ballast.stat().st_size == BALLAST_BYTES


# --- a disk that may not be written -------------------------------------------------------------------------


def test_a_read_only_disk_is_said_in_a_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def read_only(name: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT and str(path.parent) in str(name):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(name))
        return real(name, flags, *more, **named)

    path.parent.mkdir(parents=True)
    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(
        BufferFault, match=r"spool\.db cannot be opened: Read-only file system; check that its directory"
    ):
        SqliteBuffer(path, LARGE)
