"""What the extra `gateway` brings, and one sentence for when it is not there."""

from __future__ import annotations

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
