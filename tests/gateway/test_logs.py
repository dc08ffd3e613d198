"""What the gateway's log looks like, and that no key is ever in it."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from plexus.gateway import logs
from plexus.gateway.settings import Log
from tests.gateway.test_ingest import point
from tests.support.gateway import PATIENCE_S, Wire, device, http, running

CANARY = "plx_canary-0123456789abcdefghijklmnopqrstuvwxyz"


def lines(form: Log, *records: tuple[int, str]) -> list[str]:
    out = io.StringIO()
    with logs.written(form, out):
        for level, text in records:
            logging.getLogger("plexus.gateway").log(level, text)
    return out.getvalue().splitlines()


def test_json_has_a_line_an_entry_with_time_level_and_message() -> None:
    (line,) = lines(Log("json"), (logging.WARNING, 'with "quotes"\nand a line'))
    entry = json.loads(line)
    assert entry["time"].endswith("Z")
    assert (entry["level"], entry["logger"], entry["message"]) == (
        "warning",
        "plexus.gateway",
        'with "quotes"\nand a line',
    )


def test_what_is_below_the_level_is_left_out() -> None:
    assert len(lines(Log("text", "warning"), (logging.INFO, "a"), (logging.WARNING, "b"))) == 1
    assert len(lines(Log("text", "debug"), (logging.DEBUG, "a"))) == 1


def test_other_libraries_details_stay_out_at_every_level() -> None:
    out = io.StringIO()
    with logs.written(Log("text", "debug"), out):
        logging.getLogger("websockets.server").debug("< x-api-key: %s", CANARY)
    assert out.getvalue() == ""


def test_afterwards_the_log_is_as_it_was() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("plexus").level)
    lines(Log("json", "debug"))
    assert (root.level, list(root.handlers), logging.getLogger("plexus").level) == before


def test_a_request_that_fails_is_logged_with_its_id_and_its_organisation(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    with logs.written(Log("json"), out), running() as gateway, http(gateway) as client:

        def broken(*_arguments: Any) -> Any:
            raise RuntimeError("broken")

        monkeypatch.setattr(gateway.core.store, "sources", broken)
        answer = client.get("/v1/sources")
    assert answer.status_code == 500
    entries = [json.loads(line) for line in out.getvalue().splitlines()]
    (failed,) = [entry for entry in entries if "RuntimeError" in entry["message"]]
    assert failed["request"] == answer.headers["x-request-id"]
    assert failed["org"] == "default"
    assert "broken" in failed["exc_info"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_key_that_comes_near_the_log_is_masked(form: Any) -> None:
    out = io.StringIO()
    with logs.written(Log(form), out):
        try:
            int(CANARY)
        except ValueError:
            logging.getLogger("plexus.gateway").exception("with %s, and", CANARY)
    assert CANARY not in out.getvalue()
    assert out.getvalue().count("plx_***") >= 2


def test_no_key_is_in_any_repr_of_the_gateway() -> None:
    with running(bootstrap_key=CANARY) as gateway, device(gateway, key=CANARY):
        core = gateway.core
        for thing in (gateway, core, core.keyring, core.keyring.list(), core.sockets, core.settings, core.devices):
            assert CANARY not in repr(thing)
            assert CANARY not in str(thing)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_whole_life_with_debug_logs_shows_no_key(form: str, tmp_path: Path) -> None:
    """Start, good and bad requests and sockets, a key in every wrong place, SIGHUP and the end."""
    environment = {**os.environ, "PLEXUS_BOOTSTRAP_KEY": CANARY}
    words = [sys.executable, "-c", "import plexus.cli as c; raise SystemExit(c.main())", "serve", "--port", "0"]
    words += ["--data", str(tmp_path / "data"), "--log-format", form, "--log-level", "debug"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        url = second.strip().removeprefix("export PLEXUS_URL=")
        _live(url)
        arguments = Path(f"/proc/{process.pid}/cmdline")
        shown = arguments.read_text() if arguments.exists() else ""
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "rig-01" in err
    if form == "json":
        entries = [json.loads(line) for line in err.splitlines()]
        assert next(entry["org"] for entry in entries if entry.get("source") == "rig-01") == "default"
    for text in (first, second, shown, out, err):
        assert CANARY not in text
        assert "canary" not in text


def _live(url: str) -> None:
    headers = {"x-api-key": CANARY}
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
        body = {"source_id": "rig-01", "points": [point(1)]}
        assert client.post("/ingest", json=body, headers=headers).status_code == 200
        client.post("/ingest", content=b"{", headers=headers)
        client.get("/v1/sources/" + CANARY, headers=headers)
        client.get("/v1/sources", params={"key": CANARY}, headers=headers)
        client.get("/v1/sources", headers={"x-api-key": CANARY + "x"})
        client.get("/v1/sources", headers={**headers, "host": CANARY})
    with connect(url.replace("http", "ws") + "/ws/device", proxy=None) as connection:
        wire = Wire(connection)
        wire.say(type="device_auth", api_key=CANARY, source_id="rig-01")
        wire.hear()
        wire.telemetry(point(1))
    with connect(url.replace("http", "ws") + "/ws/device", proxy=None) as connection:
        connection.send('{"type":"device_auth","api_key":"' + CANARY + '","source_id":["' + CANARY + '"]}')
        Wire(connection).closed()
