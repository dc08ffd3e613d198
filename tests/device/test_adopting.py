"""What released SDKs left in their buffers is taken over once, whatever happens meanwhile."""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.buffer.released import Taking
from plexus.adapters.codec.json import JsonCodec
from plexus.adapters.deadletters.memory import MemoryDeadLetters
from plexus.client.adopting import ROWS_A_BATCH, Adoption, adopt_released
from plexus.client.spooling import Keeping, keep_for_source, keep_in_file
from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch
from plexus.testing.contracts.buffer import every, record

LARGE = 1_000_000


def leave(path: Path, rows: Iterable[object]) -> None:
    """As the released SDKs do it; text is taken as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS points (id INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL)")
        texts = [(row if isinstance(row, str) else json.dumps(row),) for row in rows]
        db.executemany("INSERT INTO points (data) VALUES (?)", texts)
        db.commit()


def left(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return [json.loads(text) for (text,) in db.execute("SELECT data FROM points ORDER BY id")]


def a_point(number: int, **more: object) -> dict[str, object]:
    stamp = 1_746_969_660_000 + number
    return {"class": "metric", "metric": "motor.rpm", "value": number, "timestamp": stamp, "tags": {"a": "b"}, **more}


def points(batches: Iterable[Batch]) -> list[Any]:
    return [point for batch in batches for point in json.loads(batch.body)]


def an_adoption(own: Buffer, letters: MemoryDeadLetters | None = None, former: Sequence[str] = ()) -> Adoption:
    return Adoption("rig-01", frozenset(former), own, letters or MemoryDeadLetters(), JsonCodec())


@pytest.fixture
def own() -> MemoryBuffer:
    return MemoryBuffer(LARGE)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return tmp_path / "buffer.db"


# --- what moves ---------------------------------------------------------------------------------------------


def test_all_rows_move_in_order_and_leave_the_old_file(old: Path, own: MemoryBuffer) -> None:
    leave(old, [a_point(number) for number in range(2 * ROWS_A_BATCH + 5)])
    assert an_adoption(own).take_over(old) == (2 * ROWS_A_BATCH + 5, 0)
    assert [batch.count for batch in every(own)] == [ROWS_A_BATCH, ROWS_A_BATCH, 5]
    assert [point["value"] for point in points(every(own))] == list(range(2 * ROWS_A_BATCH + 5))
    assert left(old) == []


def test_a_point_comes_over_whole(old: Path, own: MemoryBuffer) -> None:
    rows = [
        a_point(1, run_id="thermal-1"),
        {"class": "event", "metric": "mode", "value": {"to": "auto"}, "timestamp": 1_746_969_660_001},
        {"class": "metric", "metric": "state", "value": "RUNNING", "timestamp": 1_746_969_660},
    ]
    leave(old, rows)
    an_adoption(own).take_over(old)
    found = points(every(own))
    assert found[0] == rows[0]
    assert found[1] == rows[1]
    assert found[2] == {**rows[2], "timestamp": 1_746_969_660_000}
    (batch,) = every(own)
    assert (batch.first_ms, batch.last_ms) == (1_746_969_660_000.0, 1_746_969_660_001.0)
    assert "any_metric" in batch.needs


def test_nan_as_python_writes_it_comes_over(old: Path, own: MemoryBuffer) -> None:
    leave(old, [a_point(0, value=math.nan)])
    an_adoption(own).take_over(old)
    (batch,) = every(own)
    assert points([batch])[0]["value"] == "NaN"
    assert "non_finite" in batch.needs


def test_a_point_without_a_time_is_as_old_as_the_file(old: Path, own: MemoryBuffer) -> None:
    leave(old, [{"metric": "a", "value": 1}])
    before = old.stat().st_mtime_ns
    an_adoption(own).take_over(old)
    assert every(own)[0].first_ms == before / 1e6


def test_points_of_other_sources_stay_for_their_client(old: Path, own: MemoryBuffer) -> None:
    rows = [a_point(0, source_id="rig-01"), a_point(1, source_id="rig-02"), a_point(2), a_point(3, source_id="old")]
    leave(old, rows)
    assert an_adoption(own, former=["old"]).take_over(old) == (3, 0)
    assert left(old) == [rows[1]]
    # The name that the gateway knows this device by now is the session's.
    assert [(point["value"], point.get("source_id")) for point in points(every(own))] == [
        (0, None),
        (2, None),
        (3, None),
    ]


def test_what_has_to_make_room_is_on_the_record(old: Path) -> None:
    own = MemoryBuffer(ROWS_A_BATCH)
    leave(old, [a_point(number) for number in range(ROWS_A_BATCH + 1)])
    an_adoption(own).take_over(old)
    assert [(loss.reason, loss.count) for loss in record(own)] == [("buffer_full", ROWS_A_BATCH)]


def test_a_row_that_is_no_point_is_set_aside_and_counted(old: Path, own: MemoryBuffer) -> None:
    letters = MemoryDeadLetters()
    bad = ["{", '"text"', '{"value": 1}', '{"metric": "a", "value": {"b": NaN}}', "[" * 100_000]
    leave(old, [a_point(0), *bad, a_point(1)])
    assert an_adoption(own, letters).take_over(old) == (2, 5)
    assert record(own) == [Loss("unreadable", 5)]
    assert [letter.points[0].value for letter in letters.letters] == bad
    assert letters.letters[2].detail == f"row 4 of {old}: metric must be a string"
    assert left(old) == []


# --- once ---------------------------------------------------------------------------------------------------


def test_a_kill_half_way_finds_the_same_batches_again(old: Path, own: MemoryBuffer, monkeypatch: Any) -> None:
    leave(old, [a_point(number) for number in range(10)])
    with monkeypatch.context() as killed:
        killed.setattr(Taking, "delete", lambda _taking, _numbers: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            an_adoption(own).take_over(old)
    first = every(own)
    assert len(left(old)) == 10
    an_adoption(own).take_over(old)
    assert every(own) == first
    other = MemoryBuffer(LARGE)
    leave(old, [])
    assert an_adoption(other).take_over(old) == (0, 0)


def test_the_name_of_a_batch_follows_from_its_rows_and_their_file(tmp_path: Path) -> None:
    names = []
    for file, first in (("a/buffer.db", 0), ("b/buffer.db", 0), ("c/buffer.db", 1), ("d/buffer-rig-01.db", 0)):
        own = MemoryBuffer(LARGE)
        leave(tmp_path / file, [a_point(first)])
        an_adoption(own).take_over(tmp_path / file)
        names.append(every(own)[0].stream)
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_a_spool_that_takes_nothing_leaves_the_rows_where_they_are(old: Path, own: MemoryBuffer) -> None:
    leave(old, [a_point(0)])

    def full(_batches: Iterable[Batch], _spared: Iterable[Batch] = ()) -> list[Batch]:
        raise BufferFault("the disk is full")

    own.append = full  # type: ignore[method-assign, assignment]
    said: list[str] = []
    adopt_released([old], an_adoption(own), old.with_name("lock"), said.append)
    assert said == ["the disk is full"]
    assert len(left(old)) == 1


def test_two_clients_that_start_at_once_send_each_row_once(tmp_path: Path) -> None:
    leave(tmp_path / "buffer.db", [a_point(number) for number in range(3_000)])
    program = (
        "import sys\nfrom pathlib import Path\nfrom plexus.client.spooling import keep_for_source\n"
        "keeping = keep_for_source(Path(sys.argv[1]), 'rig-01', 100_000, print)\n"
        "print(keeping.own.points, flush=True)\nsys.stdin.read()\nkeeping.own.close()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    clients = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    # None ends before all have said what they have: what one leaves behind, a later one takes over.
    found = [int(client.stdout.readline()) for client in clients if client.stdout is not None]
    for client in clients:
        client.communicate("", timeout=60)
    assert sum(found) == 3_000


# --- which files --------------------------------------------------------------------------------------------


def closed(keeping: Keeping) -> None:
    for buffer in (keeping.own, *keeping.adopted):
        buffer.close()


def test_both_kinds_of_file_are_taken_over_at_the_first_start(tmp_path: Path) -> None:
    leave(tmp_path / "buffer.db", [a_point(0)])
    leave(tmp_path / "buffer-rig-01.db", [a_point(1), "{"])
    leave(tmp_path / "buffer-rig-02.db", [a_point(2)])
    keeping = keep_for_source(tmp_path, "rig-01", LARGE, pytest.fail)
    assert [point["value"] for point in points(every(keeping.own))] == [0, 1]
    assert keeping.unreadable == 1
    assert keeping.letters is not None
    assert "unreadable" in (tmp_path / "spool" / "dead-letters.jsonl").read_text()
    assert len(left(tmp_path / "buffer-rig-02.db")) == 1
    closed(keeping)
    again = keep_for_source(tmp_path, "rig-01", LARGE, pytest.fail)
    assert (again.own.points, again.unreadable) == (2, 0)
    closed(again)


def test_a_file_that_the_program_named_stays_what_it_is(tmp_path: Path) -> None:
    named = tmp_path / "mine.db"
    leave(named, [a_point(0), a_point(1)])
    keeping = keep_in_file(named, "rig-01", LARGE, pytest.fail)
    assert keeping.own.points == 2
    assert keeping.own.durable
    closed(keeping)
    assert left(named) == []
    again = keep_in_file(named, "rig-01", LARGE, pytest.fail)
    assert again.own.points == 2
    closed(again)


def test_a_file_that_somebody_holds_is_named_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "buffer.db"
    leave(path, [a_point(0)])
    monkeypatch.setattr("plexus.adapters.buffer.released.WAIT_S", 0.0)
    said: list[str] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        keeping = keep_for_source(tmp_path, "rig-01", LARGE, said.append)
        assert keeping.own.points == 0
        closed(keeping)
    assert len(said) == 1
    assert f"{path} cannot be read: a client of another release has it open" in said[0]
    assert len(left(path)) == 1


@pytest.mark.parametrize("content", [b"garbage" * 1_000, b""])
def test_a_file_that_cannot_be_read_is_named_and_left(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "buffer.db"
    path.write_bytes(content)
    said: list[str] = []
    closed(keep_for_source(tmp_path, "rig-01", LARGE, said.append))
    assert [str(path) in line for line in said] == [True]
    assert path.read_bytes() == content


def test_nothing_is_taken_over_into_memory(tmp_path: Path) -> None:
    leave(tmp_path / "buffer.db", [a_point(0)])
    (tmp_path / "spool").write_text("in the way")
    said: list[str] = []
    keeping = keep_for_source(tmp_path, "rig-01", LARGE, said.append)
    assert not keeping.own.durable
    assert len(left(tmp_path / "buffer.db")) == 1
