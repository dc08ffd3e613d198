"""What the gateway writes is its owner's alone, whatever the umask; a link that waits in its place is refused."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from plexus.gateway import Gateway
from tests.security.target import Target
from tests.support.gateway import KEY, http
from tests.support.served import PLEXUS

FILES = ["journal.db", "keys.db", "registry.db", "audit.db", "commands.db", "tallies.db"]
DAY_NS = 24 * 3600 * 10**9
BESIDE = ("-wal", "-shm")
"""What SQLite adds to a file's name."""

REFUSED = [
    "..",
    ".",
    "../etc",
    "../../../stolen",
    "..%2f..%2fetc",
    "%2e%2e",
    "%2e%2e%2fstolen",
    "a/b",
    "a\\b",
    "/stolen",
    "a\x00b",
    "A",
    "Rig-01",
    "a" * 257,
    "\u00e9" * 128,
    ".hidden",
    "-x",
    "",
]
TAKEN = ["con", "nul", "a..b", "a..", "journal.db", "journal.db-wal", "a" * 256]
TEXTS = ["../../stolen", "..%2fstolen", "a\x00b", "journal.db", "RPM", "rpm", "m" * 256]
"""Of metrics, events, tags and runs, which may be any text."""
OWN_NAME = re.compile(r"history/[a-z_0-9]+/(day|year)=[0-9-]+/[0-9a-f-]+\.parquet")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A gateway whose data lie three directories below one that is the test's alone."""
    target = Target(tmp_path_factory.mktemp("outer") / "one" / "two")
    target.folder.mkdir(parents=True)
    yield target.start()
    target.kill()


def _outside(data: Path) -> dict[str, tuple[int, int]]:
    """Every file and directory around a data directory with what would tell a change, but the gateway's log."""
    outer = data.parents[2]
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in [outer, *outer.rglob("*")]
        if data not in (path, *path.parents) and path.name != "serve.log"
    }


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


def test_the_list_above_has_every_file_that_the_gateway_makes(deep: Target) -> None:
    assert deep.request("POST", "/ingest", json=_points("rig-01")).status_code == 200
    made = {path.name for path in (deep.folder / "data").iterdir()}
    assert made - {name + beside for name in FILES for beside in BESIDE} == {*FILES, "history"}


@pytest.mark.parametrize("name", [*REFUSED, *TAKEN])
def test_a_source_can_name_nothing_outside_the_data_directory(deep: Target, name: str) -> None:
    data = deep.folder / "data"
    before, inside = _outside(data), _modes(data)
    told = deep.request("POST", "/ingest", json=_points(name)).status_code
    assert told == (200 if name in TAKEN else 400)
    registered = deep.request("POST", "/api/sources", json={"slug": name}).status_code
    assert registered == (201 if name in TAKEN else 400)
    for path in ("/v1/sources/{}", "/v1/sources/{}/metrics"):
        for spelt in (quote(name, safe=""), quote(name, safe="/"), quote(quote(name, safe=""), safe="")):
            assert deep.request("GET", path.format(spelt)).status_code in (200, 301, 400, 404)
    assert _outside(data) == before
    assert set(_modes(data)) == set(inside), "a source made a file"


def test_names_that_differ_in_case_are_one_name_or_none(deep: Target) -> None:
    """So that no two of them meet in one file, wherever files have no case."""
    assert deep.request("POST", "/ingest", json=_points("pair")).status_code == 200
    assert deep.request("POST", "/ingest", json=_points("Pair")).status_code == 400
    assert deep.get("/v1/sources/PAIR") is None


def test_no_text_of_a_point_is_a_part_of_a_files_name(tmp_path: Path) -> None:
    data = tmp_path / "one" / "two" / "data"
    with Gateway(data, bootstrap_key=KEY) as gateway, http(gateway) as client:
        before = _outside(data)
        old = 1_600_000_000.0
        for text in TEXTS:
            point = {"metric": text, "value": 1, "timestamp": old, "tags": {"t": text}, "run_id": text}
            points = [point, {**point, "class": "event", "value": text}]
            assert client.post("/ingest", json={"source_id": "rig-01", "points": points}).status_code == 200
        store = gateway.core.store
        assert set(store.names("default", "rig-01")) >= set(TEXTS)
        now_ns = gateway.core.wall_ns()
        for later_ns in (now_ns, now_ns + DAY_NS):  # that they wait is seen at first, and how long at the second
            while store.maintain(later_ns):
                pass
        assert _outside(data) == before
        sealed = [str(path.relative_to(data)) for path in (data / "history").rglob("*.parquet")]
    assert sealed
    assert all(OWN_NAME.fullmatch(name) for name in sealed), sealed


def _points(source_id: str) -> dict[str, object]:
    return {"source_id": source_id, "points": [{"metric": "a.b", "value": 1}]}
