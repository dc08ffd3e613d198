"""Both buffers keep the contract, and the durable one answers as the model does."""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.loss import Loss
from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch
from plexus.testing.contracts.buffer import (
    BOUND,
    OTHER,
    STREAM,
    BufferContract,
    DurableBufferContract,
    a_batch,
    a_declaration,
    record,
    same,
)


class TestMemoryBuffer(BufferContract):
    def make(self) -> Buffer:
        return MemoryBuffer(BOUND)


class TestSqliteBuffer(DurableBufferContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> Buffer:
        return SqliteBuffer(Path(tempfile.mkdtemp(dir=self.directory)) / "spool.db", BOUND)

    def reopen(self, buffer: Buffer) -> Buffer:
        assert isinstance(buffer, SqliteBuffer)
        return SqliteBuffer(buffer.path, BOUND)


# --- the model ----------------------------------------------------------------------------------------------

STREAMS = st.sampled_from([STREAM, OTHER])
NAMES = st.tuples(STREAMS, st.integers(1, 12))
SIZES = st.integers(1, 12)


class SpoolLikeTheModel(RuleBasedStateMachine):
    """Whatever is done, the spool and the memory buffer answer alike."""

    @initialize(bound=st.integers(1, 40))
    def start(self, bound: int) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.bound = bound
        self.path = Path(self.directory.name) / "spool.db"
        self.spool = SqliteBuffer(self.path, bound)
        self.model = MemoryBuffer(bound)
        self.sizes: dict[tuple[str, int], int] = {}
        self.declarations: dict[tuple[str, int], Batch] = {}

    @rule(names=st.lists(NAMES, max_size=5), spared=st.lists(NAMES, max_size=3), size=SIZES)
    def append(self, names: list[tuple[str, int]], spared: list[tuple[str, int]], size: int) -> None:
        batches, others = [self._batch(name, size) for name in names], [self._batch(name, size) for name in spared]
        assert same(self.spool.append(batches, others), self.model.append(batches, others))

    @rule(names=st.lists(NAMES, max_size=5))
    def release(self, names: list[tuple[str, int]]) -> None:
        batches = [self._batch(name, 1) for name in names]
        self.spool.release(batches)
        self.model.release(batches)

    @rule(skip=st.integers(0, 6), count=st.integers(0, 6))
    def look(self, skip: int, count: int) -> None:
        assert same(self.spool.oldest(skip, count), self.model.oldest(skip, count))

    @rule(old=st.lists(NAMES, max_size=4), new=st.lists(NAMES, max_size=2), size=SIZES)
    def replace(self, old: list[tuple[str, int]], new: list[tuple[str, int]], size: int) -> None:
        leaving, coming = [self._batch(name, size) for name in old], [self._batch(name, size) for name in new]
        assert same(self.spool.replace(leaving, coming), self.model.replace(leaving, coming))

    @rule(names=st.lists(NAMES, max_size=4), size=SIZES, text=st.binary(max_size=20))
    def rewrite(self, names: list[tuple[str, int]], size: int, text: bytes) -> None:
        batches = [attrs.evolve(self._batch(name, size), body=text) for name in names]
        self.spool.rewrite(batches)
        self.model.rewrite(batches)

    @rule(reason=st.sampled_from(["malformed", "non_finite"]), count=st.integers(1, 5), first=st.floats(0, 1e13))
    def lose(self, reason: str, count: int, first: float) -> None:
        for buffer in (self.spool, self.model):
            buffer.lose([Loss(reason, count, first, first + 1.0)])

    @rule(name=NAMES)
    def declare(self, name: tuple[str, int]) -> None:
        if record(self.model) and name not in self.sizes:
            self.sizes[name] = 0
            self.declarations[name] = a_declaration(name[1], *record(self.model), stream=name[0])
            batch = self.declarations[name]
            assert same(self.spool.declare(batch), self.model.declare(batch))

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = SqliteBuffer(self.path, self.bound)

    @invariant()
    def the_points_are_the_same(self) -> None:
        assert self.spool.points == self.model.points

    @invariant()
    def the_losses_are_the_same(self) -> None:
        assert record(self.spool) == record(self.model)

    def teardown(self) -> None:
        self.spool.close()
        self.directory.cleanup()

    def _batch(self, name: tuple[str, int], size: int) -> Batch:
        if name in self.declarations:
            return self.declarations[name]
        # The size of a name never changes.
        return a_batch(name[1], count=self.sizes.setdefault(name, size), stream=name[0])


TestSpoolLikeTheModel = SpoolLikeTheModel.TestCase
TestSpoolLikeTheModel.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
