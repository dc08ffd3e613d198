"""Questions see every point once while points are committed, sealed, merged and removed; and nobody waits for that."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.domain.errors import StoreError
from plexus.ports.store import Receipt, Selection
from plexus.testing.contracts.store.suite import ALWAYS, named, submission, values_of
from plexus.testing.contracts.store.tending import LATER_NS, tend
from tests.support.waiting import eventually

SMALL = Upkeep(stretch_points=40, absorb_points=10, merge_files=3, seal_after_ns=1)
LAPS, COMMITS_A_LAP = 4, 25


def commit(store: EmbeddedStore, n: int) -> None:
    """Point and event number `n`, among points that are removed again and again."""
    noise = submission(*(("noise", n + i / 10, i) for i in range(4)), source_id="rig-02")
    store.commit([submission(("count", n, n), batch=named(n)), submission(("step", n, {"n": n}), is_event=True), noise])


class Asking:
    """Asks one thing again and again from a thread of its own: the answer holds 1 to k, at least what is committed."""

    def __init__(self, done: list[int], ask: Callable[[], list[int]]) -> None:
        self.rounds = 0
        self.failure: BaseException | None = None
        self._done, self._ask = done, ask
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.thread.join()
        assert self.failure is None, self.failure

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                least = self._done[0]
                found = self._ask()
                assert found == list(range(1, len(found) + 1)), found
                assert least <= len(found) <= self._done[0] + 1
                self.rounds += 1
        except BaseException as exc:  # noqa: BLE001 - it is raised where the test ends
            self.failure = exc


def questions(store: EmbeddedStore) -> list[Callable[[], list[int]]]:
    """What can be asked of number 1 to k, each as these numbers."""

    def raw() -> list[int]:
        return [int(str(value)) for value in values_of(store, "count")]

    def buckets() -> list[int]:
        series = store.buckets("acme", ["rig-01"], ["count"], ALWAYS, 1)
        return [] if not series else [int(str(value)) for value in series["rig-01"]["count"].last]

    def long_buckets() -> list[int]:
        series = store.buckets("acme", None, ["count"], ALWAYS, 3_600_000)
        return list(range(1, 1 + (sum(series["rig-01"]["count"].count) if series else 0)))

    def counted() -> list[int]:
        return list(range(1, 1 + store.count("acme", Selection(None, ["count"]))))

    def scanned() -> list[int]:
        parts = store.scan("acme", Selection(["rig-01"], ["count"]))
        return [int(str(value)) for part in parts for value in part.value]

    def latest() -> list[int]:
        newest = store.latest("acme", "rig-01").get("count")
        return list(range(1, 1 + (0 if newest is None else int(str(newest[1])))))

    def events() -> list[int]:
        found = store.events("acme", "rig-01", ALWAYS, "step", 1_000, newest=True)
        return [event.value["n"] for event in found]  # type: ignore[index,misc,call-overload]

    return [raw, buckets, long_buckets, counted, scanned, latest, events]


class Tending:
    """Seals and merges all the time and removes the noise now and then, in a thread of its own; counts it."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def reached(self, name: str) -> None:
        """For the store to tell its steps: what counts is what questions see in another way from then on."""
        stage, _, step = name.partition(".")
        if step == "shown" and stage != "removal":
            self.done[stage] += 1

    def start(self, store: EmbeddedStore) -> None:
        self._store = store
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        # Later than the points, whose day is over: what can be merged is merged at once.
        now = LATER_NS
        while not self._stop.is_set():
            now += 1
            self._store.maintain(now)
            if now % 20 == 0 and self._store.remove("acme", Selection(["rig-02"])):
                self.done["removal"] += 1


def _moved(tending: Tending, since: Counter[str]) -> bool:
    return all(tending.done[stage] > since[stage] for stage in ("sealing", "merging", "removal"))


def _asked(asking: list[Asking], rounds: int) -> bool:
    assert not any(one.failure for one in asking), [one.failure for one in asking]
    return min(one.rounds for one in asking) >= rounds


