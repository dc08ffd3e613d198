"""A damaged spool: what can be read of it moves on, and what cannot is counted."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.loss import Loss
from plexus.testing.contracts.buffer import a_batch, every, eviction, record, same
from tests.support.spoolkit import LARGE, filled, kept, mode, overwrite, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".plexus" / "spool.db"


PAGE = 512


def inside(path: Path, body: bytes) -> int:
    """A place in the file at which this body stands: a body goes on from page to page."""
    content = path.read_bytes()
    return next(place for start in range(1_000, 3_000) if (place := content.find(body[start : start + 32])) >= 0)


def test_a_flipped_bit_in_a_body_costs_that_batch_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    batches = filled(path)
    overwrite(path, inside(path, batches[6].body), b"\x00" * 4)
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        assert buffer.points == 400
        assert same(every(buffer), batches[:6] + batches[7:])
        assert (buffer.points, buffer.lost_points) == (390, 10)
        assert record(buffer) == [Loss("spool_damaged", 10)]
        assert "a batch of 10 points" in caplog.text
        assert str(path) in caplog.text
    assert same(kept(path), batches[:6] + batches[7:])


def test_a_damaged_batch_that_must_make_room_is_counted_as_lost(path: Path) -> None:
    batches = filled(path)
    overwrite(path, inside(path, batches[0].body), b"\x00" * 4)
    with closing(SqliteBuffer(path, 390)) as buffer:
        assert same(buffer.append([a_batch(41, count=20)]), batches[1:3])
        assert (buffer.points, buffer.lost_points) == (390, 10)
        assert record(buffer) == [eviction(2).with_more(eviction(3)), Loss("spool_damaged", 10)]


def test_a_damaged_batch_is_lost_once_though_it_was_found_twice(path: Path) -> None:
    batches = filled(path)
    overwrite(path, inside(path, batches[0].body), b"\x00" * 4)
    for _start in range(2):
        with closing(SqliteBuffer(path, LARGE)) as buffer:
            assert len(every(buffer)) == 39
            assert record(buffer) == [Loss("spool_damaged", 10)]


def test_a_damaged_record_of_losses_says_that_something_was_lost(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.lose([Loss("malformed", 1_000_000, 1.0, 2.0), Loss("non_finite", 7)])
    place = path.read_bytes().index((1_000_000).to_bytes(3, "big"))
    overwrite(path, place, (2_000_000).to_bytes(3, "big"))
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        assert record(buffer) == [Loss("non_finite", 7), Loss("spool_damaged", 1)]
    assert "record of losses" in caplog.text


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
        assert record(buffer) == [Loss("spool_damaged", buffer.lost_points)]
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
            "content = path.read_bytes(); leaf = content.index(sys.argv[2].encode()) // 512 * 512\n"
            "file = path.open('r+b'); file.seek(leaf); file.write(b'\\xff' * 512); file.close()\n"
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
