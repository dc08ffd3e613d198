"""The settings of sealing and retention, by what becomes of points under a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plexus.adapters.store.embedded import Upkeep
from plexus.gateway.assembly import open_store
from plexus.gateway.settings import Retention, Sealing, Settings
from plexus.ports.store import Store
from plexus.testing.contracts.store.suite import submission, values_of
from plexus.testing.contracts.store.tending import tend
from tests.support.daily import DAY_MS, NOW, T0_NS, parquet

SECOND_NS = 10**9
CHECK_NS = Upkeep().check_ns
MINUTE_NS = 60 * SECOND_NS


@contextmanager
def opened(folder: Path, settings: Settings | None = None) -> Iterator[Store]:
    """The store that a gateway with these settings opens."""
    store = open_store(folder / "data", settings)
    try:
        yield store
    finally:
        store.close()


def put(store: Store, count: int, day: int = 0) -> None:
    """As many points of one metric, a millisecond apart."""
    points: list[Any] = [("rpm", day * DAY_MS + index, index) for index in range(count)]
    store.commit([submission(*points)])


def sealed(folder: Path) -> bool:
    return bool(parquet(folder))


def test_points_are_sealed_when_there_are_as_many_as_the_settings_say(tmp_path: Path) -> None:
    with opened(tmp_path, Settings(sealing=Sealing(500, 3600.0))) as store:
        put(store, 499)
        tend_once(store, T0_NS)
        assert not sealed(tmp_path)
        put(store, 30, day=1)
        tend_once(store, T0_NS)
        assert sealed(tmp_path)


def test_points_are_sealed_when_they_have_waited_as_long_as_the_settings_say(tmp_path: Path) -> None:
    with opened(tmp_path, Settings(sealing=Sealing(500, 1.5))) as store:
        put(store, 1)
        tend_once(store, T0_NS)
        tend_once(store, T0_NS + SECOND_NS)
        assert not sealed(tmp_path)
        tend_once(store, T0_NS + 3 * SECOND_NS // 2)
        assert sealed(tmp_path)


def test_days_that_the_settings_do_not_keep_go(tmp_path: Path) -> None:
    with opened(tmp_path, Settings(retention=Retention(days=1), sealing=Sealing(1))) as store:
        for day in range(4):
            put(store, 1 + day, day)
        tend(store, NOW)
        assert values_of(store, "rpm") == [0, 1, 2, 0, 1, 2, 3]


def test_data_that_comes_later_than_it_is_kept_stays_until_the_next_look_at_most(tmp_path: Path) -> None:
    with opened(tmp_path, Settings(retention=Retention(days=1), sealing=Sealing(1))) as store:
        tend_once(store, NOW)
        put(store, 2, day=0)
        tend_once(store, NOW + CHECK_NS - 1)
        assert sealed(tmp_path)
        assert values_of(store, "rpm") == [0, 1]
        tend_once(store, NOW + CHECK_NS)
        assert values_of(store, "rpm") == []


def test_more_bytes_than_the_settings_keep_go_the_oldest_first(tmp_path: Path) -> None:
    with opened(tmp_path, Settings(sealing=Sealing(1))) as store:
        for day in range(4):
            put(store, 100 + day, day)
        tend(store, NOW)
        size = stored_bytes(tmp_path)
    kept = size * 3 // 5
    with opened(tmp_path, Settings(retention=Retention(bytes=kept), sealing=Sealing(1))) as store:
        tend(store, NOW)
        left = values_of(store, "rpm")
        assert 0 < stored_bytes(tmp_path) <= kept
    assert left == [*range(102), *range(103)]


def test_without_settings_all_is_kept_and_sealed_after_ten_minutes(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        put(store, 2)
        later = T0_NS + 400 * DAY_MS * 1_000_000
        tend_once(store, later)
        tend_once(store, later + 10 * MINUTE_NS - 1)
        assert not sealed(tmp_path)
        tend_once(store, later + 10 * MINUTE_NS)
        assert sealed(tmp_path)
        tend_once(store, later + 30 * MINUTE_NS)
        assert values_of(store, "rpm") == [0, 1]


def tend_once(store: Store, now_ns: int) -> None:
    """As `Tending` does, at one moment."""
    while store.maintain(now_ns):
        pass


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in parquet(folder))
