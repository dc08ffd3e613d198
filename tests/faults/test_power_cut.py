"""Whatever a power cut leaves of the spool's files: nothing that `append` took is lost, nothing comes back changed, and
no loss is told twice.

A spool lives a life of every kind of change, on SQLite's own file system layer, recorded. Then the power is cut at any
point of it, and the shipped spool opens what was left.

    POWER_CUT_STATES=100000 python -m pytest tests/faults/test_power_cut.py

A failure prints its seed, and the command that replays it: POWER_CUT_SEED and POWER_CUT_STATE.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest

from plexus.adapters.buffer import spoolfile
from plexus.adapters.buffer.ballast import ballast_of
from plexus.adapters.buffer.change import Change
from plexus.adapters.buffer.lossbook import lost_with
from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.loss import Loss
from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch, digest_of
from plexus.testing.contracts.buffer import every, record
from tests.support.powercut import after_a_cut
from tests.support.recording_vfs import Entry, recorded

SEED = int(os.environ.get("POWER_CUT_SEED", "20261124"))
STATES = int(os.environ.get("POWER_CUT_STATES", "500"))
ONE = os.environ.get("POWER_CUT_STATE")
STEPS, BOUND, STATES_A_LIFE = 60, 120, 250

Name = tuple[str, int]
Losses = Counter[str]


@attrs.frozen
class Moment:
    """What the spool is to have when a step is done.

    `gone` are batches that were delivered or made room: a power cut may bring them back. `lost` are those of them whose
    loss is on the record while they do not.
    """

    kept: dict[Name, Batch]
    gone: dict[Name, Batch]
    lost: dict[Name, Batch]
    losses: Losses


@attrs.frozen
class Life:
    """What happened to the files, and what is to be true at the end of each step."""

    record: list[Entry | str]
    moments: list[Moment]

    def around(self, at: int) -> tuple[Moment, Moment]:
        """The moments before and after the step in which entry `at` is."""
        done = sum(1 for entry in self.record[:at] if isinstance(entry, str))
        return self.moments[done], self.moments[min(done + 1, len(self.moments) - 1)]


def name_of(batch: Batch) -> Name:
    return batch.stream, batch.n


def points_by_reason(losses: Iterator[Loss] | list[Loss]) -> Losses:
    found: Losses = Counter()
    for loss in losses:
        found[loss.reason] += loss.count
    return found


class Living:
    """Drives the spool and the model side by side, and keeps what is to be true."""

    def __init__(self, path: Path, luck: random.Random) -> None:
        self.path = path
        self.luck = luck
        self.spool = SqliteBuffer(path, BOUND)
        self.model = MemoryBuffer(BOUND)
        self.n = 0
        self.gone: dict[Name, Batch] = {}
        self.lost: dict[Name, Batch] = {}
        self.moments = [self.moment()]

    def moment(self) -> Moment:
        kept = {name_of(batch): batch for batch in every(self.model)}
        return Moment(kept, dict(self.gone), dict(self.lost), points_by_reason(record(self.model)))

    def step(self) -> None:
        choices = [self.append] * 6 + [self.release] * 3
        choices += [self.rewrite, self.replace, self.lose, self.declare, self.append_large, self.restart]
        self.luck.choice(choices)()
        self.moments.append(self.moment())

    def a_batch(self, size: int, count: int | None = None) -> Batch:
        self.n += 1
        body = self.luck.randbytes(size)
        points = self.luck.randint(1, 8) if count is None else count
        return Batch("ab" * 16, self.n, points, body, digest_of(body), first_ms=float(self.n), last_ms=self.n + 0.5)

    def both(self, work: Callable[[Buffer], list[Batch] | None]) -> list[Batch]:
        found, wanted = work(self.spool) or [], work(self.model) or []
        assert [name_of(batch) for batch in found] == [name_of(batch) for batch in wanted]
        return wanted

    def some(self) -> list[Batch]:
        kept = every(self.model)
        return self.luck.sample(kept, min(len(kept), self.luck.randint(0, 3)))

    def append(self) -> None:
        self.put([self.a_batch(self.luck.randint(0, 900)) for _ in range(self.luck.randint(1, 3))])

    def append_large(self) -> None:
        self.put([self.a_batch(60_000)])

    def put(self, batches: list[Batch]) -> None:
        spared = self.some()
        evicted = self.both(lambda buffer: buffer.append(batches, spared))
        self.gone.update({name_of(batch): batch for batch in evicted})
        names = {name_of(batch) for batch in spared}
        self.lost.update({name_of(batch): batch for batch in evicted if name_of(batch) not in names})

    def release(self) -> None:
        batches = [*self.some(), *every(self.model)[: self.luck.randint(0, 3)]]
        self.both(lambda buffer: buffer.release(batches))
        self.gone.update({name_of(batch): batch for batch in batches})

    def rewrite(self) -> None:
        batches = [attrs.evolve(batch, body=b"rewritten" * self.luck.randint(1, 90)) for batch in self.some()]
        self.both(lambda buffer: buffer.rewrite(batches))
        self.cleared()

    def replace(self) -> None:
        old = [batch for batch in self.some() if not batch.losses]
        new = [self.a_batch(300, count=sum(batch.count for batch in old))]
        self.both(lambda buffer: buffer.replace(old, new))
        self.cleared()

    def lose(self) -> None:
        losses = [Loss(self.luck.choice(("malformed", "non_finite")), self.luck.randint(1, 9))]
        self.both(lambda buffer: buffer.lose(losses))
        self.cleared()

    def declare(self) -> None:
        losses = record(self.model)
        if losses:
            batch = attrs.evolve(self.a_batch(2, count=0), losses=tuple(losses))
            self.both(lambda buffer: buffer.declare(batch))
            self.cleared()

    def restart(self) -> None:
        self.spool.close()
        self.spool = SqliteBuffer(self.path, BOUND)
        self.cleared()

    def cleared(self) -> None:
        """With these steps the rows that were not kept any more have left the file for good."""
        self.gone.clear()
        self.lost.clear()


def a_life(folder: Path, seed: str) -> Life:
    with recorded() as recorder:
        living = Living(folder / "spool.db", random.Random(seed))
        recorder.note("opened")
        for number in range(STEPS):
            living.step()
            recorder.note(f"step {number}")
        living.spool.close()
        return Life(recorder.entries, [Moment({}, {}, {}, Counter()), *living.moments])


def fault_of(spool: Buffer, before: Moment, after: Moment) -> str | None:
    """What is wrong with what is in the spool, which lost power between these two moments; None: nothing is."""
    found = {name_of(batch): batch for batch in every(spool)}
    faults = [_fault(found, points_by_reason(record(spool)), moment, before, after) for moment in (before, after)]
    return None if None in faults else " | ".join(map(str, faults))


def _fault(found: dict[Name, Batch], told: Losses, moment: Moment, before: Moment, after: Moment) -> str | None:
    missing = moment.kept.keys() - found.keys()
    if missing:
        return f"lost: {sorted(n for _stream, n in missing)}"
    gone = {**before.gone, **after.gone, **{name: b for name, b in before.kept.items() if name in after.gone}}
    strange = found.keys() - moment.kept.keys() - gone.keys()
    if strange:
        return f"came from nowhere: {sorted(n for _stream, n in strange)}"
    changed = [name[1] for name, batch in found.items() if batch.body != moment.kept.get(name, batch).body]
    if changed:
        return f"changed: {changed}"
    back = [batch for name, batch in moment.lost.items() if name in found]
    owed = points_by_reason([loss for batch in back for loss in lost_with(batch)])
    if told + owed != moment.losses:
        return f"told {dict(told)}, and {dict(owed)} came back, of {dict(moment.losses)}"
    return None


@contextmanager
def unflushed() -> Iterator[None]:
    """What is opened inside flushes nothing: the power is not cut again, and the flushes are most of the time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spoolfile, "_PRAGMAS", (*spoolfile._PRAGMAS, "synchronous=OFF"))
        patched.setattr(os, "fsync", lambda _descriptor: None)
        yield


