"""A small spool and its log, cut off at every byte and with every byte flipped: what comes back is what went in, and
what does not is counted.

    SPOOL_DAMAGE=all python -m pytest tests/faults/test_damaged_spool.py

A failure names the file, the byte, and the command that replays it (SPOOL_DAMAGE=<number of the case>).
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from plexus.adapters.buffer import ballast, spoolfile
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch
from plexus.testing.contracts.buffer import a_batch, every, record, same
from tests.support.spoolkit import LARGE, run

WHICH = os.environ.get("SPOOL_DAMAGE", "")
SAMPLED = 120
DATABASE, LOG = "spool.db", "spool.db-wal"
IN_FILE, IN_LOG = 12, 6
POINTS = 10
LOSS = Loss("malformed", 3, 1.0, 2.0)


@attrs.frozen
class Case:
    """One damage: a byte flipped by `bits`, or the file cut off there (0)."""

    number: int
    file: str
    place: int
    bits: int


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a spool whose process was killed: some batches in the database, some in the log alone."""
    path = tmp_path_factory.mktemp("whole") / DATABASE
    killed = run(
        "from plexus.domain.loss import Loss\n"
        "buffer = SqliteBuffer(path, 10_000)\n"
        f"for n in range(1, {IN_FILE} + 1): buffer.append([a_batch(n)])\n"
        "buffer.lose([Loss('malformed', 3, 1.0, 2.0)])\n"
        "buffer.close(); buffer = SqliteBuffer(path, 10_000)\n"
        f"for n in range({IN_FILE} + 1, {IN_FILE + IN_LOG} + 1): buffer.append([a_batch(n)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        path,
    )
    assert killed.returncode < 0
    return {name: path.with_name(name).read_bytes() for name in (DATABASE, LOG)}


def all_cases(whole: dict[str, bytes]) -> list[Case]:
    kinds = [(file, bits) for file in (DATABASE, LOG) for bits in (0, 0x55)]
    places = [(file, place, bits) for file, bits in kinds for place in range(len(whole[file]))]
    return [Case(number, *place) for number, place in enumerate(places)]


def chosen(whole: dict[str, bytes]) -> list[Case]:
    cases = all_cases(whole)
    if WHICH.isdigit():
        return [cases[int(WHICH)]]
    return cases if WHICH == "all" else random.Random(20261124).sample(cases, SAMPLED)


def damaged(folder: Path, whole: dict[str, bytes], case: Case) -> Path:
    for name, content in whole.items():
        changed = bytearray(content)
        if name == case.file and case.bits:
            changed[case.place] ^= case.bits
        elif name == case.file:
            del changed[case.place :]
        (folder / name).write_bytes(changed)
    return folder / DATABASE


def fault_of(case: Case, found: list[Batch], losses: list[Loss], warned: str) -> str | None:
    names = {batch.n for batch in found}
    if not same(found, [a_batch(n) for n in range(1, IN_FILE + IN_LOG + 1) if n in names]):
        return f"came back changed: {sorted(names)}"
    told = {loss.reason: loss.count for loss in losses}
    missing = POINTS * (IN_FILE + IN_LOG - len(names))
    if missing and told.get("spool_damaged") == missing:
        return None
    if case.file == LOG and (not case.bits or missing == POINTS):
        # A log that ends too early, or whose last transaction is broken, looks as if a kill had cut it short.
        is_tail = names == set(range(1, len(names) + 1)) and len(names) >= IN_FILE
        return None if is_tail and told == {"malformed": 3} else f"{sorted(names)} are there, and {told} told"
    counted = told.get("spool_damaged", 0)
    if missing and counted != missing and "could not be read" not in warned:
        return f"{missing} points are missing, and {told} told"
    return None if told.get("malformed", 0) == 3 or counted else f"the record of losses is gone: {told}"


def faults(whole: dict[str, bytes], folder: Path, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[Case, str]]:
    for case in chosen(whole):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        caplog.clear()
        with closing(SqliteBuffer(damaged(folder, whole, case), LARGE)) as buffer:
            found = every(buffer)
            if fault := fault_of(case, found, record(buffer), caplog.text):
                yield case, fault


def test_no_damage_brings_back_another_batch_or_hides_a_loss(
    whole: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is cut off here but what the cases cut: flushes and ballast would be most of the time.
    monkeypatch.setattr(spoolfile, "_PRAGMAS", (*spoolfile._PRAGMAS, "synchronous=OFF"))
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(ballast.Ballast, "fill", lambda _ballast: None)
    for case, fault in faults(whole, tmp_path / "spool", caplog):
        pytest.fail(f"{case}: {fault}; replay: SPOOL_DAMAGE={case.number} pytest tests/faults/test_damaged_spool.py")
