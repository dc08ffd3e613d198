"""`plexus gateway backup`, `restore` and `check`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from plexus.gateway import Gateway
from tests.cli.conftest import Command, put


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway over `tmp_path/data` that ended."""
    with Gateway(tmp_path / "data") as gateway:
        put(gateway, {"metric": "a", "value": 1, "timestamp": 1_746_969_660_000})
    return gateway


@pytest.mark.parametrize("words", [(), ("--zstd",)])
def test_a_backup_is_fetched_and_put_back(
    plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    file = tmp_path / "plexus.tar"
    with Gateway(tmp_path / "data") as gateway:
        put(gateway, {"metric": "a", "value": 1, "timestamp": 1_746_969_660_000})
        monkeypatch.setenv("PLEXUS_URL", gateway.url)
        monkeypatch.setenv("PLEXUS_API_KEY", gateway.api_key)
        ended = plexus("gateway", "backup", str(file), *words)
        key = gateway.api_key
    assert (ended.code, ended.out) == (0, "")
    assert str(file) in ended.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["plexus.tar"]
    ended = plexus("gateway", "restore", str(file), "--data", str(tmp_path / "again"))
    assert ended.code == 0
    with Gateway(tmp_path / "again") as gateway:
        monkeypatch.setenv("PLEXUS_URL", gateway.url)
        monkeypatch.setenv("PLEXUS_API_KEY", key)
        assert "drone-01" in plexus("sources").out


def test_a_gateway_can_be_named(plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway(tmp_path / "data") as gateway:
        monkeypatch.setenv("PLEXUS_API_KEY", gateway.api_key)
        assert plexus("gateway", "backup", str(tmp_path / "b.tar"), "--url", gateway.url).code == 0


def test_a_refusal_is_one_line_and_leaves_no_file(plexus: Command, gateway: Gateway, tmp_path: Path) -> None:
    ended = plexus("gateway", "backup", str(tmp_path / "plexus.tar"))
    assert ended.code == 1
    assert "in memory" in ended.err
    assert ended.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_gateway_that_is_not_there_is_one_line_and_leaves_what_was_there(
    plexus: Command, gateway: Gateway, tmp_path: Path
) -> None:
    file = tmp_path / "plexus.tar"
    file.write_text("the last good one")
    gateway.close()
    ended = plexus("gateway", "backup", str(file))
    assert ended.code == 1
    assert gateway.url in ended.err
    assert file.read_text() == "the last good one"


def test_a_folder_that_is_not_there_is_said(plexus: Command, gateway: Gateway, tmp_path: Path) -> None:
    ended = plexus("gateway", "backup", str(tmp_path / "none" / "plexus.tar"))
    assert ended.code == 1
    assert "cannot be written" in ended.err


def test_a_backup_goes_into_no_folder_that_holds_something(plexus: Command, kept: Gateway, tmp_path: Path) -> None:
    ended = plexus("gateway", "restore", str(tmp_path / "b.tar"), "--data", str(tmp_path / "data"))
    assert ended.code == 1
    assert "not empty" in ended.err


class TestCheck:
    def test_a_good_directory_is_0(self, plexus: Command, kept: Gateway, tmp_path: Path) -> None:
        ended = plexus("gateway", "check", "--data", str(tmp_path / "data"))
        assert (ended.code, ended.out) == (0, "")
        assert plexus("gateway", "check", "--json", "--data", str(tmp_path / "data")).err == ""

    def test_damage_is_1_and_a_sentence(self, plexus: Command, kept: Gateway, tmp_path: Path) -> None:
        self.spoil(tmp_path / "data" / "keys.db")
        ended = plexus("gateway", "check", "--data", str(tmp_path / "data"))
        assert ended.code == 1
        assert ended.out.startswith(f"{tmp_path / 'data' / 'keys.db'}: ")
        ended = plexus("gateway", "check", "--json", "--data", str(tmp_path / "data"))
        assert all("keys.db" in json.loads(line)["problem"] for line in ended.out.splitlines())

    def spoil(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        content = bytearray(path.read_bytes())
        content[4096:4200] = b"\xff" * 104
        path.write_bytes(content)

    def test_no_directory_is_1(self, plexus: Command, tmp_path: Path) -> None:
        ended = plexus("gateway", "check", "--data", str(tmp_path))
        assert ended.code == 1
        assert "--data" in ended.err


def test_without_an_action_it_says_what_there_is(plexus: Command) -> None:
    ended = plexus("gateway")
    assert ended.code == 2
    assert "restore" in ended.out
