"""`scan` and `count`: everything that a selection holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plexus.ports.store import Selection, Store, Submission
from plexus.protocol.columns import Columns
from plexus.testing.contracts.store.suite import (
    T0_MS,
    VALUES,
    StoreSuite,
    after,
    columns,
    raw_of,
    refuses,
    submission,
)

EVERYTHING = Selection()
PART = 50_000


def scanned(store: Store, selection: Selection = EVERYTHING, *, org: str = "acme") -> list[tuple[Any, ...]]:
    """All points of a scan: source, metric, milliseconds after T0_MS, value."""
    return [
        (source_id, metric, t_ns / 1_000_000 - T0_MS, value)
        for part in store.scan(org, selection)
        for source_id, metric, t_ns, value in zip(part.source_id, part.metric, part.t_ns, part.value, strict=True)
    ]


def many(count: int, metric: str = "rpm") -> Submission:
    """Points of one metric, a millisecond apart, whose values count from 0."""
    return submission(*((metric, i, i) for i in range(count)))


class ScanningContract(StoreSuite):
    """`scan` and `count`."""

    def test_a_scan_ascends_by_source_metric_and_time(self) -> None:
        with self.store() as store:
            store.commit([submission(("b", 2, 1), ("a", 5, 2), source_id="rig-02")])
            store.commit([submission(("b", 1, 3), ("a", 9, 4), ("a", 0, 5)), submission(("b", 0, 6))])
            assert scanned(store) == [
                ("rig-01", "a", 0, 5),
                ("rig-01", "a", 9, 4),
                ("rig-01", "b", 0, 6),
                ("rig-01", "b", 1, 3),
                ("rig-02", "a", 5, 2),
                ("rig-02", "b", 2, 1),
            ]

    def test_equal_times_of_a_scan_keep_the_order_of_commit(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, "c"), ("b", 0, "x"), ("a", 0, "a"))])
            store.commit([submission(("a", 0, "b"))])
            assert [value for *_, value in scanned(store)] == ["c", "a", "b", "x"]

    def test_a_selection_picks_sources_metrics_and_a_window(self) -> None:
        with self.store() as store:
            for source_id in ("rig-01", "rig-02", "rig-03"):
                store.commit([submission(*((name, i, i) for name in "abc" for i in range(4)), source_id=source_id)])
            chosen = Selection(["rig-01", "rig-03", "none"], ["b", "c", "none"], after(1, 3))
            assert scanned(store, chosen) == [
                (source_id, name, i, i) for source_id in ("rig-01", "rig-03") for name in "bc" for i in (1, 2)
            ]
            assert store.count("acme", chosen) == 8
            assert scanned(store, Selection([])) == scanned(store, Selection(None, [])) == []

    def test_a_scan_gives_points_as_they_came_with_tags_and_runs(self) -> None:
        with self.store() as store:
            sent = columns([("m", i, value, {"by": "ann"} if i % 3 == 0 else {}) for i, value in enumerate(VALUES)])
            sent.run_id = [None if i % 2 else f"run-{i % 4}" for i in range(len(VALUES))]
            store.commit([Submission("acme", "rig-01", sent, 1)])
            (part,) = store.scan("acme", EVERYTHING)
            assert repr(part.value) == repr(list(VALUES))
            assert [dict(tags or {}) for tags in part.tags] == [dict(tags or {}) for tags in sent.tags]
            assert part.run_id == sent.run_id
            assert part.t_ns == sent.t_ns
            assert part.is_event == [False] * len(VALUES)

    def test_a_scan_and_a_count_are_of_metrics_and_of_one_organisation(self) -> None:
        with self.store() as store:
            store.commit([submission(("a", 0, 1)), submission(("a", 1, 2), is_event=True)])
            store.commit([submission(("a", 2, 3), org="globex")])
            assert scanned(store) == [("rig-01", "a", 0, 1)]
            assert store.count("acme", EVERYTHING) == 1
            assert scanned(store, org="none") == []
            assert store.count("none", EVERYTHING) == 0

    def test_a_count_is_what_a_scan_gives(self) -> None:
        with self.store() as store:
            store.commit([many(100), many(50, "temp")])
            store.commit([many(10)])
            windows = [None, after(0, 1), after(-5, 37), after(40, 1_000), after(200, 300), after(7, 7)]
            for window in windows:
                chosen = Selection(None, None, window)
                assert store.count("acme", chosen) == len(scanned(store, chosen))
            assert store.count("acme", EVERYTHING) == 160

    def test_parts_are_bounded_and_nothing_of_a_scan_is_missed_or_twice(self) -> None:
        with self.store() as store:
            store.commit([many(PART + 10_000)])
            parts = list(store.scan("acme", EVERYTHING))
            assert max(map(len, parts)) <= PART
            assert _values(parts) == list(range(PART + 10_000))

    def test_a_scan_shows_one_moment(self) -> None:
        with self.store() as store:
            store.commit([many(PART + 1)])
            found = store.scan("acme", EVERYTHING)
            first = next(found)
            store.commit([submission(("rpm", PART + 5, "later"), ("zoom", 0, "later"))])
            assert _values([first, *found]) == list(range(PART + 1))

    def test_a_scan_may_be_closed_before_its_end(self) -> None:
        with self.store() as store:
            store.commit([many(3)])
            found = store.scan("acme", EVERYTHING)
            next(found)
            close = getattr(found, "close", None)
            if close is not None:
                close()
            assert set(raw_of(store)) == {"rpm"}

    def test_a_closed_store_scans_and_counts_nothing(self) -> None:
        with self.store() as store:
            store.close()
            assert refuses(lambda: list(store.scan("acme", EVERYTHING)))
            assert refuses(lambda: store.count("acme", EVERYTHING))


def _values(parts: Sequence[Columns]) -> list[Any]:
    return [value for part in parts for value in part.value]
