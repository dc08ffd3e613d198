"""A network and a gateway at their worst, over real sockets: silent, slow, cut, back all at once, talking nonsense."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus import Plexus, RetryConfig
from plexus.gateway import Gateway
from tests.faults.devices import Device, judge
from tests.faults.programs import once, stored
from tests.faults.proxy import Proxy
from tests.support.gateway import KEY, gateway
from tests.support.scripted import Gateway052
from tests.support.served import Served
from tests.support.waiting import eventually

__all__ = ["gateway"]

STORM = int(os.environ.get("FAULT_STORM", "4"))
SEQUENCES = int(os.environ.get("FAULT_SEQUENCES", "2"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
PORTAL = b"<html><body>Welcome to our hotel. Please accept the terms.</body></html>"


@pytest.fixture
def network(gateway: Gateway) -> Iterator[Proxy]:
    """What lies between the device and the gateway."""
    with Proxy(int(gateway.url.rpartition(":")[2])) as made:
        yield made


@pytest.fixture
def px(network: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plexus]:
    monkeypatch.setenv("PLEXUS_QUIET", "1")
    with Plexus(api_key=KEY, source_id="drone-01", ws_url=network.ws_url, max_buffer_size=100_000) as made:
        yield made


def send(px: Plexus, values: range) -> float:
    """Send them; the longest that one `send` took, seconds."""
    longest = 0.0
    for value in values:
        began = time.perf_counter()
        px.send("m", value)
        longest = max(longest, time.perf_counter() - began)
    return longest


def test_a_link_that_goes_silent_and_is_cut_loses_nothing_and_stores_nothing_twice(
    gateway: Gateway, network: Proxy, px: Plexus
) -> None:
    send(px, range(100))
    assert px.flush(20.0)
    network.be("silent")
    send(px, range(100, 300))
    assert px.flush(20.0, durable=True)
    network.be("down")
    send(px, range(300, 400))
    network.be("open")
    assert px.flush(30.0)
    assert stored(gateway) == {"m": once(*range(400))}


def test_a_link_that_is_silent_for_a_while_goes_on(gateway: Gateway, network: Proxy, px: Plexus) -> None:
    send(px, range(10))
    assert px.flush(20.0)
    network.be("silent")
    send(px, range(10, 200))
    assert px.flush(20.0, durable=True)
    network.be("open")
    assert px.flush(20.0)
    assert network.taken == 1
    assert stored(gateway) == {"m": once(*range(200))}


def test_send_does_not_feel_a_network_that_swallows_everything(network: Proxy, px: Plexus) -> None:
    px.send("m", 0)
    assert px.flush(20.0)
    network.be("silent")
    # Far from what it takes (half a microsecond), and far below anything that waits for a network.
    assert send(px, range(1, 20_000)) < 0.5
    px.close(0.0)
    assert px.stats().dropped == {}


def test_a_network_that_takes_a_trickle_gets_it_all_in_the_end(gateway: Gateway, network: Proxy, px: Plexus) -> None:
    network.slow_down(bytes_a_second=40_000)
    # What no codec packs: 64 kB of it.
    values = [random.Random(number).randbytes(16).hex() for number in range(2_000)]
    for value in values:
        px.send("m", value)
    assert not px.flush(0.5)
    assert px.flush(60.0)
    assert stored(gateway) == {"m": once(*values)}


# --- many at once -------------------------------------------------------------------------------------------


@pytest.mark.timeout(120 + 10 * STORM)
def test_devices_that_all_come_back_at_once_are_all_heard(tmp_path: Path) -> None:
    served = Served(tmp_path / "gateway")
    served.folder.mkdir()
    served.start()
    url = f"ws://127.0.0.1:{served.port}"
    devices = [Device(tmp_path / f"home{number}", f"drone-{number}", served.key, url) for number in range(STORM)]
    try:
        for device in devices:
            device.start(rate=50)
        served.kill()
        served.start()
        for device in devices:
            device.finish()
        verdict = judge(served, devices)
    finally:
        for device in devices:
            device.stop()
        served.kill()
    verdict.say(f"{STORM} devices")
    verdict.check(f"again: FAULT_STORM={STORM} python -m pytest {Path(__file__).name}")


# --- a gateway that talks nonsense --------------------------------------------------------------------------

_WRONG = [
    (429, b'{"error":"too many"}', {}),
    (429, b"", {"Retry-After": "0"}),
    (500, b"", {}),
    (502, PORTAL, {}),
    (503, b'{"error":"busy"}', {"Retry-After": "not a number"}),
    (504, b"\x00\xff\xfe", {}),
    (408, b"", {}),
    (200, PORTAL, {}),
    (200, b"", {}),
    (200, b"[]", {}),
    (200, b'{"success":true}garbage', {}),
    (200, b'{"success":false}', {}),
    (302, b"", {"Location": "http://127.0.0.1:9/elsewhere"}),
    (400, PORTAL, {}),
    (404, PORTAL, {}),
    (418, b"{}", {}),
]


@pytest.mark.parametrize("seed", range(SEED, SEED + SEQUENCES))
def test_no_sequence_of_wrong_answers_loses_a_point_or_stores_one_twice(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    with Gateway052() as scripted:
        for name, value in scripted.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PLEXUS_QUIET", "1")
        told = [dice.choice(_WRONG) for _ in range(12)]
        for status, body, headers in told:
            scripted.answer_next(status, body, headers)
        retry = RetryConfig(base_delay=0.02, max_delay=0.05)
        with Plexus(source_id="drone-01", transport="http", retry_config=retry) as px:
            send(px, range(50))
            whole = px.flush(60.0)
            stats = px.stats()
        assert (whole, stats.dropped) == (True, {}), (told, stats)
        assert sorted(scripted.values("m")) == list(range(50)), f"again: FAULT_SEED={seed}; {json.dumps(repr(told))}"
        eventually(lambda: scripted.violations == [])
