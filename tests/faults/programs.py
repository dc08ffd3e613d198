"""Small programs as processes of their own, and what a gateway has of what they sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from plexus import Plexus
from plexus.gateway import Gateway
from tests.support.gateway import KEY, http

ROOT = Path(__file__).resolve().parents[2]


def begin(program: str | Path, ws_url: str) -> subprocess.Popen[str]:
    """Run a program that finds its gateway and its key in its environment, and its spool in the home of the test."""
    environment = {
        **os.environ,
        "PLEXUS_API_KEY": KEY,
        "PLEXUS_GATEWAY_WS_URL": ws_url,
        "PLEXUS_GATEWAY_URL": ws_url.replace("ws", "http", 1),
        "PLEXUS_QUIET": "1",
    }
    return subprocess.Popen(
        [sys.executable, *([str(program)] if isinstance(program, Path) else ["-c", program])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )


def run(program: str | Path, ws_url: str) -> str:
    """Run such a program to its end, which must be a good one; what it printed."""
    process = begin(program, ws_url)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def stored(gateway: Gateway, source_id: str = "drone-01") -> dict[str, Counter[Any]]:
    """How often each value of each metric is stored."""
    with http(gateway) as client:
        answer = client.get(f"/v1/sources/{source_id}/metrics/query", params={"last": "1h", "interval": "raw"})
    if answer.status_code == 404:
        return {}
    series = answer.raise_for_status().json()["series"]
    return {metric: Counter(found["value"]) for metric, found in series.items()}


def once(*values: Any) -> Counter[Any]:
    """Each of these, one time."""
    return Counter(values)


def drain(ws_url: str, source_id: str = "drone-01") -> None:
    """The next start: sends what earlier processes left behind."""
    with Plexus(api_key=KEY, source_id=source_id, ws_url=ws_url) as px:
        assert px.flush(20.0), px.stats()
