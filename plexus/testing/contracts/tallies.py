"""What all tallies must do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plexus.domain.source import ClockReport
from plexus.ports.tallies import Tallies, Tally
from plexus.testing.contracts import Contract

RIG = ("acme", "rig")
FULL = Tally(1, 2, 3, 4, 1795514149697.0, ClockReport(-12.25, 0.5, 1795514149000.0))


class TalliesContract(Contract):
    """Override `make` to return fresh, empty tallies."""

    def make(self) -> Tallies:
        """Fresh, empty tallies."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its tallies")

    @contextmanager
    def tallies(self) -> Iterator[Tallies]:
        """Fresh tallies, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)

    def test_a_tally_comes_back_as_it_went_in(self) -> None:
        with self.tallies() as tallies:
            assert dict(tallies.load()) == {}
            tallies.save({RIG: FULL, ("acme", "arm"): Tally()})
            assert dict(tallies.load()) == {RIG: FULL, ("acme", "arm"): Tally()}

    def test_a_tally_saved_again_replaces_the_first_and_no_other(self) -> None:
        with self.tallies() as tallies:
            tallies.save({RIG: FULL, ("other", "rig"): FULL})
            tallies.save({RIG: Tally(batches=9)})
            assert dict(tallies.load()) == {RIG: Tally(batches=9), ("other", "rig"): FULL}

    def test_a_tally_goes_with_its_source_when_it_is_renamed(self) -> None:
        with self.tallies() as tallies:
            tallies.save({RIG: FULL, ("acme", "arm"): Tally(batches=7), ("other", "rig"): Tally()})
            tallies.rename("acme", "rig", "arm")
            assert dict(tallies.load()) == {("acme", "arm"): FULL, ("other", "rig"): Tally()}

    def test_a_source_that_is_removed_is_not_counted(self) -> None:
        with self.tallies() as tallies:
            tallies.save({RIG: FULL, ("other", "rig"): FULL})
            tallies.remove("acme", "rig")
            assert dict(tallies.load()) == {("other", "rig"): FULL}
