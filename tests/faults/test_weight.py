"""What a device has loaded, and how much memory it has, once it is connected and has delivered."""

from __future__ import annotations

import sys
from pathlib import Path

from plexus.gateway import Gateway
from tests.faults.programs import run
from tests.support.gateway import KEY, gateway
from tests.test_imports import A_DEVICE, HEAVY, LATE, loaded, of

__all__ = ["gateway"]

A_CONNECTED_DEVICE = """
from plexus import Plexus

px = Plexus(source_id="drone-01")
px.send("battery.voltage", 12.4)
assert px.flush(30.0)
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024)
px.close()
"""

MIB = 30.0
"""The figure to reach is 25 MiB with what a device installs (bench/weight.py); here `orjson` and `zstandard` are there
too, which weigh 2 MiB, and another Python may be a little larger. httpx, TLS or OpenSSL come with 4 to 10 each."""


def test_a_device_that_is_connected_and_sends_has_loaded_no_tls_no_http_client_and_no_camera(
    gateway: Gateway, tmp_path: Path
) -> None:
    use = 'px.send("battery.voltage", 12.4)\nassert px.flush(30.0)'
    code = A_DEVICE.format(settings="", use=use).replace('"plx_" + "k" * 40', repr(KEY))
    modules = loaded(code, tmp_path, int(gateway.url.rpartition(":")[2]))
    assert of(modules, LATE) == []
    assert of(modules, HEAVY) == []


if sys.platform == "linux":

    def test_a_device_that_is_connected_and_idle_is_small(gateway: Gateway) -> None:
        assert float(run(A_CONNECTED_DEVICE, gateway.ws_url)) < MIB
