"""A gateway in memory with two sources, and the command line as a function."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import httpx
import pytest

from plexus.cli import main
from plexus.gateway import Gateway

PLEXUS = Path(sys.executable).with_name("plexus.exe" if sys.platform == "win32" else "plexus")
"""The command as a shell finds it."""


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


def in_terminal(*words: str) -> str:
    """What `plexus` with these words shows in a terminal of its own, which has UTF-8 and colours."""
    import pty  # there is none on Windows

    environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "COLUMNS": "120"}
    environment.pop("NO_COLOR", None)
    ours, its = pty.openpty()
    try:
        process = subprocess.Popen([PLEXUS, *words], stdin=its, stdout=its, stderr=its, env=environment)
        os.close(its)
        shown = bytearray()
        while piece := _read(ours):
            shown += piece
        process.wait(timeout=30)
    finally:
        os.close(ours)
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:
        # How Linux says that nobody has the other end open any more.
        return b""


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
