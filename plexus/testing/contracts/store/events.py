"""Events, and that they are no metrics."""

from __future__ import annotations

from plexus.domain.event import Event
from plexus.ports.store import Store, Submission
from plexus.testing.contracts.store.suite import (
    ALWAYS,
    T0_MS,
    VALUES,
    StoreSuite,
    after,
    columns,
    raw_of,
    submission,
    values_of,
)


class EventsContract(StoreSuite):
    """`events`, and that they are no metrics."""

    def test_an_event_comes_back_with_value_time_tags_and_source(self) -> None:
        with self.store() as store:
            store.commit([submission(("boot", 0, "cold", {"by": "ann"}), ("boot", 1, {"n": 1}), is_event=True)])
            assert self._events(store) == [
                Event("boot", "cold", float(T0_MS), {"by": "ann"}, "rig-01"),
                Event("boot", {"n": 1}, T0_MS + 1.0, {}, "rig-01"),
            ]

    def test_an_event_may_hold_a_value_of_every_type(self) -> None:
        with self.store() as store:
            store.commit([submission(*(("e", i, value) for i, value in enumerate(VALUES)), is_event=True)])
            assert repr([event.value for event in self._events(store)]) == repr(list(VALUES))

    def test_metrics_and_events_are_kept_apart(self) -> None:
        with self.store() as store:
            mixed = columns([("same", 0, 1), ("rpm", 1, 2)])
            mixed.extend(columns([("same", 2, "x"), ("boot", 3, 4)], is_event=True))
            store.commit([Submission("acme", "rig-01", mixed, 1)])
            assert store.names("acme", "rig-01") == ["rpm", "same"]
            assert {name: value for name, (_t, value) in store.latest("acme", "rig-01").items()} == {
                "same": 1,
                "rpm": 2,
            }
            assert set(raw_of(store)) == {"rpm", "same"}
            assert values_of(store, "same") == [1]
            assert set(store.buckets("acme", None, None, ALWAYS, 1_000)["rig-01"]) == {"rpm", "same"}
            assert [(event.name, event.value) for event in self._events(store)] == [("same", "x"), ("boot", 4)]

    def test_a_source_of_events_alone_is_a_source(self) -> None:
        with self.store() as store:
            store.commit([submission(("boot", 0, "x"), is_event=True)])
            assert list(store.sources("acme")) == ["rig-01"]
            assert store.names("acme", "rig-01") == []

    def test_events_are_ascending_and_equal_times_keep_the_order_of_commit(self) -> None:
        with self.store() as store:
            store.commit([submission(("e", 5, "late"), ("e", 0, "b"), ("e", 0, "a"), is_event=True)])
            store.commit([submission(("f", 0, "c"), is_event=True)])
            for newest in (True, False):
                assert [event.value for event in self._events(store, newest=newest)] == ["b", "a", "c", "late"]

    def test_a_limit_keeps_the_oldest_or_the_newest_in_ascending_order(self) -> None:
        with self.store() as store:
            store.commit([submission(*(("e", ms, ms) for ms in (3, 1, 4, 2)), is_event=True)])
            store.commit([submission(("e", 4, "tie"), is_event=True)])
            assert [event.value for event in self._events(store, limit=2)] == [1, 2]
            assert [event.value for event in self._events(store, limit=2, newest=True)] == [4, "tie"]
            assert [event.value for event in self._events(store, limit=1, newest=True)] == ["tie"]
            assert len(self._events(store, limit=5, newest=True)) == 5

    def test_a_name_picks_its_events_before_the_limit_counts(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 0), ("b", 1, 1), ("a", 2, 2), ("b", 3, 3), is_event=True)])
            assert [event.value for event in self._events(store, name="b", limit=2)] == [1, 3]
            assert self._events(store, name="none") == []

    def test_a_window_of_events_holds_its_start_and_not_its_end(self) -> None:
        with self.store() as store:
            store.commit([submission(*(("e", ms, ms) for ms in (0, 1, 2, 3)), is_event=True)])
            found = store.events("acme", "rig-01", after(1, 3), None, 10, newest=False)
            assert [event.value for event in found] == [1, 2]

    def test_events_are_of_their_source_only(self) -> None:
        with self.store() as store:
            store.commit([submission(("e", 0, 1), source_id="rig-02", is_event=True)])
            assert self._events(store) == []

    @staticmethod
    def _events(store: Store, *, name: str | None = None, limit: int = 100, newest: bool = False) -> list[Event]:
        return store.events("acme", "rig-01", ALWAYS, name, limit, newest=newest)
