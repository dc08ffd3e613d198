"""Both commandbooks keep the contract, and the contract catches books that do not."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from plexus.adapters.commandbook.memory import MemoryCommandbook
from plexus.adapters.commandbook.sqlite import SqliteCommandbook
from plexus.domain.errors import StoreError
from plexus.ports.commandbook import Commandbook, CommandEntry, State
from plexus.testing.contracts import failures
from plexus.testing.contracts.commandbook import CommandbookContract, entry

KEPT = 10


class TestMemoryCommandbook(CommandbookContract):
    def make(self) -> Commandbook:
        return MemoryCommandbook(kept=KEPT)


class TestSqliteCommandbook(CommandbookContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> Commandbook:
        return SqliteCommandbook(Path(tempfile.mkdtemp(dir=self.directory)) / "commands.db", kept=KEPT)


def test_the_file_keeps_what_was_put_and_goes_on_counting(tmp_path: Path) -> None:
    path = tmp_path / "commands.db"
    before = SqliteCommandbook(path)
    before.put(entry("a"))
    before.put(entry("b", state="succeeded"))
    # Not closed: as after a kill.
    again = SqliteCommandbook(path)
    again.put(entry("c"))
    assert [(number, each.run_id) for number, each in again.entries("acme", "rig")] == [(3, "c"), (2, "b"), (1, "a")]
    assert [each.run_id for each in again.queued()] == ["a", "c"]
    before.close()
    again.close()


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    book = SqliteCommandbook(tmp_path / "commands.db")
    book.put(entry("a"))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    book.close()


def test_a_copy_holds_what_the_file_does(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    book = SqliteCommandbook(tmp_path / "commands.db")
    book.put(entry("a"))
    book.snapshot(copies)
    book.put(entry("b"))
    copy = SqliteCommandbook(copies / "commands.db")
    assert [each.run_id for _number, each in copy.entries("acme", "rig")] == ["a"]
    copy.close()
    book.close()
    with pytest.raises(StoreError, match="memory"):
        MemoryCommandbook().snapshot(copies)


def test_a_closed_book_says_which_file(tmp_path: Path) -> None:
    book = SqliteCommandbook(tmp_path / "commands.db")
    book.close()
    with pytest.raises(StoreError, match=r"commands\.db"):
        book.put(entry("a"))


class OneOrganisation(MemoryCommandbook):
    """Knows no organisations when it is asked for a run."""

    def find(self, org: str, run_id: str, source_id: str | None = None) -> CommandEntry | None:
        found = (super(OneOrganisation, self).find(each, run_id, source_id) for each in list(self._organisations))
        return next((each for each in found if each is not None), None)


class FirstStays(MemoryCommandbook):
    """Does not replace an entry."""

    def put(self, entry: CommandEntry) -> None:
        if self.find(entry.org, entry.run_id, entry.source_id) is None:
            super().put(entry)


class Hoarder(MemoryCommandbook):
    """Lets go of nothing by number."""

    def __init__(self) -> None:
        super().__init__(kept=10**9)


class OldestFirst(MemoryCommandbook):
    """Lists entries the wrong way round."""

    def entries(
        self, org: str, source_id: str, *, state: State | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[tuple[int, CommandEntry]]:
        found = super().entries(org, source_id, state=state, limit=10**9)[::-1]
        return [(number, each) for number, each in found if before is None or number < before][:limit]


class Forgetful(MemoryCommandbook):
    """Loses the states on the way to the last one."""

    def put(self, entry: CommandEntry) -> None:
        super().put(attrs.evolve(entry, steps=entry.steps[-1:]))


class AnySource(MemoryCommandbook):
    """Lets one source speak for the runs of another."""

    def find(self, org: str, run_id: str, source_id: str | None = None) -> CommandEntry | None:
        return super().find(org, run_id)


class Greedy(MemoryCommandbook):
    """Takes everything to be queued."""

    def queued(self) -> Sequence[CommandEntry]:
        return [each for book in self._organisations.values() for each in book.entries.values()]


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (OneOrganisation, {"test_organisations_are_apart"}),
        (
            FirstStays,
            {
                "test_an_entry_put_again_is_replaced_and_keeps_its_number",
                "test_what_is_queued_is_known_over_all_organisations_oldest_first",
                "test_what_json_cannot_say_is_refused_and_changes_nothing",
            },
        ),
        (Hoarder, {"test_the_newest_of_an_organisation_are_kept"}),
        (
            OldestFirst,
            {
                "test_an_entry_put_again_is_replaced_and_keeps_its_number",
                "test_entries_are_newest_first_and_go_on_where_they_ended",
                "test_entries_are_chosen_by_state",
                "test_the_newest_of_an_organisation_are_kept",
                "test_old_entries_are_let_go_of",
            },
        ),
        (Forgetful, {"test_an_entry_comes_back_as_it_went_in"}),
        (
            AnySource,
            {"test_an_unknown_run_is_nothing", "test_one_run_id_of_two_sources_is_two_entries"},
        ),
        (Greedy, {"test_what_is_queued_is_known_over_all_organisations_oldest_first"}),
    ],
)
def test_a_broken_book_fails_by_name(broken: type[MemoryCommandbook], caught_by: set[str]) -> None:
    class Suite(CommandbookContract):
        def make(self) -> Commandbook:
            return broken() if broken is Hoarder else broken(kept=KEPT)

    assert set(failures(Suite)) == caught_by
