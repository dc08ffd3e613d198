"""Both registries keep the contract, and the contract catches registries that do not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs
import pytest

from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.registry.sqlite import SqliteRegistry
from plexus.domain.run import Run, RunStatus
from plexus.ports.registry import Registry
from plexus.testing.contracts import failures
from plexus.testing.contracts.registry import RegistryContract


class TestMemoryRegistry(RegistryContract):
    def make(self) -> Registry:
        return MemoryRegistry()


class TestSqliteRegistry(RegistryContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> Registry:
        return SqliteRegistry(Path(tempfile.mkdtemp(dir=self.directory)) / "registry.db")


class Trusting(MemoryRegistry):
    """Gives everybody the name that they declare."""

    def claim(self, org: str, declared: str, install_id: str) -> str:
        return super().claim(org, declared, "")


class OneOrganisation(MemoryRegistry):
    """Knows no organisations."""

    def claim(self, org: str, declared: str, install_id: str) -> str:
        return super().claim("", declared, install_id)

    def registered(self, org: str) -> list[str]:
        return super().registered("")

    def register(self, org: str, source_id: str, metadata: str) -> bool:
        return super().register("", source_id, metadata)


class Amnesiac(MemoryRegistry):
    """Forgets who was given which name, and so hands out a new one at every start."""

    def claim(self, org: str, declared: str, install_id: str) -> str:
        self._of(org).claims.clear()
        return super().claim(org, declared, install_id)


class FirstRunStays(MemoryRegistry):
    """Does not replace a run."""

    def put_run(self, org: str, run: Run) -> None:
        if self.run(org, run.run_id) is None:
            super().put_run(org, run)


class Rounding(MemoryRegistry):
    """Keeps whole milliseconds."""

    def put_run(self, org: str, run: Run) -> None:
        super().put_run(org, attrs.evolve(run, started_ms=float(round(run.started_ms))))


class OldestFirst(MemoryRegistry):
    """Lists runs the wrong way round."""

    def runs(self, org: str, source_id: str | None, status: RunStatus | None) -> list[Run]:
        return super().runs(org, source_id, status)[::-1]


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (
            Trusting,
            {
                "test_another_install_gets_the_next_suffix",
                "test_an_install_gets_its_own_name_back",
                "test_a_suffixed_name_was_known_to_nobody",
                "test_one_install_with_two_sources_has_two_names",
                "test_a_name_that_no_install_holds_is_free",
                "test_a_claimed_name_can_be_registered_and_stays_held",
                "test_known_names_are_sorted_and_each_is_there_once",
            },
        ),
        (OneOrganisation, {"test_organisations_do_not_share_names"}),
        (Amnesiac, {"test_an_install_gets_its_own_name_back"}),
        (FirstRunStays, {"test_a_run_put_again_replaces_the_first"}),
        (Rounding, {"test_a_run_comes_back_as_it_went_in"}),
        (
            OldestFirst,
            {"test_runs_are_newest_first_and_equal_starts_by_id", "test_runs_are_chosen_by_source_and_status"},
        ),
    ],
)
def test_a_broken_registry_fails_by_name(broken: type[MemoryRegistry], caught_by: set[str]) -> None:
    class Suite(RegistryContract):
        def make(self) -> Registry:
            return broken()

    assert set(failures(Suite)) == caught_by
