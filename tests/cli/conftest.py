"""A gateway in memory with two sources, and the command line as a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import attrs
import httpx
import pytest

from plexus.cli import main
from plexus.gateway import Gateway


@attrs.frozen
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    with Gateway() as running:
        monkeypatch.setenv("PLEXUS_URL", running.url)
        monkeypatch.setenv("PLEXUS_API_KEY", running.api_key)
        yield running


@pytest.fixture
def filled(gateway: Gateway) -> Gateway:
    now = time.time() * 1000
    put(gateway, {"metric": "battery.voltage", "value": 12.5, "timestamp": now - 2000})
    put(gateway, {"metric": "battery.voltage", "value": 12.25, "timestamp": now - 1000})
    put(gateway, {"metric": "robot.state", "value": "RUN\x1b[2J", "class": "metric", "timestamp": now - 1000})
    return gateway


def put(gateway: Gateway, *points: Mapping[str, object], source_id: str = "drone-01") -> None:
    """Store points."""
    body = {"source_id": source_id, "points": list(points)}
    httpx.post(f"{gateway.url}/ingest", json=body, headers={"x-api-key": gateway.api_key}).raise_for_status()


@pytest.fixture
def plexus(capsys: pytest.CaptureFixture[str]) -> Command:
    """`plexus("sources", "--json")` in this process."""

    def run(*words: str) -> Ended:
        try:
            code = main(words)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run
