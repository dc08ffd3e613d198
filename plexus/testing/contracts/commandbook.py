"""What every commandbook must do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from plexus.domain.errors import StoreError
from plexus.ports.commandbook import Commandbook, CommandEntry, Step
from plexus.testing.contracts import Contract


def entry(run_id: str, org: str = "acme", source_id: str = "rig", **fields: Any) -> CommandEntry:
    """A command that was just asked for."""
    told = {"command": "dose", "params": {"ml": 5}, "kind": "run", "actor": "k1", "asked_ms": 10.0, "expires_ms": 20.0}
    return CommandEntry(org=org, source_id=source_id, run_id=run_id, **{**told, **fields})


class CommandbookContract(Contract):
    """Override `make` to return a fresh, empty book that keeps 10 entries an organisation."""

    def make(self) -> Commandbook:
        """A fresh, empty book that keeps 10 entries an organisation."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its commandbook")

    @contextmanager
    def book(self) -> Iterator[Commandbook]:
        """A fresh book, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)

    def test_an_entry_comes_back_as_it_went_in(self) -> None:
        full = entry(
            "a",
            params={"ml": 5, "deep": [1.5, None, {"x": "ü"}], "big": 2**80},
            kind="call",
            asked_ms=1795514149697.25,
            expires_ms=1795514179697.25,
            state="failed",
            seq=3,
            attempts=2,
            result={"ok": [True, None]},
            error_code="handler_error",
            error_message="no\nwater",
            steps=(Step(1.5, "queued"), Step(2.5, "running", 2, 40.0, "half"), Step(3.25, "failed", 2)),
        )
        with self.book() as book:
            book.put(full)
            assert book.find("acme", "a") == full
            assert book.entries("acme", "rig") == [(1, full)]

    def test_an_entry_put_again_is_replaced_and_keeps_its_number(self) -> None:
        with self.book() as book:
            for run_id in ("a", "b"):
                book.put(entry(run_id))
            done = entry("a", state="succeeded", result=[1])
            book.put(done)
            assert [(number, each.run_id) for number, each in book.entries("acme", "rig")] == [(2, "b"), (1, "a")]
            assert book.find("acme", "a") == done

    def test_an_unknown_run_is_nothing(self) -> None:
        with self.book() as book:
            book.put(entry("a"))
            assert book.find("acme", "b") is None
            assert book.find("acme", "a", "other") is None
            assert book.entries("acme", "other") == []

    def test_one_run_id_of_two_sources_is_two_entries(self) -> None:
        with self.book() as book:
            book.put(entry("a", source_id="rig"))
            book.put(entry("a", source_id="arm", command="grip"))
            first, of_arm = book.find("acme", "a"), book.find("acme", "a", "arm")
            assert first is not None
            assert of_arm is not None
            assert (first.source_id, of_arm.command) == ("rig", "grip")

    def test_organisations_are_apart(self) -> None:
        with self.book() as book:
            book.put(entry("a"))
            book.put(entry("b", org="other"))
            assert book.find("other", "a") is None
            assert [number for number, _each in book.entries("other", "rig")] == [1]
            assert book.remove("other", "rig") == 1
            assert book.find("acme", "a") is not None

    def test_entries_are_newest_first_and_go_on_where_they_ended(self) -> None:
        with self.book() as book:
            for number in range(1, 8):
                book.put(entry(str(number), source_id="rig" if number % 2 else "arm"))
            first = book.entries("acme", "rig", limit=2)
            rest = book.entries("acme", "rig", limit=5, before=first[-1][0])
            assert [each.run_id for _number, each in [*first, *rest]] == ["7", "5", "3", "1"]

    def test_entries_are_chosen_by_state(self) -> None:
        with self.book() as book:
            for run_id, state in (("a", "queued"), ("b", "failed"), ("c", "queued")):
                book.put(entry(run_id, state=state))
            assert [each.run_id for _number, each in book.entries("acme", "rig", state="queued")] == ["c", "a"]
            assert book.entries("acme", "rig", state="expired") == []

    def test_what_is_queued_is_known_over_all_organisations_oldest_first(self) -> None:
        with self.book() as book:
            book.put(entry("a"))
            book.put(entry("b", source_id="arm"))
            book.put(entry("c", state="offline"))
            book.put(entry("d", org="zeta"))
            assert [each.run_id for each in book.queued()] == ["a", "b", "d"]
            book.put(entry("a", state="acknowledged"))
            assert [each.run_id for each in book.queued()] == ["b", "d"]

    def test_the_newest_of_an_organisation_are_kept(self) -> None:
        with self.book() as book:
            book.put(entry("x", org="other"))
            for number in range(1, 14):
                book.put(entry(str(number)))
            assert [each.run_id for _number, each in book.entries("acme", "rig")] == [
                str(number) for number in range(13, 3, -1)
            ]
            assert book.find("acme", "3") is None
            assert book.find("other", "x") is not None

    def test_a_number_is_never_given_out_twice(self) -> None:
        with self.book() as book:
            book.put(entry("a"))
            book.put(entry("b"))
            assert book.remove("acme", "rig") == 2
            book.put(entry("c"))
            assert [number for number, _each in book.entries("acme", "rig")] == [3]

    def test_old_entries_are_let_go_of(self) -> None:
        with self.book() as book:
            for run_id, asked_ms in (("a", 10.0), ("b", 20.0), ("c", 30.0)):
                book.put(entry(run_id, asked_ms=asked_ms))
            assert book.forget(20.0) == 1
            assert [each.run_id for _number, each in book.entries("acme", "rig")] == ["c", "b"]

    def test_entries_go_with_their_source_when_it_is_renamed(self) -> None:
        with self.book() as book:
            book.put(entry("a"))
            book.put(entry("b", org="other"))
            book.rename("acme", "rig", "arm")
            assert book.entries("acme", "rig") == []
            assert [(number, each.source_id) for number, each in book.entries("acme", "arm")] == [(1, "arm")]
            found = book.find("acme", "a")
            assert found is not None
            assert found.source_id == "arm"
            assert book.find("other", "b", "rig") is not None

    def test_what_json_cannot_say_is_refused_and_changes_nothing(self) -> None:
        with self.book() as book:
            book.put(entry("a"))
            assert "dose" in _refusal(book, attrs.evolve(entry("a"), result={"x": object()}))
            assert book.find("acme", "a") == entry("a")


def _refusal(book: Commandbook, unsayable: CommandEntry) -> str:
    """What `put` says against an entry; "" when it takes it."""
    try:
        book.put(unsayable)
    except StoreError as exc:
        return str(exc)
    return ""
