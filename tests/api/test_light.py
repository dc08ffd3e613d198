"""What a reader loads, and when."""

from __future__ import annotations

import subprocess
import sys

HEAVY = [
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "matplotlib",
    "mcap",
    "duckdb",
    "litestar",
    "uvicorn",
    "msgspec",
    "psutil",
    "websockets",
]
OTHERS = ["plexus.gateway", "plexus.cli", "plexus.client"]
LATER = ["httpx", "cattrs", "tenacity", "websocket", "ssl", "asyncio", "email", "rich"]
"""What a reader needs once it asks, and a program that only names it does not wait for."""

SHOWN = """
import sys, threading
print([name for name in {names!r} if name in sys.modules], threading.active_count())
"""
ASKED = """
import httpx, plexus
answer = httpx.Response(200, json={"devices": []})
with plexus.PlexusAPI("plx_key", "http://127.0.0.1:9", transport=httpx.MockTransport(lambda _: answer)) as api:
    assert api.sources.list() == []
"""


def _loaded(code: str, names: list[str]) -> str:
    """Which of `names` are loaded after `code`, and how many threads there are."""
    program = code + SHOWN.format(names=names)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_naming_the_readers_loads_nothing_heavy_and_nothing_that_only_asking_needs() -> None:
    code = "from plexus.api import AsyncPlexusAPI, PlexusAPI"
    assert _loaded(code, [*HEAVY, *OTHERS, *LATER]) == "[] 1"


def test_asking_loads_nothing_heavy_either_and_takes_no_thread() -> None:
    # rich is not named: httpx loads it for a command line of its own, where it is installed.
    assert _loaded(ASKED, [*HEAVY, *OTHERS]) == "[] 1"