def test_every_point_is_seen_once_while_it_moves(tmp_path: Path) -> None:
    done, tending = [0], Tending()
    with closing(EmbeddedStore(tmp_path, upkeep=SMALL, reached=tending.reached)) as store:
        asking = [Asking(done, ask) for ask in questions(store)]
        tending.start(store)
        try:
            for lap in range(1, LAPS + 1):
                before = tending.done.copy()
                for _ in range(COMMITS_A_LAP):
                    commit(store, done[0] + 1)
                    done[0] += 1
                # At the pace of the slowest: on a slow machine too each question is asked in every lap, and what the
                # lap's points are is sealed, merged and removed while it is.
                eventually(lambda lap=lap: _asked(asking, lap), 60.0, f"round {lap} of every question")  # type: ignore[misc]
                eventually(lambda before=before: _moved(tending, before), 60.0, f"all housekeeping of lap {lap}")  # type: ignore[misc]
        finally:
            tending.stop()
            for one in asking:
                one.stop()
        assert min(tending.done[stage] for stage in ("sealing", "merging", "removal")) >= LAPS
        assert values_of(store, "count") == list(range(1, done[0] + 1))
        tend(store)
        assert values_of(store, "count") == list(range(1, done[0] + 1))


def test_a_commit_waits_for_no_step_of_the_housekeeping(tmp_path: Path) -> None:
    steps: set[str] = set()
    unheard: list[str] = []
    numbers = iter(range(1, 100_000))

    def reached(name: str) -> None:
        if name in steps or name == "rename.written":  # this one is inside of the one transaction that it is
            return
        steps.add(name)
        number = next(numbers)
        writer = threading.Thread(target=lambda: store.commit([submission(("late", number, number))]))
        writer.start()
        writer.join(timeout=30)
        if writer.is_alive():
            unheard.append(name)

    store = EmbeddedStore(tmp_path / "data", upkeep=Upkeep(**{**SMALL_FIELDS, "retention_days": 1}), reached=reached)
    with closing(store):
        for n in range(1, 60):
            commit(store, n)
        tend(store, now_ns=0)
        store.snapshot(tmp_path / "copy")
        store.remove("acme", Selection(["rig-02"]))
        tend(store)
    assert unheard == []
    stages = {"sealing", "merging", "removal", "retention", "snapshot"}
    assert {name.partition(".")[0] for name in steps} == stages


SMALL_FIELDS = {
    name: getattr(SMALL, name) for name in ("stretch_points", "absorb_points", "merge_files", "seal_after_ns")
}


def test_a_file_that_is_asked_stays_until_the_question_has_its_answer(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path, upkeep=SMALL)) as store:
        for n in range(1, 21):
            commit(store, n)
        tend(store)
        parts = store.scan("acme", Selection(["rig-01"], ["count"]))
        first = next(parts)
        store.remove("acme", Selection())
        assert any((tmp_path / "history").rglob("*.parquet"))
        assert [*first.value, *(value for part in parts for value in part.value)] == list(range(1, 21))
        assert not any((tmp_path / "history").rglob("*.parquet"))


def test_a_commit_that_finds_sealing_far_behind_lets_it_go_on_for_a_moment(tmp_path: Path) -> None:
    upkeep = Upkeep(full_points=10, full_wait_s=0.01)
    with closing(EmbeddedStore(tmp_path, upkeep=upkeep)) as store:
        store.maintain(0)
        for n in range(1, 30):
            assert store.commit([submission(("count", n, n))])[0] == Receipt("store", 1)
        assert values_of(store, "count") == list(range(1, 30))


def test_nothing_is_tended_or_asked_after_close(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    store.close()
    for use in (lambda: store.maintain(0), lambda: store.snapshot(tmp_path / "copy"), lambda: values_of(store, "a")):
        with pytest.raises(StoreError, match="closed"):
            use()
