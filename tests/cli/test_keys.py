from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.audit.sqlite import SqliteAudit
from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.domain.errors import StoreError
from plexus.gateway import Gateway
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
    assert f"no live key '{key_id}'; `plexus keys list --data {tmp_path}` shows them" in again.err


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


def _made(plexus: Command, folder: Path, *words: str) -> dict[str, Any]:
    ended = plexus("keys", *words, "--json", "--data", str(folder))
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_a_key_is_told_as_json(plexus: Command, tmp_path: Path) -> None:
    made = _made(plexus, tmp_path, "create", "dashboard", "--scope", "read", "--expires", "7d")
    assert made["expires_ms"] - made["created_ms"] == pytest.approx(7 * 86_400_000, abs=60_000)
    listed = _made(plexus, tmp_path, "list")
    assert listed == {name: value for name, value in made.items() if name != "key"} | {"revoked_ms": None}
    assert _found(tmp_path, made["key"]) == ("default", "dashboard", frozenset({"read"}), None)


def test_a_key_is_rotated_and_both_are_live_until_the_old_one_is_revoked(plexus: Command, tmp_path: Path) -> None:
    words = ("drone-01", "--scope", "write", "--source", "drone-01", "--org", "acme", "--expires", "90d")
    old = _made(plexus, tmp_path, "create", *words)
    new = _made(plexus, tmp_path, "rotate", old["key_id"])
    assert _found(tmp_path, old["key"]) == _found(tmp_path, new["key"])
    assert new["expires_ms"] == old["expires_ms"]
    plexus("keys", "revoke", old["key_id"], "--data", str(tmp_path))
    assert _found(tmp_path, old["key"]) is None
    assert _found(tmp_path, new["key"]) is not None
    assert [entry.action for entry in _trail(tmp_path, "acme")] == ["key.revoke", "key.rotate", "key.create"]
    again = plexus("keys", "rotate", old["key_id"], "--data", str(tmp_path))
    assert (again.code, "no live key" in again.err) == (1, True)


def test_a_file_names_the_devices(plexus: Command, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.txt"
    fleet.write_text("# the north field\ndrone-01\n\n  drone-02  \n")
    ended = plexus("keys", "create", "--from", str(fleet), "--data", str(tmp_path))
    made = dict(line.split() for line in ended.out.splitlines())
    assert [_found(tmp_path, key) for key in made.values()] == [
        ("default", name, frozenset({"write"}), name) for name in ("drone-01", "drone-02")
    ]


@pytest.mark.parametrize("text", ["", "# nobody\n", "drone-01\ndrone-01\n", "drone-01\nDrone\n"])
def test_a_file_that_names_nobody_or_anybody_twice_makes_no_key(plexus: Command, tmp_path: Path, text: str) -> None:
    fleet = tmp_path / "fleet.txt"
    fleet.write_text(text)
    assert plexus("keys", "create", "--from", str(fleet), "--data", str(tmp_path / "data")).code == 1
    assert plexus("keys", "create", "--from", str(tmp_path / "none"), "--data", str(tmp_path / "data")).code == 1
    assert not (tmp_path / "data").exists()


def test_stdin_names_the_devices_where_the_file_is_not_for_the_user_of_the_gateway(
    plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("drone-01\ndrone-02\n"))
    ended = plexus("keys", "create", "--from", "-", "--data", str(tmp_path))
    assert [line.split()[0] for line in ended.out.splitlines()] == ["drone-01", "drone-02"]


def test_every_action_says_which_directory_it_works_on(plexus: Command, home: Path, tmp_path: Path) -> None:
    with Gateway(tmp_path):
        made = json.loads((ended := plexus("keys", "create", "a", "--json", "--data", str(tmp_path))).out)
        said = [ended.err]
        for words in (("list",), ("rotate", made["key_id"]), ("revoke", made["key_id"])):
            said.append(plexus("keys", *words, "--data", str(tmp_path)).err)
    assert [err.splitlines()[0] for err in said] == [f"keys of the gateway in {tmp_path}"] * 4
    assert f"keys in {home / '.plexus' / 'gateway'}" in plexus("keys", "create", "a").err


def test_a_key_where_no_gateway_has_run_is_said_to_be_for_one_that_will(plexus: Command, tmp_path: Path) -> None:
    ended = plexus("keys", "create", "--each", "drone-01", "--data", str(tmp_path / "my data"))
    assert ended.code == 0
    assert f"no gateway has run yet: they are good for `plexus serve --data '{tmp_path}/my data'` only" in ended.err


def test_keys_of_one_organisation_are_listed(plexus: Command, tmp_path: Path) -> None:
    for org in ("acme", "other"):
        plexus("keys", "create", org, "--org", org, "--data", str(tmp_path))
    rows = plexus("keys", "list", "--org", "acme", "--data", str(tmp_path)).out.splitlines()[1:]
    assert [row.split()[1] for row in rows] == ["acme"]


@pytest.mark.parametrize("words", [("--expires", "7"), ("--expires", "0d"), ("--expires", "1y"), ("--org", "A b")])
def test_a_length_and_an_organisation_that_are_none_are_refused(
    plexus: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ended = plexus("keys", "create", "a", *words, "--data", str(tmp_path / "data"))
    assert (ended.code, words[0] in ended.err) == (2, True)
    assert not (tmp_path / "data").exists()
