"""A backup of a running gateway and the way back, through the command line: the same answers afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.support.served import Served
from tests.support.waiting import eventually

QUESTIONS: Sequence[tuple[str, dict[str, str]]] = (
    ("/v1/sources", {}),
    ("/v1/sources/rig-01/metrics", {}),
    ("/v1/sources/rig-01/metrics/latest", {}),
    ("/v1/sources/rig-01/metrics/query", {"metrics": "a", "last": "1d", "interval": "raw"}),
    ("/v1/sources/rig-01/metrics/query", {"metrics": "a", "last": "1d", "interval": "1h"}),
    ("/v1/sources/rig-01/events", {"last": "1d"}),
)


def answers(served: Served) -> list[Any]:
    """The answer to each question, without who is online and when last seen: what one gateway heard."""
    found = [served.get(path, **query) for path, query in QUESTIONS]
    assert all(found)
    for source in found[0]["devices"]:
        source.pop("online")
        source.pop("last_seen_ms")
    return found


def put(served: Served, *values: float) -> None:
    points = [{"metric": "a", "value": value, "source_id": "rig-01"} for value in values]
    served.post(
        "/ingest", {"points": [*points, {"metric": "e", "value": {"n": 1}, "class": "event", "source_id": "rig-01"}]}
    )


def test_a_restored_gateway_answers_as_the_one_that_was_backed_up(
    plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Served(tmp_path / "first", "sealing.points=20")
    (tmp_path / "first").mkdir()
    first.start()
    try:
        put(first, *range(50))
        eventually(lambda: list((tmp_path / "first").rglob("*.parquet")), what="a sealed file")
        put(first, 50)  # and one that is in no file yet
        before = answers(first)
        monkeypatch.setenv("PLEXUS_URL", first.url)
        monkeypatch.setenv("PLEXUS_API_KEY", first.key)
        assert plexus("gateway", "backup", str(tmp_path / "b.tar.zst"), "--zstd").code == 0
        put(first, 51)  # after the backup: not in it
    finally:
        first.stop()
    second = Served(tmp_path / "second")
    data = tmp_path / "second" / "data"
    assert plexus("gateway", "restore", str(tmp_path / "b.tar.zst"), "--data", str(data)).code == 0
    assert list(data.rglob("*.parquet"))
    second.key = first.key
    second.start()
    try:
        assert answers(second) == before
    finally:
        second.stop()
    assert plexus("gateway", "check", "--data", str(data)).code == 0
