"""Raw values, the latest ones, names and sources."""

from __future__ import annotations

from plexus.ports.store import Submission, Window
from plexus.testing.contracts.store.suite import (
    ALWAYS,
    NS_PER_MS,
    T0_MS,
    VALUES,
    StoreSuite,
    after,
    columns,
    named,
    raw_of,
    submission,
    values_of,
)


class MetricsContract(StoreSuite):
    """`raw`, `latest`, `names` and `sources`."""

    def test_values_come_back_as_they_went_in(self) -> None:
        with self.store() as store:
            store.commit([submission(*((f"m{i}", 0, value) for i, value in enumerate(VALUES)))])
            found = {metric: value for metric, (_t, value) in store.latest("acme", "rig-01").items()}
            expected = {f"m{i}": repr(value) for i, value in enumerate(VALUES)}
            assert {metric: repr(value) for metric, value in found.items()} == expected
            assert raw_of(store) == {f"m{i}": repr([(float(T0_MS), value)]) for i, value in enumerate(VALUES)}

    def test_one_metric_may_hold_values_of_every_type(self) -> None:
        with self.store() as store:
            store.commit([submission(*(("mixed", i, value) for i, value in enumerate(VALUES)))])
            store.commit([submission(("mixed", 1_000 + i, value)) for i, value in enumerate(VALUES)])
            assert repr(values_of(store, "mixed")) == repr([*VALUES, *VALUES])

    def test_names_may_hold_anything(self) -> None:
        with self.store() as store:
            names = ["'; DROP TABLE points; --", "a b", "ünïcode ☃", "%", "_", "A", "a", "x" * 512, "nul \x00"]
            store.commit([submission(*((name, 0, name) for name in names))])
            assert store.names("acme", "rig-01") == sorted(names)
            for name in names:
                assert values_of(store, name) == [name]

    def test_series_are_ascending_whatever_the_order_of_arrival(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 5, 5), ("rpm", 1, 1))])
            store.commit([submission(("rpm", 3, 3)), submission(("rpm", 0, 0), ("rpm", 4, 4))])
            assert values_of(store, "rpm") == [0, 1, 3, 4, 5]

    def test_equal_times_keep_the_order_of_commit(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, "c"), ("rpm", 0, "a"))])
            store.commit([submission(("rpm", 0, "d")), submission(("rpm", 0, "b"), ("rpm", -1, "first"))])
            assert values_of(store, "rpm") == ["first", "c", "a", "d", "b"]

    def test_a_window_holds_its_start_and_not_its_end(self) -> None:
        with self.store() as store:
            store.commit([submission(*(("rpm", ms, ms) for ms in (0, 1, 2, 3)))])
            assert store.raw("acme", "rig-01", None, after(1, 3), 10).series["rpm"].value == [1, 2]
            assert store.raw("acme", "rig-01", None, after(4, 9), 10).series == {}

    def test_nanoseconds_count_at_the_ends_of_a_window(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 0))])
            t_ns = T0_MS * NS_PER_MS
            assert store.raw("acme", "rig-01", None, Window(t_ns, t_ns + 1), 10).series["rpm"].value == [0]
            assert store.raw("acme", "rig-01", None, Window(t_ns + 1, t_ns + 9), 10).series == {}
            assert store.raw("acme", "rig-01", None, Window(t_ns - 9, t_ns), 10).series == {}

    def test_whole_milliseconds_come_back_whole(self) -> None:
        with self.store() as store:
            offsets = range(0, 10_000_000_000, 98_765_431)
            store.commit([submission(*(("rpm", ms, 1.5) for ms in offsets))])
            times = store.raw("acme", "rig-01", ["rpm"], ALWAYS, 1_000).series["rpm"].timestamp_ms
            assert list(times) == [T0_MS + ms for ms in offsets]

    def test_times_before_1970_are_times(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", -T0_MS - 1, "before"), ("rpm", -T0_MS, "then"))])
            assert raw_of(store)["rpm"] == repr([(-1.0, "before"), (0.0, "then")])

    def test_only_the_named_metrics_are_answered(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1), ("b", 0, 2), ("c", 0, 3))])
            assert set(store.raw("acme", "rig-01", ["a", "c", "a", "none"], ALWAYS, 10).series) == {"a", "c"}
            assert store.raw("acme", "rig-01", [], ALWAYS, 10).series == {}

    def test_the_limit_counts_all_metrics_together_and_keeps_the_oldest(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 3, 3), ("b", 2, 2), ("a", 1, 1), ("b", 4, 4))])
            found = store.raw("acme", "rig-01", None, ALWAYS, 3)
            assert {name: series.value for name, series in found.series.items()} == {"a": [1, 3], "b": [2]}
            assert found.truncated

    def test_a_limit_among_equal_times_keeps_what_was_committed_first(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1), ("b", 0, 2)), submission(("a", 0, 3), ("c", 0, 4))])
            found = store.raw("acme", "rig-01", None, ALWAYS, 3)
            assert {name: series.value for name, series in found.series.items()} == {"a": [1, 3], "b": [2]}

    def test_truncated_says_that_there_is_more_and_only_then(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1), ("b", 1, 2))])
            limits = {limit: store.raw("acme", "rig-01", None, ALWAYS, limit).truncated for limit in (1, 2, 3)}
            assert limits == {1: True, 2: False, 3: False}

    def test_latest_is_the_highest_time_and_not_the_last_commit(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 9, "new"), ("rpm", 5, "older"), ("temp", 1, 20.5))])
            store.commit([submission(("rpm", 7, "late"))])
            t_ns = T0_MS * NS_PER_MS
            expected = {"rpm": (t_ns + 9 * NS_PER_MS, "new"), "temp": (t_ns + NS_PER_MS, 20.5)}
            assert dict(store.latest("acme", "rig-01")) == expected

    def test_of_equal_times_the_latest_is_what_was_committed_last(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1), ("rpm", 0, 2), ("x", 9, 0), ("y", 1, 1), ("y", 1, 2), ("x", 1, 0))])
            assert store.latest("acme", "rig-01")["rpm"][1] == 2
            assert store.latest("acme", "rig-01")["y"][1] == 2
            store.commit([submission(("rpm", 0, 3))])
            assert store.latest("acme", "rig-01")["rpm"][1] == 3

    def test_sources_have_the_arrival_of_what_was_committed_last(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1), arrival_ns=10)])
            store.commit([submission(("rpm", 0, 1), arrival_ns=30), submission(("rpm", 0, 1), arrival_ns=20)])
            assert dict(store.sources("acme")) == {"rig-01": 20}

    def test_what_was_not_stored_is_no_sign_of_a_source(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1), arrival_ns=10, batch=named(1))])
            store.commit([submission(("rpm", 0, 1), arrival_ns=20, batch=named(1))])
            store.commit([submission(("rpm", 0, 1), source_id="rig-02", batch=named(9, stream="f" * 32))])
            assert dict(store.sources("acme")) == {"rig-01": 10}

    def test_points_belong_to_their_own_source(self) -> None:
        with self.store() as store:
            both = columns([("rpm", 0, 1)], "rig-01")
            both.extend(columns([("rpm", 0, 2)], "rig-02"))
            store.commit([Submission("acme", "gateway", both, 7)])
            assert dict(store.sources("acme")) == {"rig-01": 7, "rig-02": 7}
            assert values_of(store, "rpm") == [1]
            assert values_of(store, "rpm", source_id="rig-02") == [2]

    def test_organisations_never_see_each_other(self) -> None:
        with self.store() as store:
            metric, event = ("rpm", 0, 1), ("boot", 0, "x")
            store.commit([submission(metric), submission(event, is_event=True)])
            assert dict(store.sources("globex")) == {}
            assert store.names("globex", "rig-01") == []
            assert dict(store.latest("globex", "rig-01")) == {}
            assert raw_of(store, org="globex") == {}
            assert dict(store.buckets("globex", None, None, ALWAYS, 60_000)) == {}
            assert dict(store.buckets("globex", ["rig-01"], ["rpm"], ALWAYS, 60_000)) == {}
            assert store.events("globex", "rig-01", ALWAYS, None, 10, newest=True) == []
