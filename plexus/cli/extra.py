"""What the extra `gateway` brings, and one sentence for when it is not there."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from plexus.config import home_directory
from plexus.domain.errors import ConfigurationError

NEEDED = (
    "cramjam",
    "duckdb",
    "httptools",
    "litestar",
    "msgspec",
    "numpy",
    "orjson",
    "prometheus_client",
    "psutil",
    "pyarrow",
    "pythonjsonlogger",
    "rich",
    "uvicorn",
    "websockets",
)
DEFAULT_PORT = 8080


def need_gateway() -> None:
    """Raise ConfigurationError saying what to install, unless everything is there."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if not missing:
        return
    if sys.version_info < (3, 11):
        raise ConfigurationError("the gateway needs Python 3.11 or later; a device and a reader run on this one")
    raise ConfigurationError(
        f"this needs {', '.join(missing)}, of the extra gateway: in the checkout of Plexus, run "
        'pip install -e ".[gateway]"'
    )


def default_data() -> Path:
    """Where `plexus serve` keeps its data when nobody says."""
    return home_directory() / "gateway"


def data_folder(named: Path | None) -> Path:
    """The data directory that a command is to work on, `named` or the default.

    Raises ConfigurationError for one that this user may not look into: what is in it cannot be known then.
    """
    folder = (named or default_data()).expanduser()
    try:
        os.scandir(folder).close()
    except PermissionError as exc:
        raise closed(folder) from exc
    except OSError:
        pass  # it is not there yet, or is no directory: what is done with it will say so
    return folder


def closed(path: Path) -> ConfigurationError:
    """That this user may not look into a directory, and who may."""
    owner = _owner(path)
    if owner is None:
        return ConfigurationError(f"{path} is closed to this user: run this as the one whom it belongs to")
    return ConfigurationError(
        f"{path} is closed to this user: write `sudo -u {owner}` before the command, for it belongs to {owner}"
    )


def _owner(path: Path) -> str | None:
    """Who owns it, or where that cannot be seen, the directory above that can; None where that has no name."""
    for place in (path, *path.parents):
        try:
            return place.owner()
        except PermissionError:
            continue
        except (KeyError, OSError, NotImplementedError):
            return None
    return None
