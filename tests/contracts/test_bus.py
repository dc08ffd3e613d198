"""The memory bus keeps the contract, and the contract catches buses that do not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from plexus.adapters.bus import memory
from plexus.adapters.bus.memory import MemoryBus, MemorySubscription
from plexus.ports.bus import Bus, Published
from plexus.protocol.columns import Columns
from plexus.testing.contracts import bus as suite
from plexus.testing.contracts import failures
from plexus.testing.contracts.bus import BusContract

Stored = tuple[str, Columns]


class TestMemoryBus(BusContract):
    def make(self) -> Bus:
        return MemoryBus(max_points=self.MAX_POINTS)


class OrgBlind(MemoryBus):
    """Keeps organisations together."""

    def publish(self, seq: int, stored: Sequence[Stored]) -> None:
        super().publish(seq, [("acme", columns) for _, columns in stored])


class SourceBlind(MemoryBus):
    """Hands over the whole message when one point of it is the listener's."""

    def publish(self, seq: int, stored: Sequence[Stored]) -> None:
        for org, columns in stored:
            for (listens_org, source_id), listeners in self._listeners.items():
                if listens_org == org and source_id in columns.source_id:
                    for listener in listeners:
                        listener.put(Published(seq, columns))


class Piecemeal(MemoryBus):
    """Hands over each submission of a commit by itself."""

    def publish(self, seq: int, stored: Sequence[Stored]) -> None:
        for item in stored:
            super().publish(seq, [item])


class Numberless(MemoryBus):
    """Forgets which commit it was."""

    def publish(self, seq: int, stored: Sequence[Stored]) -> None:
        super().publish(0, stored)


class OneWinner(MemoryBus):
    """A queue of work: each commit goes to one listener."""

    def publish(self, seq: int, stored: Sequence[Stored]) -> None:
        everybody = self._listeners
        self._listeners = {name: listeners[:1] for name, listeners in everybody.items()}
        super().publish(seq, stored)
        self._listeners = everybody


class Backwards(MemorySubscription):
    def put(self, published: Published) -> None:
        super().put(published)
        self._queue.rotate(1)


class OldestWins(MemorySubscription):
    """Refuses the new when it is full."""

    def put(self, published: Published) -> None:
        if self._points + len(published.columns) > self._max_points:
            self._missed += len(published.columns)
        else:
            super().put(published)


class Silent(MemorySubscription):
    """Drops without counting."""

    @property
    def missed(self) -> int:
        return 0


class Endless(MemorySubscription):
    """Keeps everything for a reader that never comes."""

    def put(self, published: Published) -> None:
        self._queue.append(published)
        self._filled.set()


class Remembering(MemoryBus):
    """Gives a new listener what was published before it came."""

    def __init__(self, max_points: int) -> None:
        super().__init__(max_points)
        self._past: list[tuple[int, Sequence[Stored]]] = []

    def publish(self, seq: int, stored: Sequence[Stored]) -> None:
        self._past.append((seq, stored))
        super().publish(seq, stored)

    def subscribe(self, org: str, source_id: str) -> MemorySubscription:
        others, self._listeners = self._listeners, {}
        subscription = super().subscribe(org, source_id)
        for seq, stored in self._past:
            super().publish(seq, stored)
        for name, listeners in others.items():
            self._listeners.setdefault(name, []).extend(listeners)
        return subscription


class Careless(MemoryBus):
    """Drops tags on the way."""

    def publish(self, seq: int, stored: Sequence[Stored]) -> None:
        super().publish(seq, [(org, _bare(columns)) for org, columns in stored])


def _bare(columns: Columns) -> Columns:
    bare = Columns()
    for row, point in enumerate(columns.points()):
        bare.add(columns.source_id[row], point.metric, columns.t_ns[row], is_event=False, value=point.value)
    return bare


HEAD = "test_the_head_is_the_commit_that_was_published_last_whoever_listens"
TOGETHER = "test_what_a_source_has_in_one_commit_comes_together_under_its_number"
BROKEN: dict[type, set[str]] = {
    OrgBlind: {"test_another_organisation_is_not_seen", TOGETHER},
    SourceBlind: {"test_another_source_is_not_seen_even_in_one_message", TOGETHER, HEAD},
    Piecemeal: {TOGETHER},
    Numberless: {TOGETHER, HEAD},
    OneWinner: {
        "test_every_reader_of_a_source_gets_all_of_it",
        "test_a_quick_reader_misses_nothing",
    },
    Backwards: {
        TOGETHER,
        "test_a_reader_gets_what_is_published_of_its_source_in_order",
        "test_a_slow_reader_loses_the_oldest_and_is_told_how_many",
    },
    OldestWins: {
        "test_a_slow_reader_loses_the_oldest_and_is_told_how_many",
        "test_the_newest_message_stays_however_large_it_is",
    },
    Silent: {
        "test_a_slow_reader_loses_the_oldest_and_is_told_how_many",
        "test_a_quick_reader_misses_nothing",
        "test_the_newest_message_stays_however_large_it_is",
    },
    Endless: {
        "test_a_slow_reader_loses_the_oldest_and_is_told_how_many",
        "test_a_quick_reader_misses_nothing",
        "test_the_newest_message_stays_however_large_it_is",
        "test_what_waits_is_counted",
    },
    Remembering: {"test_what_was_published_before_is_not_seen"},
    Careless: {"test_a_point_arrives_whole", "test_another_source_is_not_seen_even_in_one_message"},
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_bus_fails_the_contract(broken: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "PATIENCE_S", 0.05)

    class Suite(BusContract):
        def make(self) -> Bus:
            if issubclass(broken, MemorySubscription):
                monkeypatch.setattr(memory, "MemorySubscription", broken)
                return MemoryBus(self.MAX_POINTS)
            assert issubclass(broken, MemoryBus)
            return broken(self.MAX_POINTS)

    assert set(failures(Suite)) == BROKEN[broken]
