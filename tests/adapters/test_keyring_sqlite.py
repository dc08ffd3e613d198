"""What is special about the keyring in a file: several processes, no secret at rest, modes, faults."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.domain.errors import StoreError

_OTHER_PROCESS = """
import sys
from pathlib import Path
from plexus.adapters.keyring.sqlite import SqliteKeyring
keyring = SqliteKeyring(Path(sys.argv[1]))
if sys.argv[2] == "revoke":
    assert keyring.revoke(sys.argv[3])
else:
    print(keyring.create("acme", "made elsewhere", ["read"])[0])
keyring.close()
"""


def _in_another_process(path: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", _OTHER_PROCESS, str(path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_a_key_of_another_process_is_found_at_once(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keys.db")
    mine, _info = keyring.create("acme", "mine", ["read"])
    assert keyring.find(mine) is not None
    before = keyring.generation()
    text = _in_another_process(tmp_path / "keys.db", "create")
    found = keyring.find(text)
    assert found is not None
    assert found.name == "made elsewhere"
    assert keyring.generation() != before
    keyring.close()


def test_a_revocation_by_another_process_is_seen_at_once(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keys.db")
    text, info = keyring.create("acme", "mine", ["read"])
    assert keyring.find(text) == info
    before = keyring.generation()
    _in_another_process(tmp_path / "keys.db", "revoke", info.key_id)
    assert keyring.generation() != before
    assert keyring.find(text) is None
    keyring.close()


def test_keys_are_there_after_a_restart(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keys.db")
    text, info = keyring.create("acme", "mine", ["read"], source_id="rig-01")
    keyring.close()
    keyring = SqliteKeyring(tmp_path / "keys.db")
    assert keyring.find(text) == info
    assert keyring.list() == [info]
    keyring.close()


def test_no_file_holds_the_text_of_a_key(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keys.db")
    secret = "plx_" + "bootstrap-" * 5
    minted, _info = keyring.create("acme", "mine", ["read"])
    _text, given = keyring.create("acme", "first", ["admin"], secret=secret)
    keyring.revoke(given.key_id)
    _back_up(tmp_path / "keys.db", tmp_path / "backup.db")
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"keys.db", "keys.db-wal", "backup.db"} <= set(files)
    assert b"acme" in files["keys.db-wal"]
    assert b"acme" in files["backup.db"]
    for content in files.values():
        for text in (minted, secret):
            assert text.encode() not in content
            assert text[4:20].encode() not in content
    keyring.close()


def _back_up(path: Path, target: Path) -> None:
    source, copy = sqlite3.connect(path), sqlite3.connect(target)
    source.backup(copy)
    source.close()
    copy.close()


def test_files_are_the_owners_alone_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keyring = SqliteKeyring(tmp_path / "data" / "keys.db")
        keyring.create("acme", "mine", ["read"])
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert modes == {"keys.db": 0o600, "keys.db-wal": 0o600, "keys.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    keyring.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    SqliteKeyring(tmp_path / "keys.db").close()
    (tmp_path / "keys.db").chmod(0o644)
    SqliteKeyring(tmp_path / "keys.db").close()
    assert stat.S_IMODE((tmp_path / "keys.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["keys.db", "keys.db-wal", "keys.db-shm"])
def test_a_symbolic_link_in_its_place_is_refused(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    (tmp_path / name).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic link"):
        SqliteKeyring(tmp_path / "keys.db")
    assert elsewhere.read_bytes() == b""


def test_a_file_of_a_newer_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    SqliteKeyring(tmp_path / "keys.db").close()
    connection = sqlite3.connect(tmp_path / "keys.db")
    connection.execute("PRAGMA user_version=3")
    connection.close()
    with pytest.raises(StoreError, match=r"keys\.db has format 3, this version of Plexus reads up to 2"):
        SqliteKeyring(tmp_path / "keys.db")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_bytes(b"this is not a database, " * 100)
    with pytest.raises(StoreError, match=r"keys\.db: file is not a database"):
        SqliteKeyring(tmp_path / "keys.db")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"keys\.db: "):
        SqliteKeyring(tmp_path / "file" / "keys.db")


def test_use_after_close_is_a_store_error(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keys.db")
    keyring.close()
    keyring.close()
    with pytest.raises(StoreError, match=r"keys\.db"):
        keyring.find("plx_" + "0" * 46)


def test_many_that_open_a_new_file_at_once_share_it(tmp_path: Path) -> None:
    ready = threading.Barrier(8)
    texts: list[str] = []

    def create() -> None:
        ready.wait(10)
        keyring = SqliteKeyring(tmp_path / "keys.db")
        texts.append(keyring.create("acme", "one of many", ["read"])[0])
        keyring.close()

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    keyring = SqliteKeyring(tmp_path / "keys.db")
    assert len(texts) == 8
    assert all(keyring.find(text) for text in texts)
    keyring.close()
