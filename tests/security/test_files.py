"""What the gateway writes is its owner's alone, whatever the umask; a link that waits in its place is refused."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.security.target import Target
from tests.support.served import PLEXUS

FILES = ["journal.db", "keys.db", "registry.db", "audit.db", "commands.db"]


def _modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_under_umask_0_files_are_0600_and_directories_0700(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        target = Target(tmp_path).start()
    finally:
        os.umask(before)
    try:
        points = [{"metric": "a.b", "value": index} for index in range(10)]
        answer = target.request("POST", "/ingest", json={"source_id": "rig-01", "points": points})
        assert answer.status_code == 200
        target.request("POST", "/api/sources", json={"slug": "rig-02"})
        data = tmp_path / "data"
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        for name, mode in _modes(data).items():
            assert mode == (0o700 if (data / name).is_dir() else 0o600), name
        assert "journal.db" in _modes(data)
    finally:
        target.kill()


@pytest.mark.parametrize("name", FILES)
def test_a_symbolic_link_that_was_there_before_is_refused(tmp_path: Path, name: str) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir(mode=0o700)
    elsewhere.write_bytes(b"")
    (data / name).symlink_to(elsewhere)
    environment = {**os.environ, "PLEXUS_HOME": str(tmp_path / "home"), "PLEXUS_BOOTSTRAP_KEY": "plx_" + "k" * 40}
    command = [str(PLEXUS), "serve", "--port", "0", "--data", str(data)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "symbolic link" in ended.stderr
    assert elsewhere.read_bytes() == b""


@pytest.mark.parametrize(
    "name", ["..", "../etc", "..%2f..%2fetc", "%2e%2e", "a/b", "a\x00b", "A", "a" * 257, ".hidden", "con", "-x"]
)
def test_a_source_can_name_nothing_outside_the_data_directory(target: Target, name: str) -> None:
    before = sorted(str(path) for path in target.folder.rglob("*"))
    answer = target.request("POST", "/ingest", json={"source_id": name, "points": [{"metric": "a.b", "value": 1}]})
    assert answer.status_code == (200 if name in ("con",) else 400), answer.text
    assert target.request("GET", "/v1/sources/" + name.replace("\x00", "%00")).status_code in (200, 400, 404)
    after = sorted(str(path) for path in target.folder.rglob("*"))
    assert {Path(path).suffix for path in set(after) - set(before)} <= {".db", ".db-wal", ".db-shm", ".parquet", ""}
