"""The gateway goes away under `plexus demo` and comes back: not one reading is missing, and none is there twice.

`make test-outage` keeps it away for a minute; `make test` until the device says that it keeps readings.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.served import PLEXUS, Served
from tests.support.waiting import eventually

AWAY_S = float(os.environ.get("OUTAGE_S", "0"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    gateway = Served(tmp_path).start()
    yield gateway
    gateway.kill()


class Demo:
    """The demo against a gateway of its own making, its output in files."""

    def __init__(self, served: Served, folder: Path) -> None:
        self._said = folder / "demo.err"
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("PLEXUS_")}
        variables = {"PLEXUS_HOME": str(folder / "home"), "PLEXUS_URL": served.url, "PLEXUS_API_KEY": served.key}
        with (folder / "demo.out").open("wb") as out, self._said.open("wb") as err:
            self._process = subprocess.Popen(
                [PLEXUS, "demo", "--no-gateway", "--json"], stdout=out, stderr=err, env={**foreign, **variables}
            )

    def said(self) -> str:
        return self._said.read_text(errors="replace")

    def end(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=60)

    def destroy(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.mark.timeout(120 + 2 * AWAY_S)
def test_a_gateway_that_was_away_has_every_reading_once(served: Served, tmp_path: Path) -> None:
    demo = Demo(served, tmp_path)
    try:
        eventually(lambda: served.get("/v1/sources")["devices"], 30.0, "the source")
        source_id = served.get("/v1/sources")["devices"][0]["source_id"]
        eventually(lambda: len(served.values(source_id, "demo.sample")) >= 3, 30.0, "the first readings")
        served.stop()
        back = time.monotonic() + AWAY_S
        eventually(lambda: "uffering" in demo.said(), 30.0, "the device's word that it keeps readings")
        eventually(lambda: time.monotonic() >= back, AWAY_S + 10.0)
        during = len(served.start().values(source_id, "demo.sample"))
        eventually(lambda: len(served.values(source_id, "demo.sample")) >= during + 3, 60.0, "readings after it")
        assert demo.end() == 0
        sent = int(re.search(r"sent (\d+) readings", demo.said()).group(1))  # type: ignore[union-attr]
        assert "wait on this machine" not in demo.said()
        _all_are_there_once(served, source_id, sent)
    finally:
        demo.destroy()


def _all_are_there_once(served: Served, source_id: str, sent: int) -> None:
    answer = served.get(f"/v1/sources/{source_id}/metrics/query", last="1h", interval="raw")
    assert answer["truncated"] is False
    values = {metric: series["value"] for metric, series in answer["series"].items()}
    looks = values["demo.sample"]
    assert looks == list(range(1, len(looks) + 1))
    assert sum(len(series) for series in values.values()) == sent
