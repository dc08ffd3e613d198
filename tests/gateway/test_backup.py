"""A backup of a running gateway, the way back, and the look for damage."""

from __future__ import annotations

import io
import itertools
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plexus.domain.errors import ConfigurationError, StoreError
from plexus.gateway import Gateway, archive, backup
from plexus.gateway.checking import check
from tests.gateway.test_ingest import point, stored
from tests.support.gateway import KEY, device, http, make_key, running

PATH = "/v1/admin/backup"


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Gateway]:
    with running(data_dir=tmp_path / "data") as gateway, http(gateway) as client:
        body = {"source_id": "rig-01", "points": [point(1), point(2)]}
        assert client.post("/ingest", json=body).status_code == 200
        yield gateway


def take(gateway: Gateway, file: Path, **params: str) -> Path:
    with http(gateway) as client:
        answer = client.post(PATH, params=params)
        assert answer.status_code == 200, answer.text
    file.write_bytes(answer.content)
    return file


class TestBackup:
    @pytest.mark.parametrize("params", [{}, {"zstd": "1"}])
    def test_what_is_put_back_is_what_was_there(self, filled: Gateway, tmp_path: Path, params: dict[str, str]) -> None:
        key = make_key(filled, "read")
        with device(filled, "drone-01", install_id="a" * 32):
            pass
        file = take(filled, tmp_path / "backup", **params)
        listed = backup.restore(file, tmp_path / "again")
        assert {"journal.db", "keys.db", "registry.db", "audit.db"} <= set(listed["files"])
        with running(data_dir=tmp_path / "again") as gateway:
            assert stored(gateway) == [1, 2]
            with http(gateway, key) as client:
                assert client.get("/v1/sources").status_code == 200
            with device(gateway, "drone-01", install_id="b" * 32) as wire:
                assert wire.authenticated["source_id"] == "drone-01_2"

    def test_the_gateway_takes_data_meanwhile_and_each_message_is_whole(self, filled: Gateway, tmp_path: Path) -> None:
        stop = threading.Event()

        def send() -> None:
            with http(filled) as client:
                for number in itertools.count(3, 2):
                    points = [point(number), point(number + 1)]
                    client.post("/ingest", json={"source_id": "rig-01", "points": points})
                    if stop.is_set():
                        return

        sender = threading.Thread(target=send)
        sender.start()
        try:
            file = take(filled, tmp_path / "backup")
        finally:
            stop.set()
            sender.join()
        backup.restore(file, tmp_path / "again")
        with running(data_dir=tmp_path / "again") as gateway:
            values = stored(gateway)
        assert values == list(range(1, len(values) + 1))
        assert len(values) % 2 == 0

    def test_nothing_of_it_is_left_in_the_data_directory(self, filled: Gateway, tmp_path: Path) -> None:
        take(filled, tmp_path / "backup")
        assert not list((tmp_path / "data").glob(".backup*"))

    def test_what_a_killed_gateway_left_is_removed_at_the_next_start(self, tmp_path: Path) -> None:
        (tmp_path / ".backup").mkdir()
        (tmp_path / ".backup" / "journal.db").write_text("half")
        with running(data_dir=tmp_path):
            assert not (tmp_path / ".backup").exists()

    def test_no_key_is_in_it(self, filled: Gateway, tmp_path: Path) -> None:
        assert KEY.encode() not in take(filled, tmp_path / "backup").read_bytes()

    def test_two_at_once_are_one_too_many(self, filled: Gateway, tmp_path: Path) -> None:
        (tmp_path / "data" / ".backup").mkdir()
        with http(filled) as client:
            answer = client.post(PATH)
        assert answer.status_code == 503
        assert "already" in answer.json()["error"]

    def test_a_gateway_in_memory_says_that_it_has_nothing_to_keep(self, shared: Gateway) -> None:
        with http(shared) as client:
            answer = client.post(PATH)
        assert answer.status_code == 503
        assert "in memory" in answer.json()["error"]

    @pytest.mark.parametrize(
        ("scopes", "org", "source_id"),
        [
            (("read", "write", "commands"), "default", None),
            (("admin",), "other", None),
            (("admin",), "default", "rig-01"),
        ],
    )
    def test_only_an_operator_may(
        self, shared: Gateway, scopes: tuple[str, ...], org: str, source_id: str | None
    ) -> None:
        with http(shared, make_key(shared, *scopes, org=org, source_id=source_id)) as client:
            assert client.post(PATH).status_code == 403
        with http(shared, None) as client:
            assert client.post(PATH).status_code == 401

    def test_it_is_in_the_audit_trail(self, filled: Gateway, tmp_path: Path) -> None:
        take(filled, tmp_path / "backup")
        assert [entry.action for _, entry in filled.core.audit.entries("default", action="gateway.backup")]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A backup of two files."""
    folder = tmp_path / "folder"
    (folder / "history").mkdir(parents=True)
    (folder / "journal.db").write_bytes(b"j" * 1000)
    (folder / "history" / "a.parquet").write_bytes(b"p" * 700)
    file = tmp_path / "good.tar"
    file.write_bytes(b"".join(archive.pack(folder, {"made_ms": 1.0}, zstd=False)))
    return file


def evil(member: tarfile.TarInfo, content: bytes = b"x") -> Callable[[Path], None]:
    def write(file: Path) -> None:
        with tarfile.open(file, "w") as tar:
            member.size = len(content) if member.isfile() else 0
            tar.addfile(member, io.BytesIO(content))

    return write


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


class TestRestore:
    def test_files_are_for_their_owner_alone(self, packed: Path, tmp_path: Path) -> None:
        backup.restore(packed, tmp_path / "data")
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "data").rglob("*") if path.is_file()}
        assert modes == {0o600}
        assert (tmp_path / "data" / "history" / "a.parquet").read_bytes() == b"p" * 700

    def test_a_folder_that_holds_anything_is_refused(self, packed: Path, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "x").touch()
        with pytest.raises(ConfigurationError, match="not empty"):
            backup.restore(packed, tmp_path / "data")

    @pytest.mark.parametrize(
        "member",
        [
            named("../outside"),
            named("a/../../outside"),
            named("/tmp/outside"),
            named("a//b"),
            named("a\\..\\b"),
            named("c:outside"),
            named("link", tarfile.SYMTYPE, "/etc/passwd"),
            named("link", tarfile.LNKTYPE, "/etc/passwd"),
            named("device", tarfile.CHRTYPE),
            named("pipe", tarfile.FIFOTYPE),
            named("folder", tarfile.DIRTYPE),
        ],
        ids=lambda member: f"{member.type!r}-{member.name}",
    )
    def test_what_no_backup_holds_is_refused_and_leaves_nothing(self, tmp_path: Path, member: tarfile.TarInfo) -> None:
        evil(member)(tmp_path / "evil.tar")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(StoreError, match="which no backup does"):
            backup.restore(tmp_path / "evil.tar", tmp_path / "data")
        (tmp_path / "data").rmdir()
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_file_twice_is_refused(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "evil.tar", "w") as tar:
            for _ in range(2):
                tar.addfile(named("a"), io.BytesIO())
        with pytest.raises(StoreError, match="twice"):
            backup.restore(tmp_path / "evil.tar", tmp_path / "data")

    def test_one_that_is_cut_anywhere_is_refused(self, packed: Path, tmp_path: Path) -> None:
        whole = packed.read_bytes()
        listed = whole.index(b'"files"')
        for size in (*range(0, listed, 256), listed):
            (tmp_path / "cut.tar").write_bytes(whole[:size])
            with pytest.raises(StoreError):
                archive.unpack(tmp_path / "cut.tar", None)

    def test_a_byte_that_was_changed_is_found(self, packed: Path, tmp_path: Path) -> None:
        damaged = bytearray(packed.read_bytes())
        damaged[damaged.index(b"ppp")] ^= 1
        (tmp_path / "bad.tar").write_bytes(damaged)
        with pytest.raises(StoreError, match=r"history/a\.parquet"):
            backup.restore(tmp_path / "bad.tar", tmp_path / "data")
        assert not list((tmp_path / "data").iterdir())

    def test_one_of_a_later_format_is_refused(self, packed: Path, tmp_path: Path) -> None:
        later = packed.read_bytes().replace(b'"format": 1', b'"format": 2')
        (tmp_path / "later.tar").write_bytes(later)
        with pytest.raises(StoreError, match="newer"):
            archive.unpack(tmp_path / "later.tar", None)

    def test_a_file_that_is_none_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"none\.tar"):
            backup.restore(tmp_path / "none.tar", tmp_path / "data")
        (tmp_path / "text").write_text("no tar" * 1000)
        with pytest.raises(StoreError, match="no whole backup"):
            backup.restore(tmp_path / "text", tmp_path / "data")

    def test_a_gateway_does_not_start_over_half_of_one(self, tmp_path: Path) -> None:
        (tmp_path / ".restoring-1").mkdir()
        with pytest.raises(StoreError, match="restore again"):
            Gateway(tmp_path).start()


class TestCheck:
    def test_nothing_is_wrong_with_a_gateway_that_ended_well(self, filled: Gateway, tmp_path: Path) -> None:
        filled.close()
        assert check(tmp_path / "data") == []

    @pytest.mark.parametrize("name", ["keys.db", "registry.db"])
    def test_a_damaged_database_is_named(self, filled: Gateway, tmp_path: Path, name: str) -> None:
        filled.close()
        path = tmp_path / "data" / name
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        content = bytearray(path.read_bytes())
        content[4096:4200] = b"\xff" * 104
        path.write_bytes(content)
        assert {finding.split(": ")[0] for finding in check(tmp_path / "data")} == {str(path)}

    def test_a_damaged_journal_row_is_told(self, filled: Gateway, tmp_path: Path) -> None:
        filled.close()
        connection = sqlite3.connect(tmp_path / "data" / "journal.db")
        connection.execute("UPDATE journal SET body = zeroblob(length(body))")
        connection.commit()
        connection.close()
        (finding,) = check(tmp_path / "data")
        assert "journal row 1" in finding

    def test_while_a_gateway_runs_it_is_not_looked_at(self, filled: Gateway, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="in use by another gateway"):
            check(tmp_path / "data")

    def test_where_no_data_is_it_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="--data"):
            check(tmp_path)
