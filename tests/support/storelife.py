"""A life of the embedded store, step by step, in a process that kills itself at one of the steps; and its model.

As a program it reads a line of JSON a life from its input (`data_dir`, `seed`, `kill_at`), lives it in a forked copy of
itself, and answers a line: how it ended, and the steps that were reached. Whoever asks judges what is left on the disk.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs

from plexus.adapters.store.embedded import EmbeddedStore, journal
from plexus.adapters.store.embedded.checking import check
from plexus.adapters.store.embedded.inside import DAY_NS, Upkeep
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.loss import Loss
from plexus.ports.store import Selection, Store, Submission, Window
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Columns
from tests.support.store_answers import answers

ROOT = Path(__file__).resolve().parents[2]
UPKEEP = Upkeep(
    stretch_points=12,
    seal_after_ns=10**9,
    absorb_points=5,
    merge_files=2,
    merge_points=60,
    retention_days=1,
    check_ns=10**9,
)
ORGS, SOURCES, NEW = ("acme", "globex"), ("rig-01", "rig-02"), "bench"
LOG = "life.log"
SECOND = 10**9

Op = Callable[[Store], object]


@attrs.frozen
class Stage:
    """One thing that is done: to the store, and what it means for the model."""

    name: str
    store: Op
    model: Op


def stages(seed: int, folder: Path) -> list[Stage]:
    """What is done in the life of this seed. Every commit tells something of its own."""
    luck = random.Random(seed)
    now = DAY_NS
    found: list[Stage] = []
    for n in range(30):
        kind = luck.choices(["commit", "tend", "remove"], [16, 5, 1])[0]
        if kind == "commit":
            found.append(_commit(luck, n, first_day=0))
        elif kind == "tend":
            now += 3 * SECOND
            found.append(_tend("tend", now))
        else:
            found.append(_remove(luck))
        if n == 14:
            found.append(Stage("rename", _renaming, _renaming))
        if n == 20:
            found.append(_snapshot(folder / "copy"))
    expired = Selection(window=Window(-(2**63), DAY_NS))
    found.append(_tend("seal", now + 6 * SECOND))
    found.append(
        attrs.evolve(_tend("expire", 2 * DAY_NS), model=lambda store: [store.remove(org, expired) for org in ORGS])
    )
    found += [_commit(luck, n, first_day=1) for n in (30, 31)]
    return found


def _commit(luck: random.Random, n: int, first_day: int) -> Stage:
    group = []
    for k in range(luck.randint(1, 3)):
        columns = Columns()
        source = luck.choice(SOURCES)
        for i in range(luck.randint(0, 5)):
            t_ns = luck.choice((first_day, 1)) * DAY_NS + luck.randrange(8) * SECOND
            value: Any = luck.choice([f"{n}.{k}.{i}", n + i / 8, n])
            tags = luck.choice([None, None, {"n": str(n)}])
            columns.add(source, luck.choice("abc"), t_ns, is_event=luck.random() < 0.2, value=value, tags=tags)
        org = luck.choice(ORGS)
        losses = [Loss("buffer_full", 1 + n)] if luck.random() < 0.2 else []
        name = BatchName(f"{n:016x}{k:016x}", 1, 1, "aa")
        group.append(Submission(org, source, columns, DAY_NS + n, name, losses))
    return Stage(f"commit {n}", lambda store: store.commit(group), lambda store: store.commit(group))


def _tend(name: str, now_ns: int) -> Stage:
    def tend(store: Store) -> None:
        for when in (now_ns, now_ns + 2 * SECOND):
            while store.maintain(when):
                pass

    return Stage(name, tend, lambda _store: None)


def _remove(luck: random.Random) -> Stage:
    start = luck.choice((0, 1)) * DAY_NS + luck.randrange(6) * SECOND
    window = luck.choice([None, Window(start, start + luck.randrange(1, 4) * SECOND)])
    metrics = luck.choice([None, ["a"], ["b", "c"]])
    selection = Selection([luck.choice(SOURCES)], metrics, window)
    return Stage("remove", lambda store: store.remove("acme", selection), lambda store: store.remove("acme", selection))


def _renaming(store: Store) -> None:
    store.rename("acme", SOURCES[0], NEW)


def _snapshot(folder: Path) -> Stage:
    return Stage("snapshot", lambda store: store.snapshot(folder), lambda _store: None)


def everything(store: Store) -> list[Any]:
    """All that can be asked, of every organisation."""
    names = (*SOURCES, NEW)
    found: list[Any] = [answers(store, org, names, limit=10_000, bucket_ms=1_000) for org in ORGS]
    found += [store.streams(org, name) for org in ORGS for name in names]
    found += [store.losses(org, name) for org in ORGS for name in names]
    return found


def expected(seed: int, done: int) -> list[list[Any]]:
    """The answers after so many stages, and after one more: a kill takes the last one whole or not at all."""
    model = MemoryStore()
    all_stages = stages(seed, Path("nowhere"))
    for stage in all_stages[:done]:
        stage.model(model)
    found = [everything(model)]
    if done < len(all_stages):
        all_stages[done].model(model)
        found.append(everything(model))
    return found


def stages_done(folder: Path) -> int:
    """How many stages of a life were acknowledged."""
    return len((folder / LOG).read_bytes())


def judge(folder: Path, seed: int) -> None:
    """Open what a kill left of the life in this folder, and compare it with the model; AssertionError."""
    data_dir, states = folder / "data", expected(seed, stages_done(folder))
    with closing(EmbeddedStore(data_dir, upkeep=UPKEEP)) as store:
        assert store.damage == ()
        found = everything(store)
        assert found in states
        while store.maintain(0):
            pass
        assert everything(store) == found
        named = {path for file in store._inside.manifest.files() for path in file.paths(data_dir / "history")}
        assert set((data_dir / "history").rglob("*.parquet*")) == named
    assert check(data_dir) == []


# --- the program -----------------------------------------------------------------------------------------------------


def live(data_dir: Path, seed: int, kill_at: int) -> list[str]:
    """Live, with small numbers everywhere; a kill at step `kill_at`, none for 0. Returns the names of all steps."""
    steps: list[str] = []

    def reached(name: str) -> None:
        steps.append(name)
        if len(steps) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    journal.DELETED_ROWS, journal.REPLAYED_ROWS = 2, 3
    with _disk_steps(reached), (data_dir.parent / LOG).open("wb", buffering=0) as log:
        with closing(EmbeddedStore(data_dir, upkeep=UPKEEP, reached=reached)) as store:
            for stage in stages(seed, data_dir.parent):
                stage.store(store)
                log.write(b".")
        reached("closed")
    return steps


@contextmanager
def _disk_steps(reached: Callable[[str], None]) -> Iterator[None]:
    """What is done to files is a step as well: before a flush, after it, and around a new name and a removal."""
    originals = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "link")}

    def stepped(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            reached(f"before {name}")
            done = originals[name](*arguments, **options)
            reached(f"after {name}")
            return done

        return call

    for name in originals:
        setattr(os, name, stepped(name))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


def serve() -> None:
    """Live what is asked for, one life after another, each in a process of its own."""
    for line in sys.stdin:
        asked = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                steps = live(Path(asked["data_dir"]), asked["seed"], asked["kill_at"])
                os.write(writer, json.dumps(steps).encode()[:60_000])
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as answer:
            print(  # noqa: T201 - the answer to who asked
                json.dumps({"status": status, "steps": answer.read().decode()}), flush=True
            )


class Lives:
    """The program, running; used as a context."""

    def __enter__(self) -> Lives:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(60) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()

    def live(self, data_dir: Path, seed: int, kill_at: int) -> Sequence[str]:
        """One life; the steps it reached, nothing for one that was killed as it should be."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._process.stdin.write(json.dumps({"data_dir": str(data_dir), "seed": seed, "kill_at": kill_at}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if kill_at and answer["status"] == signal.SIGKILL:
            return ()
        assert answer["status"] == 0, f"the life of seed {seed} failed at step {kill_at}: see its error above"
        steps: list[str] = json.loads(answer["steps"])
        return steps


if __name__ == "__main__":
    serve()
