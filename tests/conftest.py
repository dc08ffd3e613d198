"""What every test has: a home of its own, and no proxy, key or host of the person who runs it."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is not a failure: how long an example takes says nothing about whether it is right.
settings.register_profile("plexus", deadline=None, max_examples=60, print_blob=True)
settings.load_profile("plexus")

# The gateway is for Python 3.11 and later (DuckDB 2 has no wheels for 3.10): on 3.10 the device's and the reader's part
# is tested, and these, which need a gateway over its embedded store, are not collected.
NEED_GATEWAY = [
    "adapters/test_embedded*.py",
    "adapters/test_sealed*.py",
    "api/test_history.py",
    "cli/*",
    "contracts/test_store.py",
    "docs/*",
    "e2e/*",
    "examples/*",
    "faults/*",
    "gateway/*",
    "peers/*",
    "simulation/*",
    "typing/*",
]
collect_ignore_glob = NEED_GATEWAY if sys.version_info < (3, 11) else []

# The files that take longest, first: a long one that begins last is waited for by nobody but itself.
LONGEST = [
    "peers/test_released.py",
    "faults/test_exits.py",
    "cli/test_demo.py",
    "docs/test_snippets.py",
    "docs/test_fresh_machine.py",
    "examples/test_fleet_backend.py",
    "e2e/test_scripted_gateways.py",
    "api/test_generated_answers.py",
    "e2e/test_export_interrupted.py",
    "e2e/test_streams_over_restarts.py",
    "examples/test_notebook.py",
    "security/test_slow_clients.py",
    "peers/test_adoption.py",
    "gateway/rest/test_schemathesis.py",
    "faults/test_kill_device.py",
    "security/test_files.py",
    "faults/test_forks.py",
    "adapters/test_columnar_arrays.py",
    "faults/test_network.py",
    "adapters/test_sealed_contracts.py",
    "adapters/test_embedded_store_steps.py",
    "contracts/test_transport.py",
    "contracts/test_store_asking.py",
    "gateway/test_server.py",
    "faults/test_power_cut_store.py",
    "cli/test_serve.py",
    "soak/test_soak.py",
    "simulation/test_simulation.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, all others in their order; `make test` hands them out as they stand here."""
    tests = Path(__file__).parent
    rank = {tests / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """Ten thousand tests stay to the end: whoever collects garbage need not look through them again each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two processes more than there are cores: half of the time a test waits, for a process, a socket or a clock."""
    return (os.cpu_count() or 1) + 2


_FOREIGN = ("PLEXUS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, so that nothing of the real one is read or written."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN):
            monkeypatch.delenv(name)
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("USERPROFILE", str(path))
    monkeypatch.setenv("PLEXUS_HOME", str(path / ".plexus"))
    return path


@pytest.fixture(autouse=True)
def _no_device_outlives_its_test() -> Iterator[None]:
    """A client that nobody closed goes on dialling, into the tests that come after."""
    before = _uplinks()
    yield
    uplinks = _uplinks() - before
    for uplink in uplinks:
        uplink.join(5.0)
    assert not any(uplink.is_alive() for uplink in uplinks), "the test left a Plexus open"


def _uplinks() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "plexus-uplink"}
