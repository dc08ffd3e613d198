"""The registry in a file, compared with the one in memory over any sequence of calls and restarts."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.registry.sqlite import SqliteRegistry
from plexus.domain.errors import StoreError
from plexus.domain.run import Criterion, Run

orgs = st.sampled_from(["acme", "other"])
names = st.sampled_from(["rig", "rig_2", "rig_3", "d" * 62, "d" * 63, "e" * 256])
installs = st.sampled_from(["", "a", "b", "c", "A"])
statuses = st.sampled_from(["running", "completed", "aborted"])
texts = st.text(st.characters(codec="utf-8"), max_size=8)
times = st.floats(-1e12, 1e13)
criteria = st.builds(Criterion, texts, st.sampled_from([">", "!="]), st.floats(allow_nan=False, allow_infinity=False))
runs = st.builds(
    Run,
    run_id=st.sampled_from(["1", "2", "x'; --"]),
    name=texts,
    source_id=st.none() | names,
    status=statuses,
    started_ms=times,
    ended_ms=st.none() | times,
    tags=st.dictionaries(texts, texts, max_size=3),
    metadata=st.dictionaries(texts, st.none() | st.booleans() | texts | st.lists(st.integers(-(2**70), 2**70))),
    pass_criteria=st.lists(criteria, max_size=2).map(tuple),
)


class Registries(RuleBasedStateMachine):
    """Whatever is done to both, they answer alike, also after the file was opened anew."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name) / "registry.db"
        self.model = MemoryRegistry()
        self.real = SqliteRegistry(self._path)

    @rule(org=orgs, declared=names, install=installs)
    def claim(self, org: str, declared: str, install: str) -> None:
        assert self.real.claim(org, declared, install) == self.model.claim(org, declared, install)

    @rule(org=orgs, name=names)
    def register(self, org: str, name: str) -> None:
        assert self.real.register(org, name, "{}") == self.model.register(org, name, "{}")

    @rule(org=orgs, run=runs)
    def put_run(self, org: str, run: Run) -> None:
        self.real.put_run(org, run)
        self.model.put_run(org, run)
        assert self.real.run(org, run.run_id) == run

    @rule(org=orgs, source=st.none() | names, status=st.none() | statuses)
    def list_runs(self, org: str, source: str | None, status: str | None) -> None:
        assert self.real.runs(org, source, status) == self.model.runs(org, source, status)  # type: ignore[arg-type]

    @rule()
    def reopen(self) -> None:
        self.real.close()
        self.real = SqliteRegistry(self._path)

    @invariant()
    def both_know_the_same_names(self) -> None:
        for org in ("acme", "other"):
            assert self.real.registered(org) == self.model.registered(org)

    def teardown(self) -> None:
        self.real.close()
        self._directory.cleanup()


Registries.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestRegistries = Registries.TestCase


def test_what_was_done_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from plexus.adapters.registry.sqlite import SqliteRegistry
registry = SqliteRegistry(Path(sys.argv[1]))
registry.claim("acme", "rig", "a")
registry.register("acme", "arm", "{}")
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "registry.db"
    assert subprocess.run([sys.executable, "-c", script, str(path)], timeout=60).returncode == -9
    registry = SqliteRegistry(path)
    assert registry.registered("acme") == ["arm", "rig"]
    assert registry.claim("acme", "rig", "b") == "rig_2"
    registry.close()


def test_every_commit_is_flushed(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "registry.db")
    full = 2
    assert registry._file.read("PRAGMA synchronous") == [(full,)]
    assert registry._file.read("PRAGMA journal_mode") == [("wal",)]
    registry.close()


def test_devices_that_claim_one_name_at_once_get_different_ones(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "registry.db")
    ready = threading.Barrier(8)
    given: list[str] = []

    def claim(install: str) -> None:
        ready.wait(10)
        given.append(registry.claim("acme", "rig", install))

    threads = [threading.Thread(target=claim, args=(str(number // 2),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(given) == sorted(["rig", "rig_2", "rig_3", "rig_4"] * 2)
    registry.close()


def test_a_device_that_comes_back_costs_no_write(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "registry.db")
    registry.claim("acme", "rig", "a")
    registry.claim("acme", "arm", "")
    other = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert registry.claim("acme", "rig", "a") == "rig"
    assert registry.claim("acme", "arm", "") == "arm"
    other.execute("ROLLBACK")
    other.close()
    registry.close()


def test_a_refused_transaction_changes_nothing(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "registry.db")

    def insert_twice() -> None:
        with registry._file.transaction() as connection:
            connection.execute("INSERT INTO names VALUES ('acme', 'rig', '', NULL)")
            connection.execute("INSERT INTO names VALUES ('acme', 'rig', '', NULL)")

    with pytest.raises(StoreError, match=r"registry\.db"):
        insert_twice()
    assert registry.registered("acme") == []
    assert registry.claim("acme", "rig", "a") == "rig"
    registry.close()
