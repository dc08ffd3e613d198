"""The rules of the house hold, and a house that breaks one of them is caught: each in a copy with one line too many."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of `root/pyproject.toml` against the package in `root`."""
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contracts, to be spoilt."""
    shutil.copytree(ROOT / "plexus", tmp_path / "plexus", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_house_keeps_its_rules() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


def test_an_unspoilt_copy_keeps_them_too(copy: Path) -> None:
    found = lint(copy)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("protocol/frames/kinds.py", "import plexus.ports.codec", "The layers of the house"),
        ("ports/codec.py", "import plexus.device", "The layers of the house"),
        ("device/sealer.py", "import plexus.config", "The layers of the house"),
        ("client/facade.py", "import plexus.gateway", "The layers of the house"),
        ("domain/point.py", "import time", "The pure layers do no I/O and read no clock"),
        ("ports/clock.py", "import threading", "The pure layers do no I/O and read no clock"),
        ("device/sealer.py", "import socket", "The device reaches the world through ports only"),
        ("cli/app.py", "import httpx", "The command line does no I/O of its own"),
        ("adapters/codec/json.py", "import plexus.adapters.clock.system", "Adapters do not know each other"),
        ("device/sealer.py", "import msgspec", "A device loads nothing heavy"),
        ("api/answers.py", "import msgspec", "A reader loads nothing heavy"),
        ("api/history/plan.py", "import rich", "A reader loads nothing heavy"),
    ],
)
def test_a_forbidden_import_is_caught(copy: Path, module: str, line: str, contract: str) -> None:
    with (copy / "plexus" / module).open("a") as spoilt:
        spoilt.write(f"\n{line}  # planted by a test\n")
    found = lint(copy)
    broken = [said.partition(" (")[0] for said in found.stdout.splitlines() if " BROKEN" in said]
    assert found.returncode == 1
    assert f"{contract} BROKEN" in broken


def test_a_module_without_a_place_in_the_house_is_caught(copy: Path) -> None:
    (copy / "plexus" / "helpers.py").write_text('"""Anything."""\n')
    found = lint(copy)
    assert found.returncode == 1
    assert "helpers" in found.stdout
