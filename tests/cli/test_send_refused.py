"""`plexus send` to a gateway that says no: at once, with the reason, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from plexus.gateway import Gateway
from plexus.gateway.core import Limits
from plexus.gateway.settings import Settings
from tests.cli.conftest import Command
from tests.gateway.test_ingest import post
from tests.support.gateway import KEY, running

LONG = ("--timeout", "600")
"""Longer than a test may take: a command that waits for it fails the test."""


def test_a_rejected_key_ends_the_waiting_at_once_and_the_reading_stays(
    plexus: Command, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXUS_API_KEY", "plx_nobody_knows")
    ended = plexus("send", "m", "1", "--source", "drone-01", *LONG)
    assert ended.code == 1
    assert ended.err.count("API key rejected (invalid API key)") == 1
    assert "is kept on this machine" in ended.err
    assert "within 600 s" not in ended.err
    monkeypatch.setenv("PLEXUS_API_KEY", gateway.api_key)
    assert plexus("send", "m", "2", "--source", "drone-01").code == 0
    rows = plexus("query", "drone-01", "m", "--last", "5m").out.splitlines()[1:]
    assert [row.split()[-1] for row in rows] == ["1", "2"]


def test_one_source_too_many_is_said_as_that_and_not_as_a_rejected_key(
    plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(data_dir=tmp_path / "data", settings=Settings(limits=Limits(org_sources=1))) as full:
        monkeypatch.setenv("PLEXUS_URL", full.url)
        monkeypatch.setenv("PLEXUS_API_KEY", KEY)
        post(full, {"source_id": "drone-01", "points": [{"metric": "m", "value": 1}]})
        ended = plexus("send", "m", "1", "--source", "drone-02", *LONG)
    assert ended.code == 1
    assert "API key" not in ended.err
    assert ended.err.count("would be one source too many: the organisation has 1") == 1
    assert "delete one, or raise the limit org_sources" in ended.err
    assert "is kept on this machine" in ended.err
    assert "within 600 s" not in ended.err
