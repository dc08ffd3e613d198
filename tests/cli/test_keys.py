from __future__ import annotations

import os
import stat
from pathlib import Path

from plexus.adapters.keyring.sqlite import SqliteKeyring
from tests.cli.conftest import Command


def _found(data: Path, secret: str) -> tuple[str, str, frozenset[str], str | None] | None:
    keyring = SqliteKeyring(data / "keys.db")
    info = keyring.find(secret)
    keyring.close()
    return None if info is None else (info.org, info.name, info.scopes, info.source_id)


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
