"""Whatever a power cut leaves of a store's files: what was acknowledged is there, once, and nothing is damaged.

A store lives a life of every kind of housekeeping (`tests/support/storelife.py`), and what is done to its files is
recorded: to the journal on SQLite's own file system layer, to the history where it flushes, renames and unlinks. Then
the power is cut at any point of it, and the shipped store opens what was left.

    POWER_CUT_STATES=1000 python -m pytest tests/faults/test_power_cut_store.py

A failure prints how to see it again: POWER_CUT_SEED and POWER_CUT_STATE.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import pytest

from plexus.adapters.store.embedded import EmbeddedStore, journal
from plexus.adapters.store.embedded.files import output
from tests.support.powercut import after_a_cut
from tests.support.recording_vfs import Entry, Recorder, recorded
from tests.support.storelife import LOG, UPKEEP, judge, stages

SEED = int(os.environ.get("POWER_CUT_SEED", "20261124"))
STATES = int(os.environ.get("POWER_CUT_STATES", "500")) // 25
ONE = os.environ.get("POWER_CUT_STATE")
STATES_A_LIFE = 50
DONE = "done"


@attrs.frozen
class Flushed:
    """The content of a history's file is on the disk, under the name that it has while it is written."""

    path: Path
    content: bytes


@attrs.frozen
class Renamed:
    """A name that a directory's flush makes durable."""

    path: Path
    target: Path


@attrs.frozen
class Unlinked:
    """A name that a directory's flush makes go for ever."""

    path: Path


@attrs.define
class _Named:
    """A file of the history under one name: is the name certain, was it taken away?"""

    content: bytes
    certain: bool = False
    unlinked: bool = False


def live(data_dir: Path, seed: int) -> list[Any]:
    """Everything that happened, in order; `DONE` after each stage."""
    with (
        recorded() as recorder,
        _history_recorded(recorder),
        closing(EmbeddedStore(data_dir, upkeep=UPKEEP)) as store,
    ):
        for stage in stages(seed, data_dir.parent):
            stage.store(store)
            recorder.note(DONE)
    inside = f"{data_dir}"
    return [entry for entry in recorder.entries if not isinstance(entry, Entry) or entry.path.startswith(inside)]


@contextmanager
def _history_recorded(recorder: Recorder) -> Iterator[None]:
    flush, replace, unlink = output.flush, Path.replace, Path.unlink

    def flushed(file: Any) -> None:
        flush(file)
        path = Path(f"/proc/self/fd/{file.fileno()}").readlink()
        recorder.note(Flushed(path, path.read_bytes()))  # type: ignore[arg-type]  # read by this test alone

    def renamed(path: Path, target: Any) -> Path:
        found = replace(path, target)
        recorder.note(Renamed(path, Path(target)))  # type: ignore[arg-type]  # as above
        return found

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        there = path.exists()
        unlink(path, missing_ok)
        if there:
            recorder.note(Unlinked(path))  # type: ignore[arg-type]  # as above

    with (
        mock.patch.object(output, "flush", flushed),
        mock.patch.object(Path, "replace", renamed),
        mock.patch.object(Path, "unlink", unlinked),
    ):
        yield


def history_after_a_cut(record: list[Any], at: int, cut: random.Random) -> dict[Path, bytes]:
    """The history's files: what is certain is there, what is not may be, whole or in part or under its first name."""
    flushed: dict[Path, bytes] = {}
    names: dict[Path, _Named] = {}
    for entry in record[:at]:
        if isinstance(entry, Flushed):
            flushed[entry.path] = entry.content
        elif isinstance(entry, Renamed):
            names[entry.target] = _Named(flushed.pop(entry.path))
        elif isinstance(entry, Unlinked) and entry.path in names:
            names[entry.path].unlinked = True
        elif isinstance(entry, Entry) and entry.action == "sync_directory":
            folder = Path(entry.path)
            names = {path: one for path, one in names.items() if not (path.parent == folder and one.unlinked)}
            for path, one in names.items():
                one.certain |= path.parent == folder
    left = {path: content for path, content in flushed.items() if cut.random() < 0.5}
    for path, one in names.items():
        gone = cut.random() < 0.5 if one.unlinked or not one.certain else False
        if not gone:
            left[path] = one.content
        elif cut.random() < 0.5:
            left[path.with_name(path.name + ".part")] = one.content[: cut.randrange(len(one.content))]
    return left


def restore(record: list[Any], at: int, cut: random.Random, folder: Path) -> None:
    """Make what a cut before entry `at` may leave."""
    (folder / "data" / "history").mkdir(parents=True)
    plain = [entry for entry in record if isinstance(entry, Entry) and ".parquet" not in entry.path]
    before = sum(1 for entry in record[:at] if isinstance(entry, Entry) and ".parquet" not in entry.path)
    for name, content in after_a_cut(plain, before, cut).items():
        (folder / "data" / name).write_bytes(content)
    for path, content in history_after_a_cut(record, at, cut).items():
        target = folder / "data" / "history" / path.parent.parent.name / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / LOG).write_bytes(b"." * record[:at].count(DONE))


def judge_states(tmp_path: Path, numbers: range, seed: int) -> None:
    record: list[Any] = []
    life = -1
    for number in numbers:
        if number // STATES_A_LIFE != life:
            life = number // STATES_A_LIFE
            record = live(tmp_path / f"life{life}" / "data", seed + life)
        cut = random.Random(f"{seed} {number}")
        at = cut.randint(1, len(record))
        folder = tmp_path / f"state{number}"
        restore(record, at, cut, folder)
        try:
            judge(folder, seed + life)
        except AssertionError as exc:
            again = f"POWER_CUT_SEED={seed} POWER_CUT_STATE={number} python -m pytest {Path(__file__).name}"
            raise AssertionError(f"the power was cut before entry {at} of {len(record)}; again: {again}") from exc


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "DELETED_ROWS", 2)
    monkeypatch.setattr(journal, "REPLAYED_ROWS", 3)


@pytest.mark.timeout(120 + 2 * STATES)
def test_what_was_acknowledged_survives_any_power_cut_once(tmp_path: Path) -> None:
    judge_states(tmp_path, range(STATES) if ONE is None else range(int(ONE), int(ONE) + 1), SEED)


def _nothing(*_: object) -> None:
    """In the place of a flush."""


def test_a_store_that_does_not_flush_names_is_found_out(tmp_path: Path) -> None:
    with (
        mock.patch.object(output, "flush_directory", _nothing),
        pytest.raises(AssertionError, match="the power was cut"),
    ):
        judge_states(tmp_path, range(60), SEED)
