"""How many files of the history are open at once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.embedded.files import reading
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.testing.contracts.store.suite import submission, values_of
from plexus.testing.contracts.store.tending import tend
from tests.support.daily import DAY_MS, NOW, parquet

DESCRIPTORS = Path("/proc/self/fd")


def open_files(folder: Path) -> int:
    """Files of this store's history that this process has open."""
    found = 0
    for link in DESCRIPTORS.iterdir():
        try:
            target = str(link.readlink())
        except OSError:  # the descriptor of this very look
            continue
        found += target.startswith(str(folder)) and target.endswith(".parquet")
    return found


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="no /proc: a process's open files are not listed here")
def test_questions_over_many_days_keep_few_files_open_and_are_answered_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading.Reader.__init__, "__defaults__", (reading.MAX_CHUNKS, 5))
    with closing(EmbeddedStore(tmp_path / "data", upkeep=Upkeep(stretch_points=1))) as store:
        for day in range(20):
            store.commit([submission(("rpm", day * DAY_MS, day))])
        tend(store, NOW)
        assert len(parquet(tmp_path)) >= 20
        assert values_of(store, "rpm") == list(range(20))
        assert 0 < open_files(tmp_path) <= 5


def test_a_process_with_few_descriptors_has_enough_of_them() -> None:
    assert reading.MAX_FILES <= 1024 // 4
