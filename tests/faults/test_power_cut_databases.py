"""Whatever a power cut leaves of keys, registry, commands, audit trail and tallies: what was answered is there.

Each database lives a life through its adapter (`tests/support/databases.py`): it is opened, changed, closed and opened
again, and what is done to its files is recorded on SQLite's own file system layer. Then the power is cut at any point
of it, and the shipped adapter opens what was left: every change that had returned is there, the one that was going on
is there whole or not at all, and no start fails.

    POWER_CUT_STATES=1000 python -m pytest tests/faults/test_power_cut_databases.py

A failure prints how to see it again: POWER_CUT_SEED and POWER_CUT_STATE.
"""

from __future__ import annotations

import os
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from plexus.adapters.sqlitefile import SqliteFile, damage
from plexus.domain.errors import StoreError
from tests.support.databases import KINDS, Kind
from tests.support.powercut import after_a_cut, with_names
from tests.support.recording_vfs import Entry, recorded

SEED = int(os.environ.get("POWER_CUT_SEED", "20261130"))
STATES = int(os.environ.get("POWER_CUT_STATES", "500")) // 20
ONE = os.environ.get("POWER_CUT_STATE")
STATES_A_LIFE = 50
DONE = "done"


@attrs.frozen
class Life:
    """What was done to the files, with `DONE` after each change that had returned; and the answers after each."""

    record: list[Entry | str]
    answers: list[Any]


def live(kind: Kind, folder: Path, seed: int) -> Life:
    """A life in which the file is closed and opened again now and then, and its log written back in between.

    Some begin with a file of the first format, which is taken over.
    """
    luck, path, answers = random.Random(seed), folder / kind.file, []
    folder.mkdir()
    with recorded() as recorder:
        if kind.first_format is not None and luck.random() < 0.5:
            SqliteFile(path, kind.first_format).close()
        database = _opened(kind, path)
        try:
            answers.append(kind.answers(database))
            for op in kind.ops(luck):
                op(database)
                recorder.note(DONE)
                answers.append(kind.answers(database))
                if luck.random() < 0.2:
                    database.close()
                    database = _opened(kind, path)
        finally:
            database.close()
    inside = str(folder)
    entries = [one for one in recorder.entries if not isinstance(one, Entry) or one.path.startswith(inside)]
    return Life(with_names(entries), answers)


def _opened(kind: Kind, path: Path) -> Any:
    database: Any = kind.open(path)
    # As after many changes: the log goes into the file, and is written from its beginning again.
    database._file._connection.execute("PRAGMA wal_autocheckpoint=5")
    return database


def judge(kind: Kind, life: Life, at: int, cut: random.Random, folder: Path) -> None:
    """Make what a cut before entry `at` may leave, and open it."""
    folder.mkdir()
    for name, content in after_a_cut(life.record, at, cut).items():
        (folder / name).write_bytes(content)
    done = life.record[:at].count(DONE)
    for _ in range(2):  # the start that mends it, and one after it
        try:
            database = kind.open(folder / kind.file)
        except StoreError as exc:
            raise AssertionError(f"it does not start: {exc}") from exc
        with closing(database):
            assert kind.answers(database) in life.answers[done : done + 2]
    assert damage(folder / kind.file) == []


def judge_states(kind: Kind, tmp_path: Path, numbers: range, seed: int) -> None:
    number_of_life, life = -1, Life([], [])
    for number in numbers:
        if number // STATES_A_LIFE != number_of_life:
            number_of_life = number // STATES_A_LIFE
            life = live(kind, tmp_path / f"life{number_of_life}", seed + number_of_life)
        cut = random.Random(f"{seed} {number}")
        at = cut.randint(0, len(life.record))
        try:
            judge(kind, life, at, cut, tmp_path / f"state{number}")
        except AssertionError as exc:
            again = f"POWER_CUT_SEED={seed} POWER_CUT_STATE={number} python -m pytest {Path(__file__).name}"
            raise AssertionError(f"the power was cut before entry {at} of {len(life.record)}; again: {again}") from exc


@pytest.mark.timeout(60 + STATES)
@pytest.mark.parametrize("name", KINDS)
def test_what_was_answered_survives_any_power_cut_whole(tmp_path: Path, name: str) -> None:
    judge_states(KINDS[name], tmp_path, range(STATES) if ONE is None else range(int(ONE), int(ONE) + 1), SEED)


def test_a_file_that_does_not_flush_its_changes_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = SqliteFile._prepare

    def careless(file: SqliteFile, schemas: Any) -> None:
        prepare(file, schemas)
        file._connection.execute("PRAGMA synchronous=NORMAL")

    monkeypatch.setattr(SqliteFile, "_prepare", careless)
    with pytest.raises(AssertionError, match="the power was cut"):
        judge_states(KINDS["keys"], tmp_path, range(60), SEED)
