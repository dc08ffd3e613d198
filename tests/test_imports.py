"""What is loaded when: a device carries nothing of readers and gateways, and every public name is really there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import plexus

HEAVY = (
    "numpy",
    "pyarrow",
    "duckdb",
    "litestar",
    "uvicorn",
    "rich",
    "psutil",
    "msgspec",
    "pandas",
    "polars",
    "asyncio",
)
LATE = (
    "plexus.adapters.camera",
    "plexus.adapters.runs.memory",
    "_hashlib",
    "bz2",
    "email",
    "gettext",
    "http",
    "httpx",
    "importlib.metadata",
    "lzma",
    "multiprocessing",
    "shutil",
    "ssl",
    "subprocess",
    "tempfile",
    "unittest",
    "urllib.request",
    "websocket",
)
"""What a device that speaks with a gateway on its own network never needs, or not before it is used."""

OTHERS = ("plexus.api", "plexus.gateway", "plexus.cli", "plexus.testing")

A_DEVICE = """
from plexus import Plexus
px = Plexus(api_key="plx_" + "k" * 40, source_id="drone-01"{settings})
{use}
px.close()
"""


COUNTED = """
import sys, json
before = set(sys.modules)
{code}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(code: str, tmp_path: Path, port: int = 9) -> set[str]:
    """The modules that a fresh interpreter has after running `code`, beyond those that it starts with."""
    ran = subprocess.run(
        [sys.executable, "-c", COUNTED.format(code=code)],
        env={
            **os.environ,
            "PLEXUS_HOME": str(tmp_path),
            "PLEXUS_QUIET": "1",
            "PLEXUS_GATEWAY_URL": f"http://127.0.0.1:{port}",
            "PLEXUS_GATEWAY_WS_URL": f"ws://127.0.0.1:{port}",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


def of(modules: set[str], names: tuple[str, ...]) -> list[str]:
    """Those of `modules` that are one of `names`, or inside one."""
    return sorted(name for name in modules if any(name == one or name.startswith(f"{one}.") for one in names))


def test_importing_the_package_loads_the_version_and_nothing_else(tmp_path: Path) -> None:
    modules = loaded("import plexus", tmp_path)
    assert of(modules, ("plexus",)) == ["plexus", "plexus._version"]
    assert of(modules, HEAVY) == []


def test_building_a_device_loads_nothing_of_the_others_and_nothing_heavy(tmp_path: Path) -> None:
    # A gateway that takes the connection and says nothing: were it refused, the device would turn to HTTP.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        modules = loaded(A_DEVICE.format(settings="", use="pass"), tmp_path, silent.getsockname()[1])
    assert of(modules, OTHERS) == []
    assert of(modules, HEAVY) == []


def test_a_device_without_a_gateway_has_loaded_no_http_client_either(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    use = 'px.send("battery.voltage", 12.4)\nassert px.flush(30.0, durable=True)'
    modules = loaded(A_DEVICE.format(settings="", use=use), tmp_path, port)
    # attrs has platform with it, and platform has subprocess with it before Python 3.11.
    assert of(modules - loaded("import attr", tmp_path), LATE) == []
    assert of(modules, HEAVY) == []


def test_a_device_that_sends_by_http_loads_httpx_and_nothing_else_that_is_heavy(tmp_path: Path) -> None:
    use = 'px.send("battery.voltage", 12.4)'
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        modules = loaded(A_DEVICE.format(settings=', transport="http"', use=use), tmp_path, port)
    assert "httpx" in modules
    assert of(modules, OTHERS) == []
    # httpx brings rich along for its own command line, where rich is installed.
    assert of(modules - loaded("import httpx", tmp_path), HEAVY) == []


def test_looking_after_keys_loads_no_gateway(tmp_path: Path) -> None:
    words = ["keys", "create", "one", "--data", str(tmp_path / "data")]
    modules = loaded(f"from plexus.cli import main\nassert main({words!r}) == 0", tmp_path)
    assert of(modules, ("plexus.gateway.keys",)) != []
    assert of(modules, ("plexus.gateway.core", "plexus.gateway.assembly")) == []
    assert of(modules, ("numpy", "pyarrow", "duckdb", "litestar", "uvicorn", "msgspec")) == []


def test_the_pytest_plugin_costs_nothing_until_a_fixture_is_used(tmp_path: Path) -> None:
    modules = loaded("import pytest; before = set(sys.modules)\nimport plexus.testing.plugin", tmp_path)
    assert of(modules, ("plexus",)) == ["plexus", "plexus._version", "plexus.testing", "plexus.testing.plugin"]
    assert of(modules, HEAVY) == []


@pytest.mark.parametrize("name", plexus.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(plexus, name) is not None


def test_the_public_names_are_sorted_and_listed_by_dir() -> None:
    assert sorted(plexus.__all__) == plexus.__all__
    assert dir(plexus) == plexus.__all__


def test_a_name_that_is_not_there_is_said_so() -> None:
    with pytest.raises(AttributeError, match="module 'plexus' has no attribute 'Plexsus'"):
        plexus.Plexsus  # noqa: B018 - asking for it is the test
