from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from plexus.adapters.audit.sqlite import SqliteAudit
from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.domain.errors import StoreError
from plexus.ports.audit import AuditEntry
from tests.cli.conftest import Command


def _found(data: Path, secret: str) -> tuple[str, str, frozenset[str], str | None] | None:
    keyring = SqliteKeyring(data / "keys.db")
    info = keyring.find(secret)
    keyring.close()
    return None if info is None else (info.org, info.name, info.scopes, info.source_id)


def _trail(data: Path, org: str = "default") -> list[AuditEntry]:
    """What the audit trail has, newest first."""
    audit = SqliteAudit(data / "audit.db")
    entries = [entry for _number, entry in audit.entries(org)]
    audit.close()
    return entries


def test_a_key_is_made_and_shown_alone_on_stdout(plexus: Command, tmp_path: Path) -> None:
    ended = plexus("keys", "create", "dashboard", "--data", str(tmp_path))
    assert ended.code == 0
    secret = ended.out.strip()
    assert secret.startswith("plx_")
    assert secret not in ended.err
    assert _found(tmp_path, secret) == ("default", "dashboard", frozenset({"read", "write"}), None)


def test_a_key_can_be_narrowed(plexus: Command, tmp_path: Path) -> None:
    words = ("--scope", "write", "--source", "drone-01", "--org", "acme", "--data", str(tmp_path))
    secret = plexus("keys", "create", "drone-01", *words).out.strip()
    assert _found(tmp_path, secret) == ("acme", "drone-01", frozenset({"write"}), "drone-01")


def test_a_source_that_cannot_be_is_refused(plexus: Command, tmp_path: Path) -> None:
    ended = plexus("keys", "create", "a", "--source", "../etc", "--data", str(tmp_path))
    assert ended.code == 1
    assert "../etc" in ended.err


def test_keys_are_listed_without_their_text(plexus: Command, tmp_path: Path) -> None:
    secret = plexus("keys", "create", "dashboard", "--scope", "read", "--data", str(tmp_path)).out.strip()
    ended = plexus("keys", "list", "--data", str(tmp_path))
    row = ended.out.splitlines()[1].split()
    assert row[1:5] == ["dashboard", "default", "read", "all"]
    assert row[-1] == "-"
    assert secret not in ended.out


def test_a_key_is_revoked_by_its_id(plexus: Command, tmp_path: Path) -> None:
    secret = plexus("keys", "create", "dashboard", "--data", str(tmp_path)).out.strip()
    key_id = plexus("keys", "list", "--data", str(tmp_path)).out.splitlines()[1].split()[0]
    assert plexus("keys", "revoke", key_id, "--data", str(tmp_path)).code == 0
    assert _found(tmp_path, secret) is None
    again = plexus("keys", "revoke", key_id, "--data", str(tmp_path))
    assert again.code == 1
    assert "no live key" in again.err


def test_a_directory_without_keys_is_not_made_by_looking(plexus: Command, tmp_path: Path) -> None:
    for words in (("list",), ("revoke", "abc")):
        ended = plexus("keys", *words, "--data", str(tmp_path / "nowhere"))
        assert ended.code == 1
        assert "--data" in ended.err
    assert not (tmp_path / "nowhere").exists()


def test_without_an_action_the_help_is_shown(plexus: Command) -> None:
    ended = plexus("keys")
    assert ended.code == 2
    assert "create" in ended.out


def test_the_file_of_keys_is_private(plexus: Command, tmp_path: Path) -> None:
    plexus("keys", "create", "a", "--data", str(tmp_path / "data"))
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "data" / "keys.db").stat().st_mode) == 0o600


def test_each_device_is_given_a_key_of_its_own(plexus: Command, tmp_path: Path) -> None:
    ended = plexus("keys", "create", "--each", "drone-01", "drone-02", "--org", "acme", "--data", str(tmp_path))
    assert ended.code == 0
    lines = [line.split(" ") for line in ended.out.splitlines()]
    assert [name for name, _secret in lines] == ["drone-01", "drone-02"]
    for name, secret in lines:
        assert _found(tmp_path, secret) == ("acme", name, frozenset({"write"}), name)
        assert secret not in ended.err


def test_each_device_can_be_given_other_scopes(plexus: Command, tmp_path: Path) -> None:
    ended = plexus("keys", "create", "--scope", "read,write", "--data", str(tmp_path), "--each", "drone-01")
    _name, secret = ended.out.split()
    assert _found(tmp_path, secret) == ("default", "drone-01", frozenset({"read", "write"}), "drone-01")


@pytest.mark.parametrize(("names", "named"), [(("a", "../etc"), "'../etc'"), (("a", "b", "a"), "'a' is named twice")])
def test_with_one_wrong_name_no_device_is_given_a_key(
    plexus: Command, tmp_path: Path, names: tuple[str, ...], named: str
) -> None:
    ended = plexus("keys", "create", "--each", *names, "--data", str(tmp_path / "data"))
    assert (ended.code, ended.out) == (1, "")
    assert named in ended.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "words", [(), ("dashboard", "--each", "drone-01"), ("--source", "drone-01", "--each", "drone-01")]
)
def test_a_key_has_a_name_or_is_for_each_device(plexus: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = plexus("keys", "create", "--data", str(tmp_path / "data"), *words)
    assert ended.code == 2
    assert "--each" in ended.err
    assert not (tmp_path / "data").exists()


def test_making_and_revoking_a_key_is_in_the_audit_trail(plexus: Command, tmp_path: Path) -> None:
    secret = plexus("keys", "create", "drone-01", "--source", "drone-01", "--data", str(tmp_path)).out.strip()
    key_id = plexus("keys", "list", "--data", str(tmp_path)).out.splitlines()[1].split()[0]
    plexus("keys", "revoke", key_id, "--data", str(tmp_path))
    told = [(entry.actor, entry.action, entry.subject) for entry in _trail(tmp_path)]
    assert told == [("local", "key.revoke", key_id), ("local", "key.create", key_id)]
    detail = {"name": "drone-01", "scopes": ["read", "write"], "source_id": "drone-01", "expires_ms": None}
    assert [dict(entry.detail) for entry in _trail(tmp_path)] == [{"name": "drone-01"}, detail]
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("audit.db*"))


def test_the_key_of_each_device_is_in_the_audit_trail_of_its_organisation(plexus: Command, tmp_path: Path) -> None:
    plexus("keys", "create", "--each", "drone-01", "drone-02", "--org", "acme", "--data", str(tmp_path))
    assert [entry.detail["name"] for entry in _trail(tmp_path, "acme")] == ["drone-02", "drone-01"]
    assert _trail(tmp_path) == []


def test_a_key_that_the_trail_could_not_take_is_not_given_out(
    plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_audit: SqliteAudit, _entry: AuditEntry) -> None:
        raise StoreError("audit.db: the disk is full")

    monkeypatch.setattr(SqliteAudit, "record", full)
    ended = plexus("keys", "create", "dashboard", "--data", str(tmp_path))
    assert (ended.code, ended.out) == (1, "")
    assert "the disk is full" in ended.err
    assert plexus("keys", "list", "--data", str(tmp_path)).out.splitlines()[1].split()[-1] != "-"