def faults_in(life: Life, folder: Path, states: list[str]) -> Iterator[str]:
    """Rebuild a state for each seed, open it, and say what is wrong."""
    path = folder / "spool.db"
    # Its own ballast costs a spool more than all the rest of its opening; here it is there already.
    ballast_of(path).touch()
    os.truncate(ballast_of(path), 256 * 1024)
    for state in states:
        luck = random.Random(state)
        at = luck.randint(0, len(life.record))
        for name in ("spool.db", "spool.db-wal", "spool.db-journal"):
            (folder / name).unlink(missing_ok=True)
        for name, content in after_a_cut(life.record, at, luck).items():
            (folder / name).write_bytes(content)
        with unflushed(), closing(SqliteBuffer(path, 10 * BOUND)) as spool:
            fault = fault_of(spool, *life.around(at))
        damaged = [name.name for name in folder.iterdir() if "corrupt" in name.name]
        if fault or damaged:
            yield f"state {state}, before entry {at}: {fault or damaged}"


def first_fault(folder: Path, numbers: Iterable[int]) -> str | None:
    """What is wrong with the first of these states that something is wrong with."""
    life: Life | None = None
    lived = -1
    for number in numbers:
        if number // STATES_A_LIFE != lived:
            lived = number // STATES_A_LIFE
            (lives := folder / f"life-{lived}").mkdir()
            (rebuilt := folder / f"rebuilt-{lived}").mkdir()
            life = a_life(lives, f"{SEED}-{lived}")
        assert life is not None
        for fault in faults_in(life, rebuilt, [f"{SEED}-{lived}-{number}"]):
            return (
                f"{fault}; replay: POWER_CUT_SEED={SEED} POWER_CUT_STATE={number} "
                "python -m pytest tests/faults/test_power_cut.py"
            )
    return None


