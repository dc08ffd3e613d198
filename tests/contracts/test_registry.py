"""Both registries keep the contract, and the contract catches registries that do not."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import attrs
import pytest

from plexus.adapters.registry import sqlite
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.registry.sqlite import SqliteRegistry
from plexus.adapters.sqlitefile import SqliteFile
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Run, RunStatus
from plexus.ports.registry import Move, Registry
from plexus.testing.contracts import failures
from plexus.testing.contracts.registry import RegistryContract


class TestMemoryRegistry(RegistryContract):
    def make(self) -> Registry:
        return MemoryRegistry()


def test_a_file_of_the_format_before_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    with contextlib.closing(SqliteFile(path, sqlite._VERSION_1)) as old, old.transaction() as connection:
        connection.execute("INSERT INTO names VALUES ('acme', 'rig', 'a', NULL)")
    registry = SqliteRegistry(path)
    registry.put_metric("acme", "rig", MetricInfo("t"))
    registry.begin_move(Move("acme", "rig", "oven"))
    registry.close()
    again = SqliteRegistry(path)
    assert again.registered("acme") == ["oven"]
    assert again.metric_infos() == {("acme", "oven"): [MetricInfo("t")]}
    assert list(again.moves()) == [Move("acme", "rig", "oven")]
    again.close()


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


class Leaving(MemoryRegistry):
    """Renames a source and forgets what it had."""

    def begin_move(self, move: Move) -> None:
        super().begin_move(move)
        known = self._of(move.org)
        known.claims = {claim: name for claim, name in known.claims.items() if name != move.new}
        known.metrics.pop(move.new or "", None)


class Unfinished(MemoryRegistry):
    """Takes a move for ended once it has begun."""

    def begin_move(self, move: Move) -> None:
        super().begin_move(move)
        self._moves.clear()


class Overwriting(MemoryRegistry):
    """Renames onto a name that is known."""

    def begin_move(self, move: Move) -> None:
        if move.new is not None:
            self._of(move.org).holders.pop(move.new, None)
        super().begin_move(move)


class Claiming(MemoryRegistry):
    """Claims a name that is only looked up."""

    def given(self, org: str, declared: str, install_id: str) -> str | None:
        return self.claim(org, declared, install_id)


class Foreseeing(MemoryRegistry):
    """Claims a name that is only foreseen."""

    def foreseen(self, org: str, declared: str, install_id: str) -> str:
        return self.claim(org, declared, install_id)


class Doubting(MemoryRegistry):
    """Lets no proof take what another install holds."""

    def prove(self, org: str, source_id: str, install_id: str) -> None:
        self.claim(org, source_id, install_id)


class Lending(MemoryRegistry):
    """Gives a proven name without the hold on it."""

    def prove(self, org: str, source_id: str, install_id: str) -> None:
        self.claim(org, source_id, "")
        if install_id:
            self._of(org).claims[source_id, install_id] = source_id


class Grasping(MemoryRegistry):
    """Takes a name from whoever holds it, for nobody."""

    def prove(self, org: str, source_id: str, install_id: str) -> None:
        super().prove(org, source_id, install_id)
        self._of(org).holders[source_id] = install_id


class Merging(MemoryRegistry):
    """Keeps of a metric what is not put anew."""

    def put_metric(self, org: str, source_id: str, info: MetricInfo) -> None:
        known = self._of(org).metrics.get(source_id, {}).get(info.name)
        super().put_metric(org, source_id, attrs.evolve(info, unit=info.unit or (known.unit if known else None)))


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
                "test_a_renamed_source_takes_everything_with_it",
                "test_the_name_that_was_given_can_be_looked_up_without_a_trace",
                "test_a_source_that_is_moving_cannot_be_moved_again",
                "test_a_name_that_is_known_cannot_be_moved_to_and_nothing_is_changed",
                "test_of_a_deleted_source_nothing_is_left",
                "test_an_install_id_is_any_text",
                "test_an_install_that_proves_a_name_has_it_whoever_held_it",
                "test_a_proof_without_an_install_id_holds_nothing",
                "test_the_proof_of_a_name_that_nobody_knew_makes_it_known",
            },
        ),
        (
            OneOrganisation,
            {
                "test_organisations_do_not_share_names",
                # whose sources are found in their own organisation alone
                "test_a_name_that_is_known_cannot_be_moved_to_and_nothing_is_changed",
                "test_a_renamed_source_takes_everything_with_it",
                "test_a_renamed_sources_name_is_free_for_another_install",
                "test_a_source_that_is_moving_cannot_be_moved_again",
                "test_a_source_that_nobody_claimed_is_known_by_its_new_name",
                "test_of_a_deleted_source_nothing_is_left",
                "test_the_name_that_was_given_can_be_looked_up_without_a_trace",
                "test_a_proof_takes_the_place_of_the_suffix_that_an_install_was_given",
                "test_an_install_that_proves_a_name_has_it_whoever_held_it",
                "test_the_name_that_a_claim_would_get_can_be_foreseen_without_a_trace",
                "test_the_proof_of_a_name_that_nobody_knew_makes_it_known",
            },
        ),
        (
            Amnesiac,
            {
                "test_an_install_gets_its_own_name_back",
                "test_a_renamed_source_takes_everything_with_it",
                "test_an_install_id_is_any_text",
                "test_an_install_that_proves_a_name_has_it_whoever_held_it",
            },
        ),
        (
            Leaving,
            {
                "test_a_renamed_source_takes_everything_with_it",
                "test_a_proven_name_follows_a_rename_with_its_hold",
            },
        ),
        (
            Unfinished,
            {"test_a_move_is_noted_until_it_ends", "test_a_source_that_is_moving_cannot_be_moved_again"},
        ),
        (Overwriting, {"test_a_name_that_is_known_cannot_be_moved_to_and_nothing_is_changed"}),
        (
            Claiming,
            {
                "test_the_name_that_was_given_can_be_looked_up_without_a_trace",
                "test_of_a_deleted_source_nothing_is_left",
                "test_an_install_that_proves_a_name_has_it_whoever_held_it",
            },
        ),
        (Foreseeing, {"test_the_name_that_a_claim_would_get_can_be_foreseen_without_a_trace"}),
        (
            Doubting,
            {
                "test_a_proof_takes_the_place_of_the_suffix_that_an_install_was_given",
                "test_a_proven_name_follows_a_rename_with_its_hold",
                "test_an_install_that_proves_a_name_has_it_whoever_held_it",
            },
        ),
        (
            Lending,
            {
                "test_a_proven_name_follows_a_rename_with_its_hold",
                "test_the_proof_of_a_name_that_nobody_knew_makes_it_known",
            },
        ),
        (Grasping, {"test_a_proof_without_an_install_id_holds_nothing"}),
        (Merging, {"test_a_metric_put_again_replaces_the_first"}),
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
