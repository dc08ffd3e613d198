"""While a burst comes in, sealing waits for it to pass, but not for ever."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.testing.contracts.store.suite import submission

SECOND = 10**9
UPKEEP = Upkeep(stretch_points=4, absorb_points=1, burst_points_s=10, patient_points=40)


def commit(store: EmbeddedStore, points: int, first: int = 0) -> None:
    store.commit([submission(*[("rpm", first + i, i) for i in range(points)])])


def files(folder: Path) -> int:
    return len(list(folder.rglob("*.parquet")))


def tend(store: EmbeddedStore, now_ns: int) -> None:
    while store.maintain(now_ns):
        pass


def test_what_can_wait_waits_while_more_comes_in_than_that_and_is_done_when_it_is_over(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path, upkeep=UPKEEP)) as store:
        tend(store, 0)
        commit(store, 20)
        tend(store, SECOND)
        assert files(tmp_path) == 0, "20 points a second are a burst"
        tend(store, 2 * SECOND)
        assert files(tmp_path) > 0, "nothing came for a second"


def test_a_slow_stream_is_no_burst(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path, upkeep=UPKEEP)) as store:
        tend(store, 0)
        commit(store, 8)
        tend(store, SECOND)
        assert files(tmp_path) > 0


def test_a_burst_that_does_not_end_is_sealed_all_the_same(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path, upkeep=UPKEEP)) as store:
        tend(store, 0)
        commit(store, 39)
        tend(store, SECOND)
        assert files(tmp_path) == 0
        commit(store, 39, first=39)
        tend(store, 2 * SECOND)
        assert files(tmp_path) > 0


def test_a_clock_that_is_put_back_ends_no_waiting_and_begins_none(tmp_path: Path) -> None:
    with closing(EmbeddedStore(tmp_path, upkeep=UPKEEP)) as store:
        tend(store, 100 * SECOND)
        commit(store, 20)
        tend(store, SECOND)
        assert files(tmp_path) > 0, "nobody knows how fast these came"
