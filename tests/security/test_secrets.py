"""A canary key through everything that goes wrong: it is found in no answer, no log line and no process list."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

from plexus.gateway import Gateway, logs
from plexus.gateway.settings import Log
from plexus.ports.keyring import KeyInfo
from tests.security.target import RawSocket, Target
from tests.support import plain

MARK = "canaryZ"
CANARY = f"plx_{MARK}" + "Z" * 35


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger of the process at its most talkative."""
    with caplog.at_level(logging.DEBUG):
        names = ["plexus.gateway", "uvicorn", "uvicorn.error", "websockets", "litestar", "asyncio"]
        before = {name: logging.getLogger(name).level for name in names}
        for name in before:
            logging.getLogger(name).setLevel(logging.DEBUG)
        # The client's own logs are the client's: only what the gateway says is looked at.
        for name in ("httpcore", "httpx"):
            before[name] = logging.getLogger(name).level
            logging.getLogger(name).setLevel(logging.WARNING)
        yield caplog
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def test_no_answer_and_no_log_line_holds_a_key(
    tmp_path: Path, everything_logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before anything masks it: a program that runs a gateway has handlers of its own."""
    with Gateway(tmp_path / "data", bootstrap_key=CANARY) as gateway:
        answers = [*_asked(gateway, PATHS), *_connected(gateway), repr(gateway), repr(gateway.core)]
    said = capfd.readouterr()
    logged = [f"{record.getMessage()} {record.exc_text or ''} {record.args!r}" for record in everything_logged.records]
    assert [line for line in logged if "rig-01" in line], "nothing was logged"
    for text in [*answers, *logged, said.out, said.err]:
        assert MARK not in text, text[:400]


def test_no_traceback_of_a_request_that_fails_holds_its_key(
    tmp_path: Path, everything_logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gateway(tmp_path / "data", bootstrap_key=CANARY) as gateway:
        _break_keys(gateway, monkeypatch, "the keyring is broken")
        answers = [*_asked(gateway, PATHS), *_connected(gateway)]
    failed = [record.exc_text for record in everything_logged.records if record.exc_text]
    assert len(failed) >= len(PATHS) + len(FRAMES) - NOT_ASKED
    assert all("the keyring is broken" in text for text in failed)
    for text in [*answers, *failed, *(record.getMessage() for record in everything_logged.records)]:
        assert MARK not in text, text[:400]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_the_gateway_writes_has_no_key_from_an_address_or_an_exception_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Literal["text", "json"]
) -> None:
    out = io.StringIO()
    with logs.written(Log(form, "debug"), out), Gateway(tmp_path / "data", bootstrap_key=CANARY) as gateway:
        answers = _asked(gateway, [*PATHS, *ADDRESSES])
        _break_keys(gateway, monkeypatch, f"no such key: {CANARY}")
        answers += [*_asked(gateway, [*PATHS, *ADDRESSES]), *_connected(gateway)]
    assert out.getvalue().count("Traceback") >= len(PATHS) + len(FRAMES) - NOT_ASKED
    assert "/v1/sources/plx_***" in out.getvalue()
    assert MARK not in out.getvalue()
    assert not [text for text in answers if MARK in text and "/v1/sources" not in text]


Asked: TypeAlias = tuple[str, str, bytes | None]

PATHS: list[Asked] = [
    ("GET", "/v1/sources?status=" + "x" * 10, None),
    ("GET", "/v1/sources/rig-01", None),
    ("POST", "/ingest", b"{"),
    ("POST", "/ingest", json.dumps({"points": [{"metric": 1, "value": 1}]}).encode()),
    ("POST", "/api/runs", b"{"),
    ("DELETE", "/ingest", None),
    ("GET", "/nowhere", None),
]
ADDRESSES: list[Asked] = [
    ("GET", f"/v1/sources/{CANARY}", None),
    ("GET", f"/v1/sources?api_key={CANARY}", None),
    ("DELETE", f"/v1/sources/{CANARY}", None),
]
"""The key where its owner should not have put it."""
STREAM = "/v1/sources/rig-01/metrics/stream"
FRAMES: list[tuple[str, dict[str, Any]]] = [
    ("/ws/device", {"type": "device_auth", "api_key": CANARY, "source_id": "NOT VALID"}),
    ("/ws/device", {"type": "device_auth", "api_key": CANARY, "source_id": "rig-01"}),
    ("/ws/device", {"type": "device_auth", "api_key": CANARY + "x", "source_id": "rig-01"}),
    ("/ws/device", {"type": "device_auth", "api_key": [CANARY], "source_id": "rig-01"}),
    (STREAM, {"type": "auth", "api_key": CANARY + "x"}),
    (STREAM, {"type": "auth", "api_key": {"key": CANARY}}),
]
NOT_ASKED = 4
"""Of PATHS and FRAMES: a method and three frames that are refused before anybody looks for their key."""


def _break_keys(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    def find(*_arguments: object) -> KeyInfo | None:
        raise RuntimeError(told)

    monkeypatch.setattr(type(gateway.core.keyring), "find", find)


def _asked(gateway: Gateway, asked: Sequence[Asked]) -> list[str]:
    """What is answered to requests with the key, and to one with a key that is almost it."""
    answers = []
    for method, path, body in [*asked, ("GET", "/v1/sources", None)]:
        key = CANARY if (method, path, body) in asked else CANARY[:-1]
        answer = plain.request(method, gateway.url + path, headers={"x-api-key": key}, content=body)
        answers.append(f"{answer.text} {answer.headers}")
    return answers


def _connected(gateway: Gateway) -> list[str]:
    """What sockets hear that show the key."""
    heard = []
    for path, frame in FRAMES:
        raw = RawSocket(gateway.port)
        raw.upgrade(path, {})
        raw.send(json.dumps(frame).encode())
        with contextlib.suppress(ConnectionError):
            heard.append(repr(raw.message()))
        raw.close()
    return heard


def test_the_process_list_shows_no_key_and_the_data_directory_holds_none(target: Target) -> None:
    assert target.key.encode() not in Path(f"/proc/{target.pid}/cmdline").read_bytes()
    target.request("GET", "/v1/sources")
    for file in (target.folder / "data").rglob("*"):
        if file.is_file():
            assert target.key.encode() not in file.read_bytes(), file
    assert target.key not in target.said()
