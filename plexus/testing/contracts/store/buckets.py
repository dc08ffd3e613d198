"""Aggregates."""

from __future__ import annotations

from typing import Any

from plexus.ports.store import Store, Window
from plexus.testing.contracts.store.suite import (
    ALWAYS,
    T0_MS,
    VALUES,
    StoreSuite,
    after,
    bucket_rows,
    submission,
)


class BucketsContract(StoreSuite):
    """`buckets`."""

    def test_a_bucket_has_least_most_mean_count_and_last(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 4), ("rpm", 900, 1.0), ("rpm", 500, 10), ("rpm", 1_000, 7))])
            rows = self._rows(store, 1_000)
            assert repr(rows) == repr([(0.0, 1.0, 10.0, 5.0, 3, 1.0), (1_000.0, 7.0, 7.0, 7.0, 1, 7)])

    def test_only_finite_numbers_are_aggregated_and_every_value_is_counted(self) -> None:
        with self.store() as store:
            values = (3.0, float("nan"), float("inf"), float("-inf"), "9", True, False, [100], {"a": 100})
            store.commit([submission(*(("rpm", i, value) for i, value in enumerate(values)))])
            assert self._rows(store, 1_000) == [(0.0, 3.0, 3.0, 3.0, 9, {"a": 100})]

    def test_a_bucket_without_a_number_has_count_and_last(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, "IDLE"), ("rpm", 2, True), ("rpm", 1, "RUNNING"))])
            assert self._rows(store, 1_000) == [(0.0, None, None, None, 3, True)]

    def test_the_last_of_a_bucket_keeps_its_type(self) -> None:
        with self.store() as store:
            for i, value in enumerate(VALUES):
                store.commit([submission((f"m{i}", 0, 1.5), (f"m{i}", 1, "text"), (f"m{i}", 2, value))])
            found = store.buckets("acme", None, None, ALWAYS, 1_000)["rig-01"]
            assert {metric: repr(series.last) for metric, series in found.items()} == {
                f"m{i}": repr([value]) for i, value in enumerate(VALUES)
            }

    def test_of_equal_times_the_last_is_what_was_committed_last(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 5, "a"), ("rpm", 5, "b"))])
            store.commit([submission(("rpm", 5, "c"), ("rpm", 4, "d"))])
            assert self._rows(store, 1_000)[0][5] == "c"

    def test_large_integers_aggregate_as_the_nearest_float(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 2**64 - 1), ("rpm", 1, 2**64 - 1))])
            assert self._rows(store, 1_000) == [(0.0, 2.0**64, 2.0**64, 2.0**64, 2, 2**64 - 1)]

    def test_the_mean_is_finite_and_between_least_and_most(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1.7e308), ("rpm", 1, 1.6e308), ("rpm", 2, 1.7e308))])
            low, high, mean = self._rows(store, 1_000)[0][1:4]
            assert low < mean < high
            store.commit([submission(*(("tenth", i, 0.1) for i in range(10)))])
            assert self._rows(store, 1_000, "tenth")[0][1:4] == (0.1, 0.1, 0.1)

    def test_buckets_start_at_whole_multiples_before_1970_too(self) -> None:
        with self.store() as store:
            offsets = (-60_001, -60_000, -1, 0, 59_999, 60_000)
            store.commit([submission(*(("rpm", ms - T0_MS, ms) for ms in offsets))])
            series = store.buckets("acme", None, None, ALWAYS, 60_000)["rig-01"]["rpm"]
            assert list(series.timestamp_ms) == [-120_000.0, -60_000.0, 0.0, 60_000.0]
            assert series.count == [1, 2, 2, 1]

    def test_the_window_cuts_the_first_and_the_last_bucket(self) -> None:
        with self.store() as store:
            store.commit([submission(*(("rpm", ms, ms) for ms in range(0, 3_000, 250)))])
            rows = self._rows(store, 1_000, window=after(500, 2_250))
            assert [(start, count, last) for start, *_, count, last in rows] == [
                (0.0, 2, 750),
                (1_000.0, 4, 1_750),
                (2_000.0, 1, 2_000),
            ]

    def test_a_bucket_without_values_is_left_out(self) -> None:
        with self.store() as store:
            store.commit([submission(("rpm", 0, 1), ("rpm", 5_000, 2))])
            assert [row[0] for row in self._rows(store, 1_000)] == [0.0, 5_000.0]

    def test_many_sources_and_metrics_come_in_one_answer(self) -> None:
        with self.store() as store:
            for source_id in ("a", "b", "c"):
                store.commit([submission(("x", 0, 1), ("y", 0, 2), source_id=source_id)])
            found = store.buckets("acme", None, None, ALWAYS, 1_000)
            assert {source: sorted(metrics) for source, metrics in found.items()} == {
                name: ["x", "y"] for name in "abc"
            }
            found = store.buckets("acme", ["a", "c", "none"], ["y", "none"], ALWAYS, 1_000)
            assert {source: sorted(metrics) for source, metrics in found.items()} == {"a": ["y"], "c": ["y"]}

    def test_a_source_without_values_in_the_window_is_left_out(self) -> None:
        with self.store() as store:
            store.commit([submission(("x", 0, 1)), submission(("x", 9_000, 1), source_id="rig-02")])
            assert list(store.buckets("acme", None, None, after(0, 5_000), 1_000)) == ["rig-01"]

    @staticmethod
    def _rows(store: Store, bucket_ms: int, metric: str = "rpm", window: Window = ALWAYS) -> list[tuple[Any, ...]]:
        return bucket_rows(store.buckets("acme", ["rig-01"], [metric], window, bucket_ms)["rig-01"][metric])
