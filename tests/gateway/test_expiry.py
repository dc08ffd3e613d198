"""Keys that end by themselves."""

from __future__ import annotations

import time

from plexus.gateway import Gateway
from tests.support.gateway import device, http, reader

LENGTH_MS = 1_500.0


def brief(gateway: Gateway, *scopes: str) -> str:
    """A key that is over soon."""
    text, _ = gateway.core.keyring.create("default", "brief", scopes, expires_ms=time.time() * 1e3 + LENGTH_MS)
    return text


def test_sockets_end_with_the_key_that_they_came_in_with(gateway: Gateway) -> None:
    key = brief(gateway, "read", "write")
    with device(gateway, key=key) as wire, reader(gateway, "/v1/sources/rig/metrics/stream", key=key) as live:
        assert wire.closed()[0] == 1008
        assert live.closed()[0] == 4401
    with http(gateway, key) as client:
        assert client.get("/v1/sources").status_code == 401


def test_a_key_that_lives_on_is_not_in_the_way_of_one_that_ends(gateway: Gateway) -> None:
    with device(gateway, "drone-02") as lasting, device(gateway, key=brief(gateway, "write")) as ending:
        assert ending.closed()[0] == 1008
        lasting.telemetry({"metric": "t", "value": 1}, seq=1)
        assert len(gateway.core.sockets) == 1
