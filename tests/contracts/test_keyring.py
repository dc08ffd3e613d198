"""Both keyrings keep the contract, and the contract catches keyrings that do not."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest

from plexus.adapters.keyring import sqlite
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.adapters.sqlitefile import SqliteFile
from plexus.domain.errors import ConfigurationError
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


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_key_that_is_over_is_nothing_stays_in_the_list_and_never_lives_again(tmp_path: Path, kind: str) -> None:
    now = [1_000.0]
    made: dict[str, Callable[..., Keyring]] = {
        "memory": MemoryKeyring,
        "sqlite": functools.partial(SqliteKeyring, tmp_path / "keys.db"),
    }
    keyring: Keyring = made[kind](now_ms=lambda: now[0])
    secret = "plx_" + "a secret that is over soon " * 2
    _text, info = keyring.create("acme", "brief", ["read"], secret=secret, expires_ms=2_000.0)
    now[0] = 1_999.0
    assert keyring.find(secret) == info
    now[0] = 2_000.0
    before = keyring.generation()
    assert keyring.find(secret) is None
    assert keyring.list() == [info]
    assert keyring.generation() == before
    with pytest.raises(ConfigurationError, match="is over"):
        keyring.create("acme", "again", ["read"], secret=secret)
    keyring.close()


def test_a_file_of_the_format_before_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    with contextlib.closing(SqliteFile(path, sqlite._VERSION_1)) as old, old.transaction() as connection:
        row = (b"d" * 32, "k1", "acme", "old", "read", None, 1.0)
        connection.execute(
            "INSERT INTO keys (digest, key_id, org, name, scopes, source_id, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    keyring = SqliteKeyring(path)
    assert keyring.list() == [KeyInfo("k1", "acme", "old", frozenset({"read"}), None, 1.0)]
    keyring.close()


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


class Staying(MemoryKeyring):
    """Leaves the keys of a renamed source where they were."""

    def rename(self, org: str, source_id: str, new: str) -> None:
        self._generation += 1


class Endless(MemoryKeyring):
    """Makes keys that do not end."""

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
        return super().create(org, name, scopes, source_id=source_id, secret=secret)


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (
            Forgetful,
            {"test_revoking_one_key_leaves_the_other", "test_a_revoked_secret_never_lives_again"},
        ),
        (
            Silent,
            {
                "test_the_generation_changes_with_every_change_and_only_then",
                "test_keys_of_a_renamed_source_follow_and_no_others",
            },
        ),
        (Staying, {"test_keys_of_a_renamed_source_follow_and_no_others"}),
        (Endless, {"test_a_key_may_end_by_itself", "test_an_end_lies_ahead"}),
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
