"""Both audit trails keep the contract, and the contract catches those that do not."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from plexus.adapters.audit import sqlite
from plexus.adapters.audit.memory import MemoryAudit
from plexus.adapters.audit.sqlite import SqliteAudit
from plexus.adapters.sqlitefile import SqliteFile
from plexus.domain.errors import StoreError
from plexus.ports.audit import UNSET_CLOCK_MS, Audit, AuditEntry
from plexus.testing.contracts import failures
from plexus.testing.contracts.audit import AT_MS, AuditContract, entry


class TestMemoryAudit(AuditContract):
    def make(self) -> Audit:
        return MemoryAudit()


class TestSqliteAudit(AuditContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> Audit:
        return SqliteAudit(Path(tempfile.mkdtemp(dir=self.directory)) / "audit.db")


def test_two_who_write_one_file_share_its_numbers(tmp_path: Path) -> None:
    gateway, command = SqliteAudit(tmp_path / "audit.db"), SqliteAudit(tmp_path / "audit.db")
    gateway.record(entry("a", "first"))
    command.record(entry("a", "second"))
    gateway.record(entry("a", "third"))
    told = [(number, one.subject) for number, one in command.entries("acme")]
    assert told == [(3, "third"), (2, "second"), (1, "first")]
    for audit in (gateway, command):
        audit.close()


def test_the_file_is_private_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    before = SqliteAudit(tmp_path / "audit.db")
    before.record(entry("a", "first"))
    before.close()
    again = SqliteAudit(tmp_path / "audit.db")
    assert list(again.entries("acme")) == [(1, entry("a", "first"))]
    again.close()
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "audit.db").stat().st_mode) == 0o600


def test_a_copy_holds_the_entries_so_far(tmp_path: Path) -> None:
    audit, copies = SqliteAudit(tmp_path / "audit.db"), tmp_path / "copies"
    audit.record(entry("a", "first"))
    copies.mkdir()
    audit.snapshot(copies)
    audit.record(entry("a", "second"))
    copy = SqliteAudit(copies / "audit.db")
    assert list(copy.entries("acme")) == [(1, entry("a", "first"))]
    for opened in (audit, copy):
        opened.close()


def test_what_is_in_memory_alone_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="memory"):
        MemoryAudit().snapshot(tmp_path)


def test_more_than_one_transaction_takes_are_forgotten_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "FORGOTTEN_AT_ONCE", 4)
    audit = SqliteAudit(tmp_path / "audit.db")
    for number in range(11):
        audit.record(entry("a", str(number)))
    assert [audit.forget(AT_MS + 1.0) for _ in range(4)] == [4, 4, 2, 0]
    audit.close()


def test_a_trail_of_the_first_format_is_taken_over(tmp_path: Path) -> None:
    old = SqliteFile(tmp_path / "audit.db", sqlite.SCHEMA)
    with old.transaction() as connection:
        connection.execute("INSERT INTO entries VALUES ('acme', 1, ?, 'local', 'a', 'first', '{}')", (AT_MS,))
    old.close()
    audit = SqliteAudit(tmp_path / "audit.db")
    audit.record(entry("a", "second"))
    assert [(number, one.subject) for number, one in audit.entries("acme")] == [(2, "second"), (1, "first")]
    assert audit.forget(AT_MS + 1.0) == 1
    audit.close()


def test_a_fault_of_the_file_names_it(tmp_path: Path) -> None:
    audit = SqliteAudit(tmp_path / "audit.db")
    audit.close()
    for use in (lambda: audit.record(entry("a", "first")), lambda: audit.entries("acme")):
        with pytest.raises(StoreError, match=r"audit\.db"):
            use()


class Broken(MemoryAudit):
    """Answers with entries that `bend` has changed."""

    def bend(self, entries: list[tuple[int, AuditEntry]]) -> list[tuple[int, AuditEntry]]:
        return entries

    def entries(
        self,
        org: str,
        *,
        action: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[tuple[int, AuditEntry]]:
        return self.bend(list(super().entries(org, action=action, subject=subject, before=before, limit=limit)))


class Terse(Broken):
    """Keeps no details."""

    def bend(self, entries: list[tuple[int, AuditEntry]]) -> list[tuple[int, AuditEntry]]:
        return [(number, attrs.evolve(one, detail={})) for number, one in entries]


class OldestFirst(Broken):
    """Turns the answer round."""

    def bend(self, entries: list[tuple[int, AuditEntry]]) -> list[tuple[int, AuditEntry]]:
        return entries[::-1]


class ByClock(Broken):
    """Sorts by time, which a clock may set back."""

    def bend(self, entries: list[tuple[int, AuditEntry]]) -> list[tuple[int, AuditEntry]]:
        return sorted(entries, key=lambda told: told[1].at_ms, reverse=True)


class Merging(MemoryAudit):
    """Takes what was done again for the same entry."""

    def record(self, entry: AuditEntry) -> None:
        if entry not in [told for _number, told in self.entries(entry.org)]:
            super().record(entry)


class OverAll(MemoryAudit):
    """Numbers all organisations together, and shows each what the others did."""

    def record(self, entry: AuditEntry) -> None:
        super().record(attrs.evolve(entry, org="acme"))


class Counting(Broken):
    """Numbers the answer instead of the entries."""

    def bend(self, entries: list[tuple[int, AuditEntry]]) -> list[tuple[int, AuditEntry]]:
        return [(len(entries) - index, one) for index, (_number, one) in enumerate(entries)]


class Unlimited(MemoryAudit):
    """Ignores where an answer ends."""

    def entries(
        self,
        org: str,
        *,
        action: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[tuple[int, AuditEntry]]:
        return super().entries(org, action=action, subject=subject, before=before)


class Inclusive(MemoryAudit):
    """Tells the last entry of an answer once more in the next."""

    def entries(
        self,
        org: str,
        *,
        action: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[tuple[int, AuditEntry]]:
        after = None if before is None else before + 1
        return super().entries(org, action=action, subject=subject, before=after, limit=limit)


class Endless(MemoryAudit):
    """Keeps everything for good."""

    def forget(self, before_ms: float) -> int:
        return 0


class Emptied(MemoryAudit):
    """Forgets the newest as well, and begins to count anew."""

    def forget(self, before_ms: float) -> int:
        for own in self._entries.values():
            if all(UNSET_CLOCK_MS <= one.at_ms < before_ms for one in own.values()):
                gone = len(own)
                own.clear()
                return gone
        return super().forget(before_ms)


class Credulous(MemoryAudit):
    """Takes every clock at its word."""

    def forget(self, before_ms: float) -> int:
        for own in self._entries.values():
            for number, one in list(own.items())[:-1]:
                own[number] = attrs.evolve(one, at_ms=max(one.at_ms, UNSET_CLOCK_MS))
        return super().forget(before_ms)


FORGOTTEN = "test_what_is_older_is_forgotten_in_every_organisation_and_numbers_stay"
NEWEST = "test_the_newest_entry_is_never_forgotten_so_that_no_number_comes_twice"
MANY = "test_however_many_are_old_all_are_forgotten"
UNSET = "test_what_a_clock_that_was_not_set_has_stamped_stays"


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (Endless, {FORGOTTEN, NEWEST, MANY}),
        (Emptied, {NEWEST, MANY}),
        (Credulous, {UNSET}),
        (Terse, {"test_an_entry_comes_back_as_it_went_in"}),
        (
            OldestFirst,
            {
                "test_entries_are_numbered_from_1_and_come_newest_first",
                "test_the_order_is_that_of_recording_whatever_the_clock_says",
                "test_what_was_done_twice_is_two_entries",
                "test_each_organisation_has_its_own_entries_and_numbers",
                "test_an_action_narrows_and_numbers_stay",
                "test_a_subject_narrows_and_numbers_stay",
                "test_an_answer_ends_at_its_limit_with_the_newest",
                "test_before_goes_on_where_an_answer_ended",
                NEWEST,
                UNSET,
            },
        ),
        (ByClock, {"test_the_order_is_that_of_recording_whatever_the_clock_says"}),
        (Merging, {"test_what_was_done_twice_is_two_entries"}),
        (OverAll, {"test_each_organisation_has_its_own_entries_and_numbers", FORGOTTEN}),
        (
            Counting,
            {
                "test_an_action_narrows_and_numbers_stay",
                "test_a_subject_narrows_and_numbers_stay",
                "test_an_answer_ends_at_its_limit_with_the_newest",
                "test_before_goes_on_where_an_answer_ended",
                FORGOTTEN,
                NEWEST,
            },
        ),
        (
            Unlimited,
            {"test_an_answer_ends_at_its_limit_with_the_newest", "test_before_goes_on_where_an_answer_ended"},
        ),
        (Inclusive, {"test_before_goes_on_where_an_answer_ended"}),
    ],
)
def test_a_broken_audit_trail_fails_by_name(broken: type[MemoryAudit], caught_by: set[str]) -> None:
    class Suite(AuditContract):
        def make(self) -> Audit:
            return broken()

    assert set(failures(Suite)) == caught_by
