"""What is installed for the demo, the tests and the checks is what the locks name, file by file."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"gateway": ("gateway",), "dev": ("gateway", "speed", "video", "dev")}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def _entries(lock: str) -> dict[str, list[tuple[Requirement, int]]]:
    """By name: each pinned requirement with its number of hashes."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text().replace("\\\n", " ")
    found: dict[str, list[tuple[Requirement, int]]] = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement = Requirement(line.partition("--hash")[0].strip())
            found.setdefault(canonicalize_name(requirement.name), []).append((requirement, len(HASH.findall(line))))
    return found


def _wanted(extras: tuple[str, ...]) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_is_one_version_with_hashes(lock: str) -> None:
    for entries in _entries(lock).values():
        for requirement, hashes in entries:
            assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
            assert hashes > 0, requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_everything_that_the_project_asks_for(lock: str) -> None:
    entries = _entries(lock)
    here = {name: str(value) for name, value in default_environment().items()}
    for wanted in _wanted(LOCKS[lock]):
        if wanted.marker is not None and not wanted.marker.evaluate(here):
            continue
        pins = entries.get(canonicalize_name(wanted.name), [])
        chosen = [pin for pin, _ in pins if pin.marker is None or pin.marker.evaluate(here)]
        assert len(chosen) == 1, f"{wanted} is not in requirements/{lock}.lock once: run `make lock`"
        version = Version(next(iter(chosen[0].specifier)).version)
        assert version in wanted.specifier, f"{wanted} is locked as {version}: run `make lock`"


def test_no_lock_names_where_its_packages_come_from() -> None:
    for lock in LOCKS:
        assert "://" not in (ROOT / "requirements" / f"{lock}.lock").read_text()
