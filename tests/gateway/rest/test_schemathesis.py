"""Requests that schemathesis makes of the OpenAPI document, sent to a gateway over its embedded store.

All checks of schemathesis are on, but for two of a few operations (CONFIG says why). The seed is fixed;
SCHEMATHESIS_EXAMPLES (12) says how many examples an operation gets in each phase, SCHEMATHESIS_SEED (4) where they
begin.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from plexus.gateway import Gateway

KEY = "plx_a-key-for-schemathesis-0123456789abcdef"
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "12")
SEED = os.environ.get("SCHEMATHESIS_SEED", "4")

# What no schema can say is that one part of a request must fit another: start lies before end, limit and tail exclude
# each other, a run has a name or an id, and ends after its start, low is not above high, a key's end lies ahead; and a
# date-time of the schema may be one of the year 1, which no nanosecond of 64 bits reaches. So these may answer 400 to
# what the schema allows; everything else is checked of them too.
#
# Where there is a window, `last` wins over `start` and `end`, which are not looked at then (the wire contract, and what
# clients in the field rely on): something that is no time may stand there and the request is answered. What these
# operations refuse, field by field, is in test_metrics, test_events, test_fleet and test_export.
CONFIG = """
[[operations]]
include-operation-id = [
  "query_metrics", "list_events", "list_logs", "fleet_metrics", "export", "announce_run", "close_run",
  "remove_data", "put_metric", "create_key",
]
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = ["query_metrics", "list_events", "list_logs", "fleet_metrics", "export"]
checks.negative_data_rejection.enabled = false
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a gateway that holds a few points."""
    points = [
        {"metric": "battery.voltage", "value": 12.4},
        {"metric": "robot.state", "value": "RUNNING", "class": "metric"},
        {"metric": "mode.changed", "value": {"from": "manual", "to": "auto"}},
    ]
    with Gateway(data_dir=tmp_path / "data", bootstrap_key=KEY) as gateway:
        with httpx.Client(base_url=gateway.url, headers={"x-api-key": KEY}, trust_env=False) as client:
            assert client.post("/ingest", json={"source_id": "drone-01", "points": points}).status_code == 200
        yield gateway.url


@pytest.mark.timeout(3_600)  # the long version takes its time
def test_schemathesis_finds_nothing(served: str, tmp_path: Path) -> None:
    folder = tmp_path / "schemathesis"
    folder.mkdir()
    (folder / "schemathesis.toml").write_text(CONFIG)
    options = ["--seed", SEED, "--max-examples", EXAMPLES, "--no-color"]
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{served}/openapi.json",
            "-H",
            f"x-api-key: {KEY}",
            *options,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=3_600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-2_000:]
