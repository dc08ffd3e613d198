"""A real gateway that does not let the device in: the program hears why, once, and waits for nothing."""

from __future__ import annotations

import contextlib

import pytest

from plexus import Plexus
from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.status.memory import MemoryStatus
from plexus.cli.demo import _settled_name
from plexus.domain.errors import AuthenticationError, PlexusError
from plexus.gateway.core import Limits
from plexus.gateway.settings import Settings
from tests.gateway.test_ingest import post
from tests.support.gateway import KEY, running

PATIENCE_S = 100.0
"""More than any of it may take: what waits for it to pass says so by its answer or by the test's time-out."""


def test_one_source_too_many_is_told_to_the_program_as_that_and_a_flush_ends() -> None:
    errors: list[PlexusError] = []
    sink = MemoryStatus()
    with running(settings=Settings(limits=Limits(org_sources=1))) as full:
        post(full, {"source_id": "drone-01", "points": [{"metric": "m", "value": 1}]})
        with Plexus(
            api_key=KEY,
            source_id="drone-02",
            ws_url=full.url,
            buffer=MemoryBuffer(100),
            status=sink,
            on_error=errors.append,
        ) as px:
            with contextlib.suppress(AuthenticationError):
                px.send("m", 1)
            for _ in range(2):
                assert not px.flush(PATIENCE_S)
            assert not px.stats().dropped
    (told,) = [str(error) for error in errors if isinstance(error, AuthenticationError)]
    assert "takes no more sources (the source drone-02 would be one source too many" in told
    assert "delete one, or raise the limit org_sources" in told
    refusals = [line for line in sink.lines if line.startswith("✗")]
    assert len(refusals) == 1
    assert "API key" not in refusals[0]


def test_the_demo_does_not_wait_for_a_gateway_that_refuses_its_device() -> None:
    errors: list[PlexusError] = []
    with (
        running() as gateway,
        Plexus(
            api_key="plx_nobody_knows",
            source_id="drone-01",
            ws_url=gateway.url,
            buffer=MemoryBuffer(100),
            status=MemoryStatus(),
            on_error=errors.append,
        ) as px,
        pytest.raises(AuthenticationError, match="invalid API key"),
    ):
        _settled_name(px, errors)
