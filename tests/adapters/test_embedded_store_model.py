"""The embedded store against the model, step by step: the same commits, failures, housekeeping, new starts, crashes."""

from __future__ import annotations

import functools
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any, cast
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plexus.adapters.store.embedded import EmbeddedStore, arrow, newest, record, streams
from plexus.adapters.store.embedded import store as store_module
from plexus.adapters.store.embedded.files import parting
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from plexus.domain.loss import Loss
from plexus.ports.store import Selection, Submission, Window
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Columns
from tests.support.store_answers import answers

SOURCES = ("rig-01", "rig-02")
NAMES = (*SOURCES, "bench")
UPKEEP = Upkeep(stretch_points=6, seal_after_ns=10, absorb_points=2, merge_points=40, merge_files=2, check_ns=5)
VALUES: tuple[Any, ...] = (
    *(1.5, -2.25, 0.0, -0.0, 1e300, float("nan"), float("inf"), float("-inf")),
    *(1, 0, 7, 2**53 + 1, 2**64 - 1, True, False, "", "text", "1", [1, 1.0], {"a": [True]}),
)

_points = st.tuples(
    st.sampled_from(SOURCES),
    st.sampled_from(["a", "b", "c"]),
    st.one_of(st.integers(-6, 6), st.integers(-6, 6).map(lambda n: n + 2 * 86_400_000)).map(lambda n: n * 500_000),
    st.booleans(),
    st.sampled_from(VALUES),
    st.sampled_from([None, None, {"k": "v"}]),
)


@st.composite
def _names(draw: st.DrawFn) -> BatchName:
    n = draw(st.integers(1, 5))
    stream = draw(st.sampled_from("0123")) * 32
    return BatchName(stream, n, draw(st.integers(1, n)), draw(st.sampled_from(["aa", "aa", "aa", "bb"])))


@st.composite
def _submissions(draw: st.DrawFn) -> Submission:
    made = Columns()
    for source_id, metric, t_ns, is_event, value, tags in draw(st.lists(_points, max_size=6)):
        made.add(source_id, metric, t_ns, is_event=is_event, value=value, tags=tags)
    org = draw(st.sampled_from(["acme", "globex"]))
    batch = draw(st.one_of(st.none(), _names()))
    losses = draw(st.sampled_from([(), (), [Loss("malformed", 1)], [Loss("buffer_full", 2, 1.0, 3.0)]]))
    return Submission(org, draw(st.sampled_from(SOURCES)), made, draw(st.integers(1, 10**18)), batch, losses)


_groups = st.lists(_submissions(), min_size=1, max_size=4)

_windows = st.tuples(st.integers(-7, 7), st.integers(0, 9)).map(
    lambda ends: Window(ends[0] * 500_000, (ends[0] + ends[1]) * 500_000)
)
_some = st.one_of(st.none(), st.lists(st.sampled_from(NAMES), max_size=2))
_metrics = st.one_of(st.none(), st.lists(st.sampled_from(["a", "b", "c"]), max_size=2))


