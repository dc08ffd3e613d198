"""The released clients, as users have them, against our gateway: what they sent is read back through REST."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from tests.peers.released import Released, install
from tests.support.served import Served
from tests.support.waiting import eventually

pytestmark = pytest.mark.peers

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ["0.5.2", "0.9.1", "0.12.1", "0.16.0"]
COUNT = 200

each_version = pytest.mark.parametrize("version", VERSIONS)


@attrs.frozen
class Pair:
    """A gateway, and a released client of it that is online."""

    served: Served
    peer: Released


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    """One pair for every version; they are begun side by side, since most of that is waiting."""
    gateways = {version: Served(tmp_path_factory.mktemp(f"served-{version}")) for version in VERSIONS}
    peers: list[Released] = []

    def begin(version: str) -> Pair:
        served = gateways[version].start()
        peers.append(client := _client(version, served))
        # A released client's first readings go over HTTP until its socket is up; commands and runs need the socket.
        client.do("send", metric="warm.up", first=0, count=1, base=time.time() - 60)
        _arrived(served, "warm.up", [0])
        eventually(lambda: served.get("/v1/sources/rig-01")["online"], 20.0, "the source online")
        return Pair(served, client)

    try:
        with ThreadPoolExecutor(len(VERSIONS)) as pool:
            begun = dict(zip(VERSIONS, pool.map(begin, VERSIONS), strict=True))
        yield begun
    finally:
        for peer in peers:
            peer.end()
        for gateway in gateways.values():
            gateway.kill()


@pytest.fixture
def served(pairs: dict[str, Pair], version: str) -> Served:
    return pairs[version].served


@pytest.fixture
def peer(pairs: dict[str, Pair], version: str) -> Released:
    return pairs[version].peer


def _client(version: str, served: Served) -> Released:
    python = install(version, ROOT / ".cache" / "peers")
    home = served.folder / "peer-home"
    home.mkdir()
    return Released(python, home, served.url, {"api_key": served.key, "source_id": "rig-01"})


def _arrived(served: Served, metric: str, expected: list[object]) -> None:
    eventually(
        lambda: served.values("rig-01", metric) == expected,
        40.0,
        f"{len(expected)} values of {metric}; there are {len(served.values('rig-01', metric))}",
    )


@each_version
def test_what_a_released_client_sends_is_read_back(served: Served, peer: Released) -> None:
    base = time.time() - 60
    peer.do("send", metric="motor.rpm", first=0, count=COUNT, base=base)
    _arrived(served, "motor.rpm", list(range(COUNT)))


@each_version
def test_a_batch_of_a_released_client_is_read_back(served: Served, peer: Released) -> None:
    peer.do("batch", points=[["battery.voltage", 12.4], ["battery.current", 3]], timestamp=time.time() - 60)
    _arrived(served, "battery.voltage", [12.4])
    _arrived(served, "battery.current", [3])


@each_version
def test_an_event_of_a_released_client_is_read_back(served: Served, peer: Released) -> None:
    peer.do("event", name="mode.changed", data={"to": "auto"}, timestamp=time.time() - 60)

    def stored() -> list[tuple[object, object]]:
        found = served.get("/v1/sources/rig-01/events", last="1h") or []
        metrics = served.get("/v1/sources/rig-01/metrics/query", last="1h", metrics="mode.changed") or {"series": {}}
        # 0.5.2 sends every value as a metric, whatever its type; 0.9.0 and later send an event.
        values = metrics["series"].get("mode.changed", {}).get("value", [])
        return [(item["metric"], item["value"]) for item in found] + [("mode.changed", value) for value in values]

    eventually(lambda: stored() == [("mode.changed", {"to": "auto"})], 40.0, "the event")


@each_version
def test_a_run_of_a_released_client_is_kept_with_its_points(served: Served, peer: Released, version: str) -> None:
    if version == "0.9.1":
        assert not peer.do("has", name="run")  # between 0.9.0 and 0.11.0 there were none
        return
    peer.do("run", name="thermal-cycle", timestamp=time.time() - 30)
    _arrived(served, "run.metric", [1.5])

    def closed() -> list[tuple[str, str]]:
        runs = served.get("/api/runs", source_id="rig-01")["runs"]
        return [(run["name"], run["status"]) for run in runs]

    eventually(lambda: closed() == [("thermal-cycle", "completed")], 40.0, "the closed run")


@each_version
def test_a_command_reaches_a_released_client(served: Served, peer: Released) -> None:
    answer = served.post("/v1/sources/rig-01/commands", {"command": "say", "params": {"text": "hello"}})
    assert answer["queued"] is True
    assert peer.do("told", timeout=20) == [{"name": "say", "params": {"text": "hello"}}]


@pytest.fixture(scope="module")
def restarts(pairs: dict[str, Pair]) -> Iterator[dict[str, Future[None]]]:
    """The restart of each gateway, all under way at once: a client waits for seconds before it dials again."""
    with ThreadPoolExecutor(len(VERSIONS)) as pool:
        yield {version: pool.submit(_restart, pair.served, pair.peer, version) for version, pair in pairs.items()}


@each_version
def test_a_restart_of_the_gateway_loses_nothing_of_a_released_client(
    restarts: dict[str, Future[None]], version: str
) -> None:
    restarts[version].result()


def _restart(served: Served, peer: Released, version: str) -> None:
    base = time.time() - 60
    peer.do("send", metric="motor.angle", first=0, count=COUNT, base=base)
    _arrived(served, "motor.angle", list(range(COUNT)))
    served.stop()
    eventually(lambda: "Connection refused" in peer.said(), 20.0, "the client's notice of the end")
    # 0.5.2 pauses here: what it writes into a dying socket is lost by its own design. 0.16.0 sends through it; each
    # of its calls tries for seconds, keeps the point and raises.
    during = 0 if version == "0.5.2" else 1
    assert peer.do("send", metric="motor.angle", first=COUNT, count=during, base=base) == during
    served.start()
    eventually(lambda: "Reconnected" in peer.said(), 40.0, "the client's return")
    assert peer.do("send", metric="motor.angle", first=COUNT + during, count=COUNT, base=base) == 0
    peer.do("flush")
    # At least once is what 0.16.0 promises, so a repeat is no fault here; a hole is.
    expected = list(range(2 * COUNT + during))
    eventually(
        lambda: sorted(set(served.values("rig-01", "motor.angle"))) == expected,
        60.0,
        f"{len(expected)} values; there are {len(set(served.values('rig-01', 'motor.angle')))}",
    )
