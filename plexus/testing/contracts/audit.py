"""What every audit trail must do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs

from plexus.ports.audit import LOCAL, Audit, AuditEntry
from plexus.testing.contracts import Contract

AT_MS = 1795514149697.25


def entry(action: str, subject: str, org: str = "acme") -> AuditEntry:
    """An entry of somebody who was on the gateway's machine."""
    return AuditEntry(AT_MS, org, LOCAL, action, subject)


class AuditContract(Contract):
    """Override `make` to return a fresh, empty audit trail."""

    def make(self) -> Audit:
        """A fresh, empty audit trail."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its audit trail")

    @contextmanager
    def audit(self, *entries: AuditEntry) -> Iterator[Audit]:
        """A fresh audit trail with these entries, disposed of after the test."""
        made = self.make()
        try:
            for one in entries:
                made.record(one)
            yield made
        finally:
            self.dispose(made)

    def test_an_entry_comes_back_as_it_went_in(self) -> None:
        detail = {"name": "Prüfstand", "scopes": ["read", "write"], "source_id": None, "rows": 3, "share": 0.5}
        told = AuditEntry(AT_MS, "acme", "3f2a9c01b7de", "key.create", "0b1c2d3e4f50", detail)
        with self.audit(told) as audit:
            assert list(audit.entries("acme")) == [(1, told)]

    def test_an_empty_trail_has_no_entries(self) -> None:
        with self.audit() as audit:
            assert list(audit.entries("acme")) == []

    def test_entries_are_numbered_from_1_and_come_newest_first(self) -> None:
        with self.audit(*(entry("key.create", name) for name in "bac")) as audit:
            assert _told(audit.entries("acme")) == [(3, "c"), (2, "a"), (1, "b")]

    def test_the_order_is_that_of_recording_whatever_the_clock_says(self) -> None:
        late, early = AuditEntry(AT_MS, "acme", LOCAL, "a", "first"), AuditEntry(1.0, "acme", LOCAL, "a", "second")
        with self.audit(late, early) as audit:
            assert _told(audit.entries("acme")) == [(2, "second"), (1, "first")]

    def test_what_was_done_twice_is_two_entries(self) -> None:
        with self.audit(entry("gateway.backup", "gateway"), entry("gateway.backup", "gateway")) as audit:
            assert _told(audit.entries("acme")) == [(2, "gateway"), (1, "gateway")]

    def test_each_organisation_has_its_own_entries_and_numbers(self) -> None:
        with self.audit(entry("a", "ours"), entry("a", "theirs", "other"), entry("a", "ours too")) as audit:
            assert _told(audit.entries("acme")) == [(2, "ours too"), (1, "ours")]
            assert _told(audit.entries("other")) == [(1, "theirs")]
            assert list(audit.entries("nobody")) == []

    def test_an_action_narrows_and_numbers_stay(self) -> None:
        with self.audit(entry("key.create", "k"), entry("key.revoke", "k"), entry("key.create", "l")) as audit:
            assert _told(audit.entries("acme", action="key.create")) == [(3, "l"), (1, "k")]
            assert list(audit.entries("acme", action="key")) == []

    def test_a_subject_narrows_and_numbers_stay(self) -> None:
        with self.audit(entry("key.create", "k"), entry("key.create", "l"), entry("key.revoke", "k")) as audit:
            assert _told(audit.entries("acme", subject="k")) == [(3, "k"), (1, "k")]
            assert _told(audit.entries("acme", subject="k", action="key.create")) == [(1, "k")]

    def test_an_answer_ends_at_its_limit_with_the_newest(self) -> None:
        with self.audit(*(entry("a", name) for name in "abcd")) as audit:
            assert _told(audit.entries("acme", limit=2)) == [(4, "d"), (3, "c")]

    def test_before_goes_on_where_an_answer_ended(self) -> None:
        with self.audit(*(entry("a" if name in "ace" else "b", name) for name in "abcde")) as audit:
            assert _told(audit.entries("acme", before=4, limit=2)) == [(3, "c"), (2, "b")]
            assert _told(audit.entries("acme", action="a", before=5, limit=1)) == [(3, "c")]
            assert list(audit.entries("acme", before=1)) == []

    def test_what_is_older_is_forgotten_in_every_organisation_and_numbers_stay(self) -> None:
        old = [entry("a", name, org) for org in ("acme", "other") for name in "ab"]
        new = [attrs.evolve(one, at_ms=AT_MS + 1.0) for one in (entry("a", "c"), entry("a", "c", "other"))]
        with self.audit(*old, *new) as audit:
            assert _forgotten(audit, AT_MS) == 0
            assert _forgotten(audit, AT_MS + 1.0) == 4
            for org in ("acme", "other"):
                assert _told(audit.entries(org)) == [(3, "c")]

    def test_the_newest_entry_is_never_forgotten_so_that_no_number_comes_twice(self) -> None:
        with self.audit(entry("a", "a"), entry("a", "b")) as audit:
            assert _forgotten(audit, AT_MS * 2) == 1
            audit.record(entry("a", "c"))
            assert _told(audit.entries("acme")) == [(3, "c"), (2, "b")]

    def test_what_a_clock_that_was_not_set_has_stamped_stays(self) -> None:
        unset = AuditEntry(1_000.0, "acme", LOCAL, "data.remove", "rig-01")
        with self.audit(unset, entry("a", "b")) as audit:
            assert _forgotten(audit, AT_MS * 2) == 0
            assert _told(audit.entries("acme")) == [(2, "b"), (1, "rig-01")]

    def test_however_many_are_old_all_are_forgotten(self) -> None:
        with self.audit(*(entry("a", str(number)) for number in range(30))) as audit:
            assert _forgotten(audit, AT_MS * 2) == 29


def _forgotten(audit: Audit, before_ms: float) -> int:
    """How many are forgotten until there are no more of them."""
    total = 0
    while gone := audit.forget(before_ms):
        total += gone
    return total


def _told(entries: Sequence[tuple[int, AuditEntry]]) -> list[tuple[int, str]]:
    """Numbers and subjects."""
    return [(number, told.subject) for number, told in entries]
