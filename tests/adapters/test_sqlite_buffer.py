"""The spool's file: private, flushed, held by one, the same at any depth, and what becomes of it when it is damaged."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.buffer import records
from plexus.adapters.buffer.spoolfile import SpoolHeld
from plexus.adapters.buffer.spools import adopt, open_spool
from plexus.adapters.buffer.sqlite import FLUSH_AFTER, SqliteBuffer
from plexus.domain.errors import BufferFault, ConfigurationError
from plexus.protocol.batch import Batch
from plexus.testing.contracts.buffer import a_batch, same
from tests.support.recording_vfs import flushed_between, recorded

LARGE = 10_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".plexus" / "spool.db"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def every(buffer: SqliteBuffer) -> list[Batch]:
    return buffer.oldest(0, 1_000_000)


def kept(path: Path) -> list[Batch]:
    """What is in a closed spool."""
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        return every(buffer)


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A process of its own that has a spool's parts at hand."""
    head = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from plexus.adapters.buffer.sqlite import SqliteBuffer\n"
        "from plexus.domain.errors import BufferFault\n"
        "from plexus.testing.contracts.buffer import a_batch\n"
        "path = Path(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", head + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# --- privacy ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("open_umask")
def test_file_log_and_directories_are_private_whatever_the_umask(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
        assert {name.name: mode(name) for name in path.parent.iterdir()} == {"spool.db": 0o600, "spool.db-wal": 0o600}
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


def test_releases_leave_with_the_next_commit_and_cost_none_of_their_own(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1), a_batch(2)])
        assert not [line for line in statements(buffer, lambda: buffer.release([a_batch(1)])) if "COMMIT" in line]
        lines = statements(buffer, lambda: buffer.append([a_batch(3)]))
        assert [line for line in lines if line.startswith("DELETE")] == ["DELETE FROM batches WHERE id = 1"]
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


def test_a_spool_of_a_newer_release_is_refused_and_left(path: Path) -> None:
    SqliteBuffer(path, LARGE).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=7")
        connection.execute(f"PRAGMA application_id={0x504C5800 + 7}")
    with pytest.raises(BufferFault, match=r"newer release of Plexus \(layout 7, this one knows 1\)"):
        SqliteBuffer(path, LARGE)
    assert not list(path.parent.glob("*.corrupt*"))


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


# --- a disk that is full or fails ---------------------------------------------------------------------------


def test_a_full_disk_is_a_buffer_fault_and_changes_nothing(path: Path) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
        connection: Any = buffer._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        large = a_batch(2, body=os.urandom(100_000))
        with pytest.raises(BufferFault, match=rf"{path} cannot grow: the disk is full"):
            buffer.append([a_batch(3), large])
        assert buffer.points == 10
        assert same(every(buffer), [a_batch(1)])
        connection.execute("PRAGMA max_page_count=1000000")
        buffer.append([large])
        assert same(every(buffer), [a_batch(1), large])