def test_whatever_a_power_cut_leaves_nothing_is_lost_or_changed_or_told_twice(tmp_path: Path) -> None:
    fault = first_fault(tmp_path, range(STATES) if ONE is None else [int(ONE)])
    assert fault is None, fault


def test_without_flushes_the_same_test_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: it is the flushes that keep the promise, and the test would see them missing."""
    monkeypatch.setattr(spoolfile, "_PRAGMAS", (*spoolfile._PRAGMAS, "synchronous=OFF"))
    assert first_fault(tmp_path, range(200)) is not None


# --- planted faults -----------------------------------------------------------------------------------------


def flushes_at_checkpoints_alone(planted: pytest.MonkeyPatch) -> None:
    planted.setattr(spoolfile, "_PRAGMAS", (*spoolfile._PRAGMAS, "synchronous=NORMAL"))


def tells_of_a_loss_before_the_batch_is_deleted(planted: pytest.MonkeyPatch) -> None:
    real = Change._let_go

    def let_go(change: Change, row: int, spared: set[Name]) -> None:
        real(change, row, spared)
        change.lose(change.owed)
        change.owed.clear()

    planted.setattr(Change, "_let_go", let_go)


def deletes_and_does_not_tell(planted: pytest.MonkeyPatch) -> None:
    real = Change.clear
    planted.setattr(Change, "clear", lambda change, _owed: real(change, ()))


def declares_in_two_steps(planted: pytest.MonkeyPatch) -> None:
    def declare(spool: SqliteBuffer, batch: Batch) -> list[Batch]:
        spool._changed(lambda change: change.insert(batch))
        spool._changed(lambda change: change.declare(batch.losses))
        return []

    planted.setattr(SqliteBuffer, "declare", declare)


def replaces_in_two_steps(planted: pytest.MonkeyPatch) -> None:
    def replace(spool: SqliteBuffer, old: list[Batch], new: list[Batch]) -> list[Batch]:
        spool.release(old)
        spool._flush()
        return spool.append(new)

    planted.setattr(SqliteBuffer, "replace", replace)


@pytest.mark.parametrize(
    "plant",
    [
        flushes_at_checkpoints_alone,
        tells_of_a_loss_before_the_batch_is_deleted,
        deletes_and_does_not_tell,
        declares_in_two_steps,
        replaces_in_two_steps,
    ],
)
def test_a_planted_fault_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)
    assert first_fault(tmp_path, range(STATES_A_LIFE)) is not None
