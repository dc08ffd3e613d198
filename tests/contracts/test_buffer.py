"""Both buffers keep the contract, the durable one is what the model is, and the contract catches those that do not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch
from plexus.testing.contracts import failures
from plexus.testing.contracts.buffer import (
    BOUND,
    OTHER,
    STREAM,
    BufferContract,
    DurableBufferContract,
    a_batch,
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

    @rule(names=st.lists(NAMES, max_size=5), size=SIZES)
    def append(self, names: list[tuple[str, int]], size: int) -> None:
        batches = [self._batch(name, size) for name in names]
        assert same(self.spool.append(batches), self.model.append(batches))

    @rule(names=st.lists(NAMES, max_size=5))
    def release(self, names: list[tuple[str, int]]) -> None:
        batches = [self._batch(name, 1) for name in names]
        self.spool.release(batches)
        self.model.release(batches)

    @rule(skip=st.integers(0, 6), count=st.integers(0, 6))
    def look(self, skip: int, count: int) -> None:
        assert same(self.spool.oldest(skip, count), self.model.oldest(skip, count))

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = SqliteBuffer(self.path, self.bound)

    @invariant()
    def the_points_are_the_same(self) -> None:
        assert self.spool.points == self.model.points

    def teardown(self) -> None:
        self.spool.close()
        self.directory.cleanup()

    def _batch(self, name: tuple[str, int], size: int) -> Batch:
        # The content of a name never changes, so neither does its size.
        return a_batch(name[1], count=self.sizes.setdefault(name, size), stream=name[0])


TestSpoolLikeTheModel = SpoolLikeTheModel.TestCase
TestSpoolLikeTheModel.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


# --- buffers that are broken on purpose ---------------------------------------------------------------------


class Remembered(MemoryBuffer):
    """Stands for a durable buffer: what it kept is found again under its place."""

    @property
    def durable(self) -> bool:
        return True

    def again(self) -> Remembered:
        other = type(self)(self._max_points)
        other._kept, other._points = dict(self._kept), self._points
        return other


class NewestFirst(Remembered):
    def oldest(self, skip: int, count: int) -> list[Batch]:
        return list(reversed(list(self._kept.values())))[skip : skip + count]


class Renumbering(Remembered):
    """Keeps the content and loses the name, as a queue of bodies does."""

    def oldest(self, skip: int, count: int) -> list[Batch]:
        return [attrs.evolve(batch, n=skip + place + 1) for place, batch in enumerate(super().oldest(skip, count))]


class Stamping(Remembered):
    """Keeps whole milliseconds."""

    def oldest(self, skip: int, count: int) -> list[Batch]:
        return [attrs.evolve(batch, first_ms=float(int(batch.first_ms))) for batch in super().oldest(skip, count)]


class Doubling(Remembered):
    """Counts a batch again when it is appended again."""

    def append(self, batches: Iterable[Batch]) -> list[Batch]:
        taken = list(batches)
        again = sum(batch.count for batch in taken if (batch.stream, batch.n) in self._kept)
        evicted = super().append(taken)
        self._points += again
        return evicted


class OneStream(Remembered):
    """Takes the number for the whole name."""

    def release(self, batches: Iterable[Batch]) -> None:
        numbers = {batch.n for batch in batches}
        super().release([batch for batch in self._kept.values() if batch.n in numbers])


class Silent(Remembered):
    """Makes room without saying so."""

    def append(self, batches: Iterable[Batch]) -> list[Batch]:
        super().append(batches)
        return []


class Boundless(Remembered):
    def append(self, batches: Iterable[Batch]) -> list[Batch]:
        self._max_points = 10**9
        return super().append(batches)


class Refusing(Remembered):
    """Turns the new away instead of the old."""

    def append(self, batches: Iterable[Batch]) -> list[Batch]:
        taken = list(batches)
        room = self._max_points - self._points
        evicted = [batch for batch in taken if batch.count > room]
        super().append([batch for batch in taken if batch.count <= room])
        return evicted


class Taking(Remembered):
    """Forgets what it hands out one by one, as a queue does."""

    def oldest(self, skip: int, count: int) -> list[Batch]:
        found = super().oldest(skip, count)
        if count == 1:
            super().release(found)
        return found


class Strict(Remembered):
    """Insists that what is released is there."""

    def release(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            del self._kept[batch.stream, batch.n]
            self._points -= batch.count


class Counting(Remembered):
    """Counts batches, not points."""

    @property
    def points(self) -> int:
        return len(self._kept)


class Forgetful(Remembered):
    """Says that it is durable and is not."""

    def again(self) -> Remembered:
        return type(self)(self._max_points)


class Undead(Remembered):
    """Brings back what was released before it was closed in good order."""

    def release(self, batches: Iterable[Batch]) -> None:
        gone = list(batches)
        self.released = [
            *getattr(self, "released", []),
            *(b for b in self._kept.values() if b.n in [g.n for g in gone]),
        ]
        super().release(gone)

    def again(self) -> Remembered:
        other = super().again()
        other.append(getattr(self, "released", []))
        return other


WHOLE = "test_batches_come_back_whole_and_in_the_order_they_went_in"
BODIES = "test_a_body_of_any_bytes_comes_back"
ONCE = "test_a_name_that_is_kept_is_not_appended_again"
ONCE_AFTER = "test_a_name_that_is_kept_is_known_after_a_restart"
SLICES = "test_oldest_gives_so_many_after_so_many"
GOES_ON = "test_oldest_goes_on_over_what_is_appended_and_released_meanwhile"
LOOKING = "test_looking_takes_nothing_away"
RELEASED = "test_what_is_released_is_gone_and_the_rest_stays"
AGAIN = "test_what_was_released_can_be_appended_again_as_the_newest"
FULL = "test_when_it_is_full_the_oldest_make_room_and_are_returned_whole"
LARGE = "test_a_batch_larger_than_the_bound_is_returned_with_all_that_is_older"
LOOKED_AT = "test_the_oldest_makes_room_after_it_was_looked_at"
RESTART = "test_what_is_kept_is_there_after_a_restart"
STAYS_RELEASED = "test_what_was_released_is_not_there_after_a_close"
ORDER_AFTER = "test_the_order_goes_on_after_a_restart"
BOUND_AFTER = "test_the_bound_holds_after_a_restart"


@pytest.mark.parametrize(
    ("planted", "caught_by"),
    [
        (
            NewestFirst,
            {
                *(WHOLE, BODIES, ONCE, SLICES, GOES_ON, LOOKED_AT),
                *(RELEASED, AGAIN, FULL, RESTART, ORDER_AFTER, STAYS_RELEASED),
            },
        ),
        (
            Renumbering,
            {
                *(WHOLE, GOES_ON, LOOKED_AT, RELEASED, AGAIN, FULL, RESTART, ORDER_AFTER, STAYS_RELEASED),
                "test_any_iterable_can_be_appended_and_released",
                "test_many_are_released_at_once",
                "test_the_highest_number_comes_back",
            },
        ),
        (Stamping, {WHOLE, RESTART, BODIES, SLICES}),
        (Doubling, {ONCE, ONCE_AFTER}),
        (OneStream, {"test_releasing_goes_by_stream_and_number"}),
        (Silent, {FULL, LARGE, BOUND_AFTER}),
        (Boundless, {FULL, LARGE, BOUND_AFTER, LOOKED_AT}),
        (Refusing, {FULL, LARGE, BOUND_AFTER, LOOKED_AT}),
        (Taking, {LOOKING, SLICES}),
        (Strict, {"test_releasing_what_is_not_there_is_passed_over"}),
        (
            Counting,
            {
                *(ONCE, ONCE_AFTER, LOOKING, RELEASED, AGAIN, FULL, RESTART, STAYS_RELEASED),
                "test_points_are_the_points_kept",
                "test_up_to_the_bound_nothing_makes_room",
            },
        ),
        (Forgetful, {RESTART, BOUND_AFTER, ORDER_AFTER, STAYS_RELEASED}),
        (Undead, {STAYS_RELEASED, ORDER_AFTER}),
    ],
)
def test_a_planted_fault_is_caught(planted: type[Remembered], caught_by: set[str]) -> None:
    class Suite(DurableBufferContract):
        def make(self) -> Buffer:
            return planted(BOUND)

        def reopen(self, buffer: Buffer) -> Buffer:
            assert isinstance(buffer, Remembered)
            return buffer.again()

    assert set(failures(Suite)) == caught_by


def test_the_stand_in_without_a_fault_passes() -> None:
    class Suite(DurableBufferContract):
        def make(self) -> Buffer:
            return Remembered(BOUND)

        def reopen(self, buffer: Buffer) -> Buffer:
            assert isinstance(buffer, Remembered)
            return buffer.again()

    assert failures(Suite) == {}
