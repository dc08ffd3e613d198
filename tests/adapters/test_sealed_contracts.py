"""The store's contract over files: everything that is committed is sealed at once, or every second group is."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.ports.store import Receipt, Store, Submission
from plexus.testing.contracts.store import StoreContract
from plexus.testing.contracts.store.suite import T0_MS, submission, values_of

NOW_NS = (T0_MS // 1_000 + 100 * 86_400) * 10**9
AT_ONCE = Upkeep(stretch_points=1, seal_after_ns=0, merge_files=2)


class SealsAtOnce(EmbeddedStore):
    """Nothing is in the hot tables after a commit."""

    every = 1

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, upkeep=AT_ONCE)
        self._groups = itertools.count(1)

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        receipts = super().commit(group)
        if next(self._groups) % self.every == 0:
            while self.maintain(NOW_NS):
                pass
        return receipts


class SealsEverySecond(SealsAtOnce):
    """Of two groups the first waits in the hot tables for the second."""

    every = 2


class _OverFiles(StoreContract):
    kind: type[SealsAtOnce]

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> Store:
        return self.kind(Path(tempfile.mkdtemp(dir=self.directory)))


class TestSealedAtOnce(_OverFiles):
    kind = SealsAtOnce


class TestHalfSealed(_OverFiles):
    kind = SealsEverySecond


def test_what_the_contract_is_held_against_is_in_files(tmp_path: Path) -> None:
    store = SealsAtOnce(tmp_path)
    store.commit([submission(("rpm", 0, 1), ("state", 1, "x")), submission(("boot", 0, "x"), is_event=True)])
    assert store._newest.unsealed == 0
    assert {path.parent.parent.name for path in tmp_path.rglob("*.parquet")} == {"points", "events"}
    assert values_of(store, "rpm") == [1]
    store.close()