class _Failing:
    """A connection whose statement number `after` of a transaction fails."""

    def __init__(self, connection: sqlite3.Connection, after: int) -> None:
        self._connection = connection
        self._left = after

    def execute(self, *arguments: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise sqlite3.OperationalError("planted")
        return self._connection.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class TwoStores(RuleBasedStateMachine):
    few_days, worth_a_file = parting.FEW_DAYS, parting.WORTH_A_FILE

    @initialize()
    def start(self) -> None:
        self.patches: list[Any] = [
            mock.patch.object(store_module, "Newest", functools.partial(newest.Newest, max_queued=9, max_fresh=4)),
            mock.patch.object(store_module, "Streams", functools.partial(streams.Streams, max_in_memory=2)),
            mock.patch.object(arrow, "MAX_BATCHES", 2),
            mock.patch.object(arrow, "LARGE_BATCH", 5),
            mock.patch.object(record, "LARGE", 3),
            mock.patch.object(parting, "FEW_DAYS", self.few_days),
            mock.patch.object(parting, "WORTH_A_FILE", self.worth_a_file),
        ]
        for patch in self.patches:
            patch.start()
        self.folder = Path(tempfile.mkdtemp(prefix="plexus-two-stores-"))
        self.directory = self.folder / "0"
        self.model = MemoryStore()
        self.now = 0
        self.store = self.opened()
        self.compared = True

    def opened(self) -> EmbeddedStore:
        return EmbeddedStore(self.directory, upkeep=UPKEEP)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)
            for patch in self.patches:
                patch.stop()

    @rule(group=_groups)
    def commit(self, group: list[Submission]) -> None:
        self.compared = False
        assert self.store.commit(group) == self.model.commit(group)

    @rule(group=_groups, after=st.integers(1, 3))
    def commit_on_a_failing_disk(self, group: list[Submission], after: int) -> None:
        self.compared = False
        journal = self.store._journal
        connection = journal._connection
        # Streams are read before the transaction begins, which a failure may hit too.
        journal._connection = cast("sqlite3.Connection", _Failing(connection, after))
        try:
            receipts = self.store.commit(group)
        except StoreError:
            pass
        else:
            assert receipts == self.model.commit(group)
        finally:
            journal._connection = connection

    @rule(group=_groups)
    def commit_on_a_full_disk(self, group: list[Submission]) -> None:
        self.compared = False
        execute = self.store._journal._connection.execute
        execute(f"PRAGMA max_page_count={execute('PRAGMA page_count').fetchone()[0]}")
        try:
            receipts = self.store.commit(group)
        except StoreError:
            pass
        else:
            assert receipts == self.model.commit(group)
        finally:
            execute("PRAGMA max_page_count=1073741823")

    @rule(group=_groups)
    def commit_what_cannot_be_kept(self, group: list[Submission]) -> None:
        self.compared = False
        bad = Columns()
        bad.add("rig-01", "a", 0, is_event=False, value=cast("Any", object()))
        for store in (self.store, self.model):
            try:
                store.commit([*group, Submission("acme", "rig-01", bad, 1)])
            except StoreError:
                continue
            raise AssertionError(f"{store} took an object")

    @rule()
    def start_again(self) -> None:
        self.compared = False
        self.store.close()
        self.store = self.opened()

    @rule()
    def crash(self) -> None:
        """What a kill leaves: the files as they are, without a close."""
        self.compared = False
        left = self.folder / str(int(self.directory.name) + 1)
        shutil.copytree(self.directory, left)
        self.store.close()
        self.directory = left
        self.store = self.opened()
        assert self.store.damage == ()

    @rule(steps=st.integers(1, 12), later=st.sampled_from([0, 6, 20]))
    def tend(self, steps: int, later: int) -> None:
        self.compared = False
        self.now += later
        for _ in range(steps):
            self.store.maintain(self.now)

    @rule()
    def tend_to_the_end(self) -> None:
        self.compared = False
        self.now += 20
        while self.store.maintain(self.now):
            pass
        self.now += 20
        while self.store.maintain(self.now):
            pass

    @rule(sources=_some, metrics=_metrics, window=st.one_of(st.none(), _windows))
    def remove(self, sources: list[str] | None, metrics: list[str] | None, window: Window | None) -> None:
        self.compared = False
        selection = Selection(sources, metrics, window)
        assert self.store.remove("acme", selection) == self.model.remove("acme", selection)

    @rule(old=st.sampled_from(NAMES), new=st.sampled_from(NAMES))
    def rename(self, old: str, new: str) -> None:
        self.compared = False
        refused = []
        for store in (self.model, self.store):
            try:
                store.rename("acme", old, new)
            except StoreError:
                refused.append(store)
        assert len(refused) in (0, 2)

    @precondition(lambda self: not self.compared)
    @rule(
        start=st.integers(-4, 4),
        length=st.integers(0, 8),
        limit=st.integers(0, 12),
        bucket=st.sampled_from([1, 2, 1000]),
    )
    def ask(self, start: int, length: int, limit: int, bucket: int) -> None:
        self.compared = True
        window = Window(start * 500_000, (start + length) * 500_000)
        for org in ("acme", "globex"):
            mine = answers(self.store, org, NAMES, window=window, limit=limit, bucket_ms=bucket)
            assert mine == answers(self.model, org, NAMES, window=window, limit=limit, bucket_ms=bucket)
            for name in NAMES:
                assert self.store.streams(org, name) == self.model.streams(org, name)
                assert self.store.losses(org, name) == self.model.losses(org, name)

    @invariant()
    def latest_agrees(self) -> None:
        if hasattr(self, "store"):
            for org in ("acme", "globex"):
                assert sorted(self.store.sources(org).items()) == sorted(self.model.sources(org).items())
                for source_id in NAMES:
                    mine, model = self.store.latest(org, source_id), self.model.latest(org, source_id)
                    assert repr(sorted(mine.items())) == repr(sorted(model.items()))


class TwoStoresOfScatteredPoints(TwoStores):
    """Three days are many, and a day of one or two points has no file of its own until it has more."""

    few_days, worth_a_file = 1, 3


TestTwoStoresOfScatteredPoints = TwoStoresOfScatteredPoints.TestCase
TestTwoStores = TwoStores.TestCase
TestTwoStores.settings = TestTwoStoresOfScatteredPoints.settings = settings(
    max_examples=14,
    stateful_step_count=25,
    deadline=None,
    # Every example works on real files: making a failure smaller would take longer than the test may.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
