"""Pages of other origins get no socket; a program without an Origin does. No key is ever taken from an address."""

from __future__ import annotations

import json

import pytest

from tests.security.target import Target

PATHS = ["/ws/device", "/v1/sources/rig-01/metrics/stream", "/v1/sources/rig-01/events/stream"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("http://127.0.0.1:{port}", 101),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example:{port}", 403),
        ("http://evil127.0.0.1:{port}", 403),
        ("http://127.0.0.1:1", 403),
        ("http://127.0.0.1", 403),
        ("http://localhost:{port}", 403),
        ("file://", 403),
        ("", 403),
    ],
)
def test_only_the_gateways_own_pages_may_open_a_socket(
    target: Target, path: str, origin: str | None, status: int
) -> None:
    headers = {} if origin is None else {"origin": origin.format(port=target.port)}
    raw = target.raw()
    assert raw.upgrade(path, headers)[0] == status


def test_a_key_in_the_address_is_no_key(target: Target) -> None:
    for query in (f"?api_key={target.key}", f"?x-api-key={target.key}", f"?key={target.key}"):
        assert target.request("GET", f"/v1/sources{query}", headers={}).status_code == 401
        raw = target.socket(f"/v1/sources/rig-01/metrics/stream{query}")
        raw.send(json.dumps({"type": "auth"}).encode())
        assert raw.close_code() == 4401


def test_a_simple_cross_site_form_reaches_nothing(target: Target) -> None:
    # A browser can send this without asking first; it cannot send the key's header.
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {"origin": "http://evil.example", "content-type": content_type}
        answer = target.request("POST", "/ingest", content=b'{"source_id":"rig-01","points":[]}', headers=headers)
        assert answer.status_code == 401
        assert "access-control-allow-origin" not in answer.headers
