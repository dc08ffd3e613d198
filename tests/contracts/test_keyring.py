"""Both keyrings keep the contract, and the contract catches keyrings that do not."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.ports.keyring import KeyInfo, Keyring
from plexus.testing.contracts import failures
from plexus.testing.contracts.keyring import KeyringContract


class TestMemoryKeyring(KeyringContract):
    def make(self) -> Keyring:
        return MemoryKeyring()


class TestSqliteKeyring(KeyringContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> Keyring:
        return SqliteKeyring(Path(tempfile.mkdtemp(dir=self.directory)) / "keys.db")


class Forgetful(MemoryKeyring):
    """Revokes in the list and goes on finding the key."""

    def find(self, secret: str) -> KeyInfo | None:
        self._live = type(self._live).of((d, attrs.evolve(info, revoked_ms=None)) for d, info in self._kept.items())
        found = super().find(secret)
        return found if found is None else next(info for info in self._kept.values() if info.key_id == found.key_id)


class Silent(MemoryKeyring):
    """Changes without saying so."""

    def generation(self) -> int:
        return 0


class Generous(MemoryKeyring):
    """Takes any scope as read."""

    def create(
        self,
        org: str,
        name: str,
        scopes: Sequence[str],
        *,
        source_id: str | None = None,
        secret: str | None = None,
        expires_ms: float | None = None,
    ) -> tuple[str, KeyInfo]:
        known = [scope for scope in scopes if scope != "root"]
        return super().create(org, name, known, source_id=source_id, secret=secret, expires_ms=expires_ms)


class CaseBlind(MemoryKeyring):
    """Looks keys up without their case, as a database's collation may."""

    def find(self, secret: str) -> KeyInfo | None:
        return super().find(secret) or super().find(secret.swapcase())


class Unordered(MemoryKeyring):
    """Lists by name."""

    def list(self) -> list[KeyInfo]:
        return sorted(super().list(), key=lambda info: info.name)


class Resurrecting(MemoryKeyring):
    """Lets a revoked bootstrap key live again at the next start."""

    def create(
        self,
        org: str,
        name: str,
        scopes: Sequence[str],
        *,
        source_id: str | None = None,
        secret: str | None = None,
        expires_ms: float | None = None,
    ) -> tuple[str, KeyInfo]:
        self._kept = {d: info for d, info in self._kept.items() if info.revoked_ms is None}
        return super().create(org, name, scopes, source_id=source_id, secret=secret, expires_ms=expires_ms)


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (
            Forgetful,
            {"test_revoking_one_key_leaves_the_other", "test_a_revoked_secret_never_lives_again"},
        ),
        (Silent, {"test_the_generation_changes_with_every_change_and_only_then"}),
        (Generous, {"test_an_unknown_scope_is_refused_by_name"}),
        (CaseBlind, {"test_nothing_but_the_whole_text_is_the_key"}),
        (Unordered, {"test_the_list_is_oldest_first_and_keeps_the_revoked"}),
        (
            Resurrecting,
            {"test_a_revoked_secret_never_lives_again", "test_a_refusal_does_not_hold_the_secret"},
        ),
    ],
)
def test_a_broken_keyring_fails_by_name(broken: type[MemoryKeyring], caught_by: set[str]) -> None:
    class Suite(KeyringContract):
        def make(self) -> Keyring:
            return broken()

    assert set(failures(Suite)) == caught_by
