"""The doctor beside spools and disks of every kind: it reads them, says what waits there, and changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus import Plexus
from plexus.adapters.buffer.peeking import peek
from plexus.adapters.buffer.spools import DIRECTORY, open_spool
from plexus.gateway import Gateway
from plexus.testing.contracts.buffer import a_batch
from tests.api.examining import Examine, examiner, one, wrong
from tests.support.gateway import KEY, running
from tests.support.servers import dead_port


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def look(home: Path) -> Examine:
    return examiner(home)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running() as gateway:
        yield gateway


def fill(home: Path, source_id: str = "drone-01") -> None:
    """Leave three points behind, as a device does that never reached its gateway."""
    with Plexus(api_key=KEY, source_id=source_id, ws_url=f"ws://127.0.0.1:{dead_port()}", durability="spool") as px:
        for value in range(3):
            px.send("battery.voltage", value)


def test_points_that_wait_and_that_nobody_sends_are_a_warning(
    look: Examine, gateway: Gateway, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXUS_HOME", str(home))
    fill(home)
    before = sorted(path.name for path in (home / DIRECTORY).iterdir())
    found = one(look(gateway.url), "spool")
    assert (found.state, "3 points" in found.said) == ("warn", True)
    assert sorted(path.name for path in (home / DIRECTORY).iterdir()) == before


def test_a_spool_that_a_client_has_open_is_well_and_left_alone(look: Examine, gateway: Gateway, home: Path) -> None:
    open_spool(home / DIRECTORY, "drone-01", 100).close()
    spool = open_spool(home / DIRECTORY, "drone-01", 100)
    try:
        findings = look(gateway.url)
        assert wrong(findings) == []
        assert any("a running program has it open" in finding.said for finding in findings)
        # It holds on to it: nobody else gets in after the look.
        other = open_spool(home / DIRECTORY, "drone-01", 100)
        assert other._path != spool._path
        other.close()
    finally:
        spool.close()


def test_a_spool_that_was_looked_at_can_be_opened(home: Path) -> None:
    open_spool(home / DIRECTORY, "drone-01", 100).close()
    (seen,) = peek(home / DIRECTORY)
    assert (seen.points, seen.held, seen.fault) == (0, False, "")
    again = open_spool(home / DIRECTORY, "drone-01", 100)
    assert again.points == 0
    again.close()


def test_a_spool_whose_client_was_killed_is_read_with_its_log_and_left_as_it_was(home: Path, tmp_path: Path) -> None:
    spool = open_spool(home / DIRECTORY, "drone-01", 100)
    try:
        spool.append([a_batch(1), a_batch(2)])
        points = spool.points
        # What a kill leaves: the files as they are while the client still has them open.
        shutil.copytree(home / DIRECTORY, tmp_path / "left")
    finally:
        spool.close()
    before = {path.name: path.read_bytes() for path in (tmp_path / "left").iterdir()}
    assert any(name.endswith("-wal") for name in before)
    (seen,) = peek(tmp_path / "left")
    assert (seen.points, seen.held, seen.fault) == (points, False, "")
    assert {path.name: path.read_bytes() for path in (tmp_path / "left").iterdir()} == before


def test_a_broken_spool_is_a_warning(look: Examine, gateway: Gateway, home: Path) -> None:
    (home / DIRECTORY).mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (home / DIRECTORY / "spool-drone-01-1.db").write_bytes(b"no database" * 1_000)
    found = one(look(gateway.url), "spool")
    assert (found.state, "not a database" in found.said) == ("warn", True)


def test_another_database_in_its_place_is_a_warning(home: Path) -> None:
    (home / DIRECTORY).mkdir(parents=True)
    with sqlite3.connect(home / DIRECTORY / "spool-a-1.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    (seen,) = peek(home / DIRECTORY)
    assert (seen.points, "no such table" in seen.fault) == (None, True)


@pytest.mark.skipif(sys.platform == "win32", reason="a link needs a right there")
def test_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    (home / DIRECTORY).mkdir(parents=True)
    (tmp_path / "elsewhere.db").write_bytes(b"")
    (home / DIRECTORY / "spool-a-1.db").symlink_to(tmp_path / "elsewhere.db")
    (seen,) = peek(home / DIRECTORY)
    assert "symbolic link" in seen.fault


def test_a_place_where_nothing_can_be_written_is_found(look: Examine, gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file, and no directory")
    (tmp_path / "occupied").chmod(0o700)
    found = one(look(gateway.url, home=tmp_path / "occupied"), "spool")
    assert (found.state, "PLEXUS_HOME" in found.advice) == ("fail", True)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has a file system on which nobody can write")
def test_a_read_only_file_system_is_found(look: Examine, gateway: Gateway) -> None:
    found = one(look(gateway.url, home=Path("/proc/plexus")), "spool")
    assert (found.state, "PLEXUS_HOME" in found.advice) == ("fail", True)


def test_a_full_disk_is_found(look: Examine, gateway: Gateway) -> None:
    assert wrong(look(gateway.url, free_bytes=lambda _place: 1_000)) == [("disk", "fail")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_home_that_others_may_read_is_a_warning(look: Examine, gateway: Gateway, home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    assert one(look(gateway.url), "spool").advice == f"chmod 700 {home}"


def test_without_a_spool_on_disk_the_disk_does_not_matter(look: Examine, gateway: Gateway, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "config.json").write_text('{"persistent_buffer": false}')
    (home / "config.json").chmod(0o600)
    findings = look(gateway.url, free_bytes=lambda _place: 0)
    assert wrong(findings) == []
    assert any("persistent_buffer is off" in finding.said for finding in findings)
