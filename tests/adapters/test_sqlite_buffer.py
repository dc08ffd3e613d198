"""The spool's file: private, flushed, held by one, the same at any depth."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.buffer import records
from plexus.adapters.buffer.spoolfile import SpoolHeld
from plexus.adapters.buffer.sqlite import FLUSH_AFTER, SqliteBuffer
from plexus.domain.errors import BufferFault, ConfigurationError
from plexus.testing.contracts.buffer import a_batch, every, same
from tests.support.recording_vfs import flushed_between, recorded
from tests.support.spoolkit import LARGE, kept, mode, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".plexus" / "spool.db"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


# --- privacy ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("open_umask")
def test_file_log_and_directories_are_private_whatever_the_umask(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
        found = {name.name: mode(name) for name in path.parent.iterdir()}
        assert found == dict.fromkeys(("spool.db", "spool.db-wal", "spool.db.ballast"), 0o600)
        assert mode(path.parent) == mode(path.parent.parent) == 0o700


def test_a_file_that_others_could_read_is_made_private(path: Path) -> None:
    SqliteBuffer(path, LARGE).close()
    path.chmod(0o644)
    SqliteBuffer(path, LARGE).close()
    assert mode(path) == 0o600


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    SqliteBuffer(tmp_path / "spool.db", LARGE).close()
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("name", ["spool.db", "spool.db-wal", "spool.db-journal"])
def test_a_symbolic_link_in_its_place_is_refused_and_left(path: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "passwords"
    target.write_text("secret")
    path.parent.mkdir(parents=True)
    (path.parent / name).symlink_to(target)
    with pytest.raises(BufferFault, match=rf"{name} is a symbolic link"):
        SqliteBuffer(path, LARGE)
    assert target.read_text() == "secret"


def test_names_are_flushed_with_their_directories(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    SqliteBuffer(path, LARGE).close()
    directories = (path.parent, path.parent.parent, path.parent.parent.parent)
    assert {directory.stat().st_ino for directory in directories} <= set(flushed)


# --- durability ---------------------------------------------------------------------------------------------


def test_a_batch_is_flushed_before_append_returns(path: Path) -> None:
    with recorded() as recorder, closing(SqliteBuffer(path, LARGE)) as buffer:
        recorder.note("begin")
        buffer.append([a_batch(1)])
        recorder.note("end")
        assert flushed_between(recorder.entries, "begin", "end", "spool.db-wal")


def test_what_a_killed_process_appended_is_there_and_nobody_holds_it(path: Path) -> None:
    killed = run(
        "buffer = SqliteBuffer(path, 1000)\n"
        "buffer.append([a_batch(1)]); buffer.append([a_batch(2), a_batch(3)])\n"
        "buffer.release([a_batch(1)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        path,
    )
    assert killed.returncode == -signal.SIGKILL
    # The release was not flushed: the batch is there again, under its name.
    assert same(kept(path), [a_batch(1), a_batch(2), a_batch(3)])


def statements(buffer: SqliteBuffer, work: Callable[[], object]) -> list[str]:
    seen: list[str] = []
    connection: Any = buffer._connection
    connection.set_trace_callback(seen.append)
    try:
        work()
    finally:
        connection.set_trace_callback(None)
    return seen


def test_releases_wait_for_a_change_that_takes_rows_away_and_cost_no_commit_of_their_own(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1), a_batch(2)])
        assert not [line for line in statements(buffer, lambda: buffer.release([a_batch(1)])) if "COMMIT" in line]
        assert not [line for line in statements(buffer, lambda: buffer.append([a_batch(3)])) if "DELETE" in line]
        lines = statements(buffer, lambda: buffer.replace([a_batch(2)], []))
        deleted = [line for line in lines if line.startswith("DELETE")]
        assert deleted == ["DELETE FROM batches WHERE id = 1", "DELETE FROM batches WHERE id = 2"]
        assert lines.count("COMMIT") == 1


def test_releases_that_pile_up_leave_together(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        batches = [a_batch(n, body=b"x") for n in range(1, FLUSH_AFTER + 1)]
        buffer.append(batches)
        assert "COMMIT" in statements(buffer, lambda: buffer.release(batches))


# --- depth --------------------------------------------------------------------------------------------------


def steps(buffer: SqliteBuffer, work: Callable[[], object]) -> int:
    """How many steps SQLite takes for it: a measure of work that no busy machine can stretch."""
    count = [0]

    def step() -> int:
        count[0] += 1
        return 0

    connection: Any = buffer._connection
    connection.set_progress_handler(step, 1)
    try:
        work()
    finally:
        connection.set_progress_handler(None, 0)
    return count[0]


@pytest.fixture
def deep(path: Path) -> Iterator[SqliteBuffer]:
    """500,000 points in 5,000 batches."""
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append(a_batch(n, count=100, body=b"[" + str(n).encode() * 20 + b"]") for n in range(1, 5_001))
        yield buffer


def test_adding_costs_the_same_at_500_000_points_as_at_none(deep: SqliteBuffer, tmp_path: Path) -> None:
    with closing(SqliteBuffer(tmp_path / "empty.db", LARGE)) as empty:
        empty.append([a_batch(1)])
        assert deep.points == 500_000
        at_none, at_depth = (steps(one, lambda one=one: one.append([a_batch(9_999)])) for one in (empty, deep))  # type: ignore[misc]
        assert at_depth <= at_none + 5


def test_looking_past_many_costs_what_looking_at_the_first_costs(deep: SqliteBuffer) -> None:
    first = steps(deep, lambda: deep.oldest(0, 1))
    deep.oldest(4_000, 1)
    assert steps(deep, lambda: deep.oldest(4_000, 1)) <= first
    assert steps(deep, lambda: deep.oldest(4_001, 1)) <= first + 10
    assert deep.oldest(4_001, 1)[0].n == 4_002


def test_releasing_and_making_room_cost_the_same_at_any_depth(deep: SqliteBuffer, tmp_path: Path) -> None:
    with closing(SqliteBuffer(tmp_path / "empty.db", 100)) as small:
        small.append([a_batch(n, count=50) for n in (1, 2)])
        assert steps(deep, lambda: deep.release([a_batch(1)])) <= steps(small, lambda: small.release([a_batch(9)])) + 20
        deep._max_points = deep.points
        assert steps(deep, lambda: deep.append([a_batch(9_999, count=100)])) < 400


def test_nothing_is_counted_while_it_is_used(deep: SqliteBuffer) -> None:
    def use() -> None:
        deep.append([a_batch(9_999)])
        deep.release(deep.oldest(2, 2))
        assert deep.points == 500_000 + 10 - 200

    assert not [line for line in statements(deep, use) if "COUNT(" in line.upper() or "SUM(" in line.upper()]


# --- packing ------------------------------------------------------------------------------------------------


def packings(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [packing for (packing,) in connection.execute("SELECT packing FROM batches ORDER BY id")]


def test_bodies_are_packed_by_zstandard_and_small_ones_left_alone(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1), a_batch(2, body=b"small")])
    assert packings(path) == [records.ZSTD, records.PLAIN]


def test_without_zstandard_zlib_packs_and_either_reads_that(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setattr(records, "_zstandard", lambda: None)
        with closing(SqliteBuffer(path, LARGE)) as buffer:
            buffer.append([a_batch(1), a_batch(2)])
            assert same(every(buffer), [a_batch(1), a_batch(2)])
    assert packings(path) == [records.ZLIB, records.ZLIB]
    assert same(kept(path), [a_batch(1), a_batch(2)])


def test_what_zstandard_packed_waits_for_it_and_is_not_taken_for_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
    with monkeypatch.context() as without:
        without.setattr(records, "_zstandard", lambda: None)
        with closing(SqliteBuffer(path, LARGE)) as buffer, pytest.raises(BufferFault, match=r"plexus\[speed\]"):
            buffer.oldest(0, 1)
    assert same(kept(path), [a_batch(1)])


# --- who may open it ----------------------------------------------------------------------------------------


def test_a_second_buffer_of_the_same_process_is_refused_and_harms_nothing(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
        with pytest.raises(SpoolHeld, match=rf"{path} is in use"):
            SqliteBuffer(path, LARGE)
        buffer.append([a_batch(2)])
        assert run("SqliteBuffer(path, 1000)", path).returncode == 1
    assert same(kept(path), [a_batch(1), a_batch(2)])


def test_a_second_process_is_told_which_file_is_in_use(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)):
        other = run(
            "try:\n    SqliteBuffer(path, 1000)\nexcept BufferFault as exc:\n    print(type(exc).__name__, exc)\n", path
        )
        assert other.stdout.startswith(f"SpoolHeld the spool {path} is in use by another client")


def test_a_database_of_somebody_else_is_refused_and_left(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE points (id INTEGER PRIMARY KEY, data TEXT)")
    with pytest.raises(BufferFault, match="no spool of Plexus"):
        SqliteBuffer(path, LARGE)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("points",)]


def test_a_place_that_cannot_be_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BufferFault, match=r"file/spool\.db cannot be opened"):
        SqliteBuffer(tmp_path / "file" / "spool.db", LARGE)
    with pytest.raises(BufferFault, match="is no file"):
        SqliteBuffer(tmp_path, LARGE)


def test_a_bound_of_nothing_is_a_configuration_error(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least 1 point"):
        SqliteBuffer(path, 0)


def test_a_closed_spool_says_so(path: Path) -> None:
    buffer = SqliteBuffer(path, LARGE)
    buffer.close()
    with pytest.raises(BufferFault, match=rf"{path} is not open: it was closed"):
        buffer.append([a_batch(1)])


def test_a_forked_child_leaves_the_parents_spool_alone_even_at_its_own_end(path: Path) -> None:
    parent = run(
        "import warnings; warnings.simplefilter('ignore')\n"
        "buffer = SqliteBuffer(path, 1000)\n"
        "buffer.append([a_batch(1)])\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        "        buffer.append([a_batch(9)])\n"
        "    except BufferFault as exc:\n"
        "        assert 'belongs to the parent process' in str(exc)\n"
        "    buffer.close(); del buffer\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "buffer.append([a_batch(2)])\n"
        "assert path.with_name('spool.db-wal').exists()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        path,
    )
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    assert same(kept(path), [a_batch(1), a_batch(2)])