def test_a_disk_that_fails_closes_the_spool_and_what_was_kept_is_there(path: Path) -> None:
    failed = run(
        "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "buffer = SqliteBuffer(path, 1000)\n"
        "buffer.append([a_batch(1)])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
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


# --- damage -------------------------------------------------------------------------------------------------

PAGE = 4_096


def filled(path: Path, count: int = 40) -> list[Batch]:
    """A closed spool of batches that do not shrink when they are packed: a few pages each."""
    batches = [a_batch(n, body=os.urandom(6_000)) for n in range(1, count + 1)]
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append(batches)
    return batches


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_flipped_bit_in_a_body_costs_that_batch_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    batches = filled(path)
    place = path.read_bytes().index(batches[6].body[3_900:4_000])
    overwrite(path, place, b"\x00" * 4)
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        assert buffer.points == 400
        assert same(every(buffer), batches[:6] + batches[7:])
        assert (buffer.points, buffer.lost_points) == (390, 10)
        assert "a batch of 10 points" in caplog.text
        assert str(path) in caplog.text
    assert same(kept(path), batches[:6] + batches[7:])


def test_a_damaged_batch_that_must_make_room_is_counted_as_lost(path: Path) -> None:
    batches = filled(path)
    overwrite(path, path.read_bytes().index(batches[0].body[3_900:4_000]), b"\x00" * 4)
    with closing(SqliteBuffer(path, 390)) as buffer:
        assert same(buffer.append([a_batch(41, count=20)]), batches[1:3])
        assert (buffer.points, buffer.lost_points) == (390, 10)


def test_a_broken_page_sets_the_file_aside_and_the_rest_moves_on(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    batches = filled(path)
    content = path.read_bytes()
    # A leaf of the table: the page on which the facts of some batches stand.
    leaf = content.index(batches[20].digest.encode()) // PAGE * PAGE
    overwrite(path, leaf, b"\xff" * PAGE)
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        found = every(buffer)
        assert 0 < len(found) < 40
        assert same(found, [batch for batch in batches if batch.n in {one.n for one in found}])
        assert buffer.lost_points == 400 - buffer.points > 0
        buffer.append([a_batch(99)])
        assert f"{buffer.lost_points} could not be read" in caplog.text
        assert "at least" not in caplog.text
    aside = path.with_name("spool.db.corrupt-1")
    assert aside.exists()
    assert str(aside) in caplog.text
    assert mode(aside) == 0o600


def test_a_broken_index_loses_nothing(path: Path) -> None:
    batches = filled(path)
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'names'").fetchone()[0]
    overwrite(path, (root - 1) * PAGE, b"\xff" * PAGE)
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        assert same(every(buffer), batches)
        assert (buffer.points, buffer.lost_points) == (400, 0)


def test_a_file_that_was_cut_off_gives_what_is_left(path: Path) -> None:
    batches = filled(path)
    os.truncate(path, path.stat().st_size // 2)
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        found = every(buffer)
        assert same(found, [batch for batch in batches if batch.n in {one.n for one in found}])
        assert buffer.lost_points > 0


@pytest.mark.parametrize("content", [b"not a database at all\n" * 500, b"\x00" * 8_192])
def test_a_file_that_is_no_database_any_more_is_set_aside(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
        assert same(every(buffer), [a_batch(1)])
    assert path.with_name("spool.db.corrupt-1").read_bytes() == content
    assert "is damaged" in caplog.text


def test_files_that_were_set_aside_are_all_kept(path: Path) -> None:
    path.parent.mkdir(parents=True)
    for _ in range(3):
        path.write_bytes(b"garbage" * 1_000)
        SqliteBuffer(path, LARGE).close()
    assert sorted(name.name for name in path.parent.glob("*.corrupt-*")) == [
        "spool.db.corrupt-1",
        "spool.db.corrupt-2",
        "spool.db.corrupt-3",
    ]


def test_an_empty_file_is_a_new_spool(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append([a_batch(1)])
    assert not list(path.parent.glob("*.corrupt-*"))


def test_damage_that_comes_while_it_is_open_is_mended_without_a_person(path: Path) -> None:
    batches = filled(path, count=600)
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        assert buffer.oldest(0, 1)[0].n == 1
        buffer.release(batches[:2])
        # By another process: this one must not close a descriptor of its own locked file.
        program = (
            "content = path.read_bytes(); leaf = content.index(sys.argv[2].encode()) // 4096 * 4096\n"
            "file = path.open('r+b'); file.seek(leaf); file.write(b'\\xff' * 4096); file.close()\n"
        )
        assert run(program, path, batches[500].digest).returncode == 0
        found = every(buffer)
        assert same(found, [batch for batch in batches if batch.n in {one.n for one in found}])
        assert found[0].n == 3
        assert buffer.points + buffer.lost_points == 5_980
        buffer.append([a_batch(999)])
        assert every(buffer)[-1].n == 999


def test_whatever_byte_is_flipped_no_batch_comes_back_changed_and_none_is_lost_in_silence(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    batches = [a_batch(n, count=10, body=os.urandom(300)) for n in range(1, 41)]
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append(batches)
    whole = path.read_bytes()
    caplog.set_level(logging.WARNING, logger="plexus")
    for place in [*range(0, 100, 7), *range(100, len(whole), 401)]:
        path.write_bytes(whole)
        overwrite(path, place, bytes([whole[place] ^ 0x55]))
        caplog.clear()
        with closing(SqliteBuffer(path, LARGE)) as buffer:
            found = every(buffer)
            names = {batch.n for batch in found}
            assert same(found, [batch for batch in batches if batch.n in names]), place
            accounted = 10 * len(found) + buffer.lost_points == 400
            assert accounted or "could not be read" in caplog.text, place
        for name in path.parent.iterdir():
            name.unlink()


# --- the spools of a directory ------------------------------------------------------------------------------


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
