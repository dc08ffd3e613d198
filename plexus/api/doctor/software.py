"""Versions, and which optional libraries are there."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping
from importlib import metadata

from plexus._version import __version__
from plexus.api.doctor.findings import Finding, ok, warn

DISTRIBUTION = "plexus-python"
_NOT_SHOWN = frozenset({"dev"})
_extra = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def findings() -> Iterator[Finding]:
    """Each version, and each extra with what it lacks. A missing extra is no fault: most need few of them."""
    yield ok("software", "", ", ".join(versions()))
    try:
        named = extras(metadata.requires(DISTRIBUTION) or ())
    except metadata.PackageNotFoundError:
        yield warn(
            "libraries",
            "",
            "Plexus runs from a folder and is not installed, so which libraries it may use is not known",
            "install it: pip install plexus-python, or pip install -e . in the checkout",
        )
        return
    for extra, wanted in named.items():
        yield _libraries(extra, wanted)


def versions() -> list[str]:
    """Versions of what a report of a fault should name."""
    import sqlite3
    import ssl

    return [
        f"plexus {__version__}",
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        ssl.OPENSSL_VERSION.rsplit(" ", 3)[0],
        platform.platform(terse=True),
    ]


def extras(requirements: tuple[str, ...] | list[str]) -> Mapping[str, list[str]]:
    """The distributions of each extra, from a distribution's requirements as its metadata has them."""
    found: dict[str, list[str]] = {}
    for requirement in requirements:
        extra, name = _extra.search(requirement), _name.match(requirement)
        if extra is not None and name is not None and extra[1] not in _NOT_SHOWN:
            found.setdefault(extra[1], []).append(name[0])
    return found


def _libraries(extra: str, wanted: list[str]) -> Finding:
    missing = [name for name in wanted if not _is_there(name)]
    if not missing:
        return ok("libraries", extra, "all there")
    return ok("libraries", extra, f"not installed: {', '.join(missing)} (pip install 'plexus-python[{extra}]')")


def _is_there(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
