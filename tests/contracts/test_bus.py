"""The memory bus keeps the contract, and the contract catches buses that do not."""

from __future__ import annotations

import pytest

from plexus.adapters.bus import memory
from plexus.adapters.bus.memory import MemoryBus, MemorySubscription
from plexus.ports.bus import Bus
from plexus.protocol.columns import Columns
from plexus.testing.contracts import bus as suite
from plexus.testing.contracts import failures
from plexus.testing.contracts.bus import BusContract


class TestMemoryBus(BusContract):
    def make(self) -> Bus:
        return MemoryBus(max_points=self.MAX_POINTS)


class OrgBlind(MemoryBus):
    """Keeps organisations together."""

    def publish(self, org: str, columns: Columns) -> None:
        super().publish("acme", columns)


class SourceBlind(MemoryBus):
    """Hands over the whole message when one point of it is the reader's."""

    def publish(self, org: str, columns: Columns) -> None:
        for (reads_org, source_id), readers in self._readers.items():
            if reads_org == org and source_id in columns.source_id:
                for reader in readers:
                    reader.put(columns)


class OneWinner(MemoryBus):
    """A queue of work: each message goes to one reader."""

    def publish(self, org: str, columns: Columns) -> None:
        for source_id in dict.fromkeys(columns.source_id):
            for reader in self._readers.get((org, source_id), [])[:1]:
                reader.put(columns)


class Backwards(MemorySubscription):
    def put(self, columns: Columns) -> None:
        super().put(columns)
        self._queue.rotate(1)


class OldestWins(MemorySubscription):
    """Refuses the new when it is full."""

    def put(self, columns: Columns) -> None:
        if self._points + len(columns) > self._max_points:
            self._missed += len(columns)
        else:
            super().put(columns)


class Silent(MemorySubscription):
    """Drops without counting."""

    @property
    def missed(self) -> int:
        return 0


class Endless(MemorySubscription):
    """Keeps everything for a reader that never comes."""

    def put(self, columns: Columns) -> None:
        self._queue.append(columns)
        self._filled.set()


class Remembering(MemoryBus):
    """Gives a new reader what was published before it came."""

    def __init__(self, max_points: int) -> None:
        super().__init__(max_points)
        self._past: list[tuple[str, Columns]] = []

    def publish(self, org: str, columns: Columns) -> None:
        self._past.append((org, columns))
        super().publish(org, columns)

    def subscribe(self, org: str, source_id: str) -> MemorySubscription:
        subscription = super().subscribe(org, source_id)
        for past_org, columns in self._past:
            if past_org == org and source_id in columns.source_id:
                subscription.put(columns)
        return subscription


class Careless(MemoryBus):
    """Drops tags on the way."""

    def publish(self, org: str, columns: Columns) -> None:
        bare = Columns()
        for row, point in enumerate(columns.points()):
            bare.add(columns.source_id[row], point.metric, columns.t_ns[row], is_event=False, value=point.value)
        super().publish(org, bare)


BROKEN: dict[type, set[str]] = {
    OrgBlind: {"test_another_organisation_is_not_seen"},
    SourceBlind: {"test_another_source_is_not_seen_even_in_one_message"},
    OneWinner: {
        "test_another_source_is_not_seen_even_in_one_message",
        "test_every_reader_of_a_source_gets_all_of_it",
        "test_a_quick_reader_misses_nothing",
    },
    Backwards: {
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
