"""What the gateway shows of itself, and where it goes by itself: as little as can be, and nowhere."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.security.target import Target

FOREIGN = [
    "/docs",
    "/schema",
    "/swagger",
    "/redoc",
    "/debug",
    "/admin",
    "/.env",
    "/.git/config",
    "/v0/sources",
    "/v2/sources",
]
CLIENTS = ["httpx", "requests", "aiohttp", "urllib3", "websocket", "websockets.sync.client"]


@pytest.mark.parametrize("path", ["/healthz", "/v1/sources", "/openapi.json", "/nowhere"])
def test_an_answer_says_what_it_is_and_not_what_made_it(target: Target, path: str) -> None:
    answer = target.request("GET", path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(answer.headers)


@pytest.mark.parametrize("path", FOREIGN)
def test_nothing_answers_that_is_not_in_the_document(target: Target, path: str) -> None:
    answer = target.request("GET", path)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "BREW"])
def test_a_method_that_nobody_needs_is_refused_and_echoes_nothing(target: Target, method: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", target.port), timeout=30)) as raw:
        lines = f"{method} /v1/sources HTTP/1.1\r\nhost: 127.0.0.1\r\nx-canary: canary\r\nconnection: close\r\n"
        raw.sendall(f"{lines}x-api-key: {target.key}\r\n\r\n".encode())
        told = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert told.split()[1] in (b"400", b"404", b"405", b"501")
    assert b"canary" not in told


def test_an_error_shows_no_file_no_line_and_no_type_of_the_inside(target: Target) -> None:
    for path in ("/v1/sources/rig-01/metrics/query?last=nonsense", "/v1/sources/%00/metrics", "/v1/runs/x?limit=x"):
        text = target.request("GET", path).text
        assert not [
            word for word in ("Traceback", ".py", "Error(", "sqlite", "duckdb", "site-packages") if word in text
        ]


# --- it goes nowhere by itself -----------------------------------------------------------------------------------


@pytest.fixture
def lure() -> Iterator[socket.socket]:
    """An address on this machine that whoever follows a link comes to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def visited(lure: socket.socket) -> bool:
    try:
        lure.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_no_address_that_it_is_given_is_ever_asked(tmp_path: Path, lure: socket.socket) -> None:
    url = f"http://127.0.0.1:{lure.getsockname()[1]}/latest/meta-data"
    target = Target(tmp_path).start()
    try:
        answered = [target.request(*route, **body).status_code for route, body in _with(url)]
        device = target.raw()
        device.upgrade("/ws/device", {"referer": url, "x-forwarded-host": url})
        said = {"name": "fetch", "description": url, "params": [{"name": "url", "type": "string", "default": url}]}
        hello = {"type": "device_auth", "api_key": target.key, "source_id": "rig-02", "commands": [said], "url": url}
        device.send(json.dumps(hello).encode())
        assert device.frame()["type"] == "authenticated"
        with closing(socket.create_connection(("127.0.0.1", target.port), timeout=30)) as proxied:
            proxied.sendall(f"GET {url} HTTP/1.1\r\nhost: {url.split('/')[2]}\r\nconnection: close\r\n\r\n".encode())
            assert b" 200 " not in proxied.recv(65_536).split(b"\r\n")[0]
    finally:
        target.hang_up()
        target.stop()  # what it had begun is over
    assert not any(status >= 500 for status in answered)
    assert answered.count(200) + answered.count(201) >= 5
    assert not visited(lure)


def test_the_lure_tells_a_visit(lure: socket.socket) -> None:
    socket.create_connection(lure.getsockname()).close()
    assert visited(lure)


def test_a_running_gateway_has_no_client_of_http_in_it() -> None:
    program = (
        "import sys\nfrom plexus.gateway import Gateway\nwith Gateway():\n    pass\n"
        f"print([name for name in {CLIENTS!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"


def _with(url: str) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    """Requests with the address wherever something can be said."""
    point = {"metric": url, "value": url, "tags": {"url": url}, "run_id": url}
    return [
        (("POST", "/ingest"), {"json": {"source_id": "rig-01", "points": [point, {**point, "class": "event"}]}}),
        (("POST", "/ingest"), {"json": {"source_id": url, "points": [point], "callback": url}}),
        (("POST", "/api/sources"), {"json": {"slug": "rig-02", "url": url, "webhook": url}}),
        (
            ("POST", "/v1/runs"),
            {"json": {"source_id": "rig-01", "name": url, "metadata": {"url": url}, "webhook": url}},
        ),
        (("PUT", "/v1/sources/rig-01/metrics/t"), {"json": {"unit": url[:16], "description": url}}),
        (("POST", "/v1/sources/rig-01/commands"), {"json": {"command": "fetch", "params": {"url": url}}}),
        (("GET", "/v1/sources/rig-01/metrics/query"), {"params": {"metric": url, "last": "1h", "callback": url}}),
        (("GET", "/v1/sources"), {"params": {"url": url, "next": url, "redirect": url}}),
        (("GET", "/v1/devices"), {"params": {"next": url}}),
    ]
