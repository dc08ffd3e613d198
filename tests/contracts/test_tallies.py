"""Both tallies keep the contract, and the contract catches those that do not."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from plexus.adapters.tallies.memory import MemoryTallies
from plexus.adapters.tallies.sqlite import SqliteTallies
from plexus.domain.errors import StoreError
from plexus.ports.tallies import Place, Tallies, Tally
from plexus.testing.contracts import failures
from plexus.testing.contracts.tallies import FULL, RIG, TalliesContract


class TestMemoryTallies(TalliesContract):
    def make(self) -> Tallies:
        return MemoryTallies()


class TestSqliteTallies(TalliesContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> Tallies:
        return SqliteTallies(Path(tempfile.mkdtemp(dir=self.directory)) / "tallies.db")


def test_the_file_keeps_what_was_saved(tmp_path: Path) -> None:
    before = SqliteTallies(tmp_path / "tallies.db")
    before.save({RIG: FULL})
    again = SqliteTallies(tmp_path / "tallies.db")
    assert dict(again.load()) == {RIG: FULL}
    copies = tmp_path / "copies"
    copies.mkdir()
    again.snapshot(copies)
    copy = SqliteTallies(copies / "tallies.db")
    assert dict(copy.load()) == {RIG: FULL}
    for tallies in (before, again, copy):
        tallies.close()
    with pytest.raises(StoreError, match=r"tallies\.db"):
        again.load()


class Adding(MemoryTallies):
    """Adds where it should replace."""

    def save(self, tallies: Mapping[Place, Tally]) -> None:
        known = self.load()
        super().save(
            {
                place: attrs.evolve(tally, batches=tally.batches + known.get(place, Tally()).batches)
                for place, tally in tallies.items()
            }
        )


class Clockless(MemoryTallies):
    """Loses what was said of the clock."""

    def save(self, tallies: Mapping[Place, Tally]) -> None:
        super().save({place: attrs.evolve(tally, clock=None) for place, tally in tallies.items()})


class Copying(MemoryTallies):
    """Leaves a renamed source's tally where it was, too."""

    def rename(self, org: str, source_id: str, new: str) -> None:
        tally = self.load()[org, source_id]
        super().rename(org, source_id, new)
        self.save({(org, source_id): tally})


class OverAll(MemoryTallies):
    """Knows no organisations when it removes."""

    def remove(self, org: str, source_id: str) -> None:
        for place in self.load():
            if place[1] == source_id:
                super().remove(*place)


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (Adding, {"test_a_tally_saved_again_replaces_the_first_and_no_other"}),
        (
            Clockless,
            {
                "test_a_tally_comes_back_as_it_went_in",
                "test_a_tally_saved_again_replaces_the_first_and_no_other",
                "test_a_tally_goes_with_its_source_when_it_is_renamed",
                "test_a_source_that_is_removed_is_not_counted",
            },
        ),
        (Copying, {"test_a_tally_goes_with_its_source_when_it_is_renamed"}),
        (OverAll, {"test_a_source_that_is_removed_is_not_counted"}),
    ],
)
def test_broken_tallies_fail_by_name(broken: type[MemoryTallies], caught_by: set[str]) -> None:
    class Suite(TalliesContract):
        def make(self) -> Tallies:
            return broken()

    assert set(failures(Suite)) == caught_by
