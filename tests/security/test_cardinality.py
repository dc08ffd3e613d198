"""Names of metrics by the hundred thousand at a running gateway: a refusal each, and no memory for any of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus.gateway.core import Limits
from plexus.gateway.settings import Settings
from tests.security.target import Target
from tests.security.turns import longest_turn
from tests.support.gateway import http, running

NAMES = int(os.environ.get("CARDINALITY_NAMES", "400000"))
"""`make test-faults` has a million."""
A_MESSAGE = 20_000
ALLOWED = 1_000
MANY = 8_000
LIMITS = (f"limits.source_metrics={ALLOWED}", f"limits.org_series={2 * ALLOWED}", "limits.org_sources=2")
MOST_MIB = 12.0 + 12.0 * NAMES / 1_000_000
"""Names that are kept take twice as much, as text alone."""


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Target]:
    """A gateway process that gives out few names."""
    limited = Target(tmp_path, *LIMITS).start()
    yield limited
    limited.hang_up()
    limited.kill()


def test_names_without_end_are_refused_by_quota_and_take_no_memory(limited: Target) -> None:
    device = limited.device("rig-01")
    held: list[float] = []
    for seq, first in enumerate(range(0, NAMES, A_MESSAGE), 1):
        points = [_point(f"name.{number:07}") for number in range(first, first + A_MESSAGE)]
        if seq % 2:
            answer = limited.request("POST", "/ingest", json={"source_id": "rig-01", "points": points})
            taken = ALLOWED if seq == 1 else 0
            assert answer.status_code == (200 if taken else 400)
            assert answer.json().get("count", 0) == taken
            assert "one name too many" in answer.text
        else:
            device.send(json.dumps({"type": "telemetry", "seq": seq, "points": points}).encode())
            error = device.frame()
            assert (error["type"], error["code"], error["seq"]) == ("error", "SOURCE_LIMIT", seq)
        held.append(limited.memory)
    # What handling one such message takes is there after the first of each kind.
    assert held[-1] - max(held[:4]) < MOST_MIB
    assert len(limited.get("/v1/sources/rig-01/metrics")) == ALLOWED
    assert limited.request(
        "POST", "/ingest", json={"source_id": "rig-01", "points": [_point("name.0000000")]}
    ).is_success


def test_names_of_sources_and_of_all_series_have_an_end_too(limited: Target) -> None:
    for source_id in ("rig-01", "rig-02"):
        body = {"source_id": source_id, "points": [_point(f"m{number}") for number in range(ALLOWED)]}
        assert limited.request("POST", "/ingest", json=body).json()["count"] == ALLOWED
    points = [{**_point("m0"), "source_id": f"rig.{number}"} for number in range(ALLOWED)]
    answer = limited.request("POST", "/ingest", json={"points": points})
    assert (answer.status_code, "one source too many" in answer.text) == (400, True)
    assert len(limited.get("/v1/sources")["devices"]) == 2


def test_a_message_of_many_sources_keeps_others_no_longer_than_one_of_many_names() -> None:
    limits = Limits(org_sources=2, source_metrics=1)
    worked = []
    with running(settings=Settings(limits=limits)) as gateway, http(gateway) as client:
        for points in (
            [{**_point(f"m{number}"), "source_id": "rig-01"} for number in range(MANY)],
            [{**_point("m0"), "source_id": f"rig.{number}"} for number in range(MANY)],
        ):
            with longest_turn(gateway) as turn:
                assert client.post("/ingest", json={"points": points}).json()["count"] == 1
            worked.append(turn[0])
    names, sources = worked
    assert sources < 25 * names  # hundreds of times, if each source looked at every point


def _point(metric: str) -> dict[str, object]:
    return {"metric": metric, "value": 1}
