"""A canary key through everything that goes wrong: it is found in no answer, no log line and no process list."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus.gateway import Gateway
from tests.security.target import RawSocket, Target
from tests.support import plain

CANARY = "plx_canary" + "Z" * 36


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger of the process at its most talkative."""
    with caplog.at_level(logging.DEBUG):
        names = ["plexus.gateway", "uvicorn", "uvicorn.error", "websockets", "litestar", "httpcore", "asyncio"]
        before = {name: logging.getLogger(name).level for name in names if name != "httpcore"}
        for name in before:
            logging.getLogger(name).setLevel(logging.DEBUG)
        yield caplog
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def test_no_answer_and_no_log_line_holds_a_key(
    tmp_path: Path, everything_logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    answers: list[str] = []
    with Gateway(tmp_path / "data", bootstrap_key=CANARY) as gateway:
        # The client's own logs are the client's: only what the gateway says is looked at.
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        headers = {"x-api-key": CANARY}
        for method, path, body in [
            ("GET", f"/v1/sources/{CANARY}", None),
            ("GET", "/v1/sources?status=" + "x" * 10, None),
            ("POST", "/ingest", b"{"),
            ("POST", "/ingest", json.dumps({"points": [{"metric": 1, "value": 1}]}).encode()),
            ("POST", "/api/runs", b"{"),
            ("DELETE", "/ingest", None),
            ("GET", "/nowhere", None),
        ]:
            answer = plain.request(method, gateway.url + path, headers=headers, content=body)
            if CANARY not in path:
                answers.append(answer.text + str(answer.headers))
        answers.append(plain.request("GET", gateway.url + "/v1/sources", headers={"x-api-key": CANARY[:-1]}).text)
        for path, frame in [
            ("/ws/device", {"type": "device_auth", "api_key": CANARY, "source_id": "NOT VALID"}),
            ("/ws/device", {"type": "device_auth", "api_key": CANARY, "source_id": "rig-01"}),
            ("/ws/device", {"type": "device_auth", "api_key": CANARY + "x", "source_id": "rig-01"}),
            ("/ws/device", {"type": "device_auth", "api_key": [CANARY], "source_id": "rig-01"}),
            ("/v1/sources/rig-01/metrics/stream", {"type": "auth", "api_key": CANARY + "x"}),
            ("/v1/sources/rig-01/metrics/stream", {"type": "auth", "api_key": {"key": CANARY}}),
        ]:
            raw = RawSocket(gateway.port)
            raw.upgrade(path, {})
            raw.send(json.dumps(frame).encode())
            with contextlib.suppress(ConnectionError):
                answers.append(repr(raw.message()))
            raw.close()
        answers.append(repr(gateway))
        answers.append(repr(gateway.core))
    said = capfd.readouterr()
    logged = [f"{record.getMessage()} {record.exc_text or ''} {record.args!r}" for record in everything_logged.records]
    own = [line for line in logged if f"/v1/sources/{CANARY}" not in line]
    for text in [*answers, *own, said.out, said.err]:
        assert "canaryZ" not in text, text[:400]


def test_the_process_list_shows_no_key_and_the_data_directory_holds_none(target: Target) -> None:
    assert target.key.encode() not in Path(f"/proc/{target.pid}/cmdline").read_bytes()
    target.request("GET", "/v1/sources")
    for file in (target.folder / "data").rglob("*"):
        if file.is_file():
            assert target.key.encode() not in file.read_bytes(), file
    assert target.key not in target.said()
