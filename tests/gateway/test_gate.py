"""What every request and every socket meets before a handler does."""

from __future__ import annotations

import asyncio
import json
import logging
import socket as plain_socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from plexus.domain.errors import StoreError
from plexus.gateway import Gateway, admission, decoding
from plexus.gateway.asgi import ASGIApp, HttpError, Receive, Scope, Send, send_json
from plexus.gateway.assembly import build_app
from plexus.gateway.core import Limits
from plexus.gateway.gate import Gate
from plexus.gateway.origins import same_origin
from plexus.gateway.settings import Settings
from tests.support.gateway import KEY, PATIENCE_S, Answered, ask, core_of, http, make_key, running, socket


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """A framework that answers with what it was given."""
    body = b""
    if scope["method"] not in ("GET", "HEAD"):
        body = (await receive())["body"]
    key = scope["state"].get("key")
    await send_json(send, 200, {"key": key and key.name, "method": scope["method"], "bytes": len(body)})


def through(steps: Callable[[Gate], Coroutine[Any, Any, Answered]], rest: ASGIApp = hello, **fields: Any) -> Answered:
    """Run steps against a gate before `rest`."""

    async def run() -> Answered:
        return await steps(Gate(core_of(**fields), {"/ingest": hello}, lambda _: None, rest))

    return asyncio.run(run())


METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]


async def _whole(method: str, path: str, key: str | None, client: str = "192.0.2.1") -> Answered:
    """One request with a body to the whole gateway, from this address."""
    app = build_app(core_of())

    async def from_there(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "client": (client, 1)}, receive, send)

    return await ask(from_there, method, path, chunks=[b"x"] * 9, headers={"host": "127.0.0.1"}, key=key)


class TestKeys:
    def test_a_request_without_a_key_is_refused_and_says_what_is_missing(self) -> None:
        answer = through(lambda gate: ask(gate, "GET", "/v1/sources", key=None))
        assert answer.status == 401
        assert "x-api-key" in answer.json()["error"]

    def test_an_unknown_key_is_refused(self) -> None:
        assert through(lambda gate: ask(gate, "GET", "/v1/sources", key=KEY + "x")).status == 401

    def test_the_handler_is_told_whose_key_it_is(self) -> None:
        assert through(lambda gate: ask(gate, "GET", "/v1/sources")).json()["key"] == "tests"

    @pytest.mark.parametrize("path", ["/healthz", "/openapi.json"])
    def test_a_public_path_needs_no_key(self, path: str) -> None:
        assert through(lambda gate: ask(gate, "GET", path, key=None)).status == 200

    def test_a_path_that_only_looks_public_needs_one(self) -> None:
        for path in ("/healthz/", "//healthz", "/healthz/x", "/openapi.json/.."):
            assert through(partial(ask, method="GET", path=path, key=None)).status == 401

    def test_a_revoked_key_is_refused_at_once(self, gateway: Gateway) -> None:
        text, info = gateway.core.keyring.create("default", "short-lived", ["read"])
        with http(gateway, text) as client:
            assert client.get("/v1/sources").status_code == 200
            gateway.core.keyring.revoke(info.key_id)
            assert client.get("/v1/sources").status_code == 401

    def test_a_keyring_that_cannot_be_read_is_a_503(self) -> None:
        class Broken:
            def find(self, secret: str) -> None:
                raise StoreError("keys.db: disk I/O error")

        answer = through(lambda gate: ask(gate, "GET", "/v1/sources"), keyring=Broken())
        assert answer.status == 503
        assert "keys.db" not in answer.json()["error"]

    @pytest.mark.parametrize("key", [None, "plx_unknown"])
    @pytest.mark.parametrize(
        "path", ["/ingest", "/api/v1/write", "/api/sources", "/v1/sources", "/nowhere", "/metrics"]
    )
    @pytest.mark.parametrize("method", METHODS)
    def test_nothing_of_a_body_is_read_before_the_key_is_known(self, method: str, path: str, key: str | None) -> None:
        answer = asyncio.run(_whole(method, path, key))
        assert (answer.status in (204, 401, 405), answer.chunks_read) == (True, 0)

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/metrics"])
    @pytest.mark.parametrize("method", METHODS)
    def test_nothing_of_a_body_is_read_where_no_key_is_needed(self, method: str, path: str) -> None:
        answer = asyncio.run(_whole(method, path, None, client="127.0.0.1"))
        assert answer.status in ((200,) if method in ("GET", "HEAD") else (204, 401, 403, 405))
        assert answer.chunks_read == 0


class TestErrors:
    def test_every_answer_has_an_id_of_its_own(self) -> None:
        ids = {through(lambda gate: ask(gate, "GET", "/healthz")).headers["x-request-id"] for _ in range(5)}
        assert len(ids) == 5

    def test_an_exception_is_a_500_with_the_id_that_the_log_has(self, caplog: pytest.LogCaptureFixture) -> None:
        async def broken(scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError("a secret of the inside")

        with caplog.at_level(logging.ERROR, "plexus.gateway"):
            answer = through(lambda gate: ask(gate, "GET", "/v1/sources"), broken)
        assert answer.status == 500
        assert answer.headers["x-request-id"] in answer.json()["error"]
        assert answer.headers["x-request-id"] in caplog.text
        assert "secret" not in answer.json()["error"]

    def test_an_error_that_names_its_status_is_answered_with_it(self) -> None:
        async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
            raise HttpError(409, "no", [(b"retry-after", b"1")])

        answer = through(lambda gate: ask(gate, "GET", "/v1/sources"), refusing)
        assert (answer.status, answer.json()) == (409, {"error": "no"})
        assert answer.headers["retry-after"] == "1"

    def test_half_an_answer_is_cut_and_not_completed(self) -> None:
        async def halfway(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError("in the middle")

        with pytest.raises(RuntimeError, match="middle"):
            through(lambda gate: ask(gate, "GET", "/v1/sources"), halfway)

    def test_a_client_that_left_is_not_an_error(self, caplog: pytest.LogCaptureFixture) -> None:
        answer = through(lambda gate: ask(gate, "POST", "/v1/sources", chunks=[]))
        assert answer.status == 0
        assert not caplog.records


class TestFailures:
    """What nobody foresaw, to a real client: a status or a close code, and nothing of the inside."""

    SECRET = "a secret of the inside"

    def broken(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError(self.SECRET)

    def test_a_socket_whose_handler_fails_is_closed_with_1011(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(admission, "admit", self.broken)
        with running() as gateway, socket(gateway, "/ws/device") as wire:
            wire.say(type="device_auth", api_key=KEY, source_id="rig-01")
            assert wire.closed() == (1011, "internal error")
        (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert (record.name, "/ws/device" in record.getMessage()) == ("plexus.gateway", True)
        assert self.SECRET in caplog.text

    def test_a_request_whose_handler_fails_is_a_500_and_the_connection_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(decoding, "parse_body", self.broken)
        with running() as gateway, http(gateway) as client:
            answer = client.post("/ingest", json={"source_id": "rig-01", "points": []})
            assert client.get("/healthz").status_code == 200
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] in answer.json()["error"]
        assert answer.headers["x-request-id"] in caplog.text
        assert self.SECRET not in answer.text


class TestMethods:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
    def test_ingest_takes_post_only(self, method: str) -> None:
        answer = through(lambda gate: ask(gate, method, "/ingest"))
        assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")

    def test_options_says_what_ingest_takes(self) -> None:
        answer = through(lambda gate: ask(gate, "OPTIONS", "/ingest", key=None))
        assert (answer.status, answer.headers["allow"], answer.body) == (204, "POST, OPTIONS", b"")

    @pytest.mark.parametrize("key", [None, KEY, "plx_unknown"])
    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
    def test_options_of_a_public_path_needs_no_key_either(self, path: str, key: str | None) -> None:
        answer = asyncio.run(_whole("OPTIONS", path, key))
        assert (answer.status, answer.headers["allow"], answer.body) == (204, "GET, HEAD, OPTIONS", b"")

    @pytest.mark.parametrize("path", ["/v1/sources", "/metrics", "/nowhere", "/healthz/", "/ws/device"])
    def test_options_of_any_other_is_refused_without_one(self, path: str) -> None:
        assert asyncio.run(_whole("OPTIONS", path, None)).status == 401

    def test_no_key_opens_options_of_a_path_that_needs_one(self) -> None:
        assert asyncio.run(_whole("OPTIONS", "/v1/sources", KEY)).status == 403

    def test_head_is_get_without_a_body(self) -> None:
        answer = through(lambda gate: ask(gate, "HEAD", "/v1/sources"))
        assert (answer.status, answer.body) == (200, b"")
        assert int(answer.headers["content-length"]) > 0

    def test_head_over_the_wire_leaves_the_connection_usable(self, gateway: Gateway) -> None:
        with http(gateway) as client:
            assert client.head("/v1/sources").status_code == 200
            assert client.get("/v1/sources").json() == {"devices": []}


class TestBodies:
    LIMIT = Limits(rest_body_bytes=10)

    @pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413)])
    def test_the_limit_is_exact(self, size: int, status: int) -> None:
        for chunks in ([b"x" * size], [b"x"] * size):
            sent = partial(ask, method="POST", path="/api/runs", chunks=chunks)
            answer = through(sent, limits=self.LIMIT)
            assert answer.status == status

    def test_a_body_that_says_it_is_too_large_is_not_read(self) -> None:
        sent = {"content-length": "11"}
        answer = through(
            lambda gate: ask(gate, "POST", "/api/runs", chunks=[b"x"] * 11, headers=sent), limits=self.LIMIT
        )
        assert (answer.status, answer.chunks_read) == (413, 0)

    def test_an_endless_body_is_read_to_the_limit_only(self) -> None:
        answer = through(lambda gate: ask(gate, "POST", "/api/runs", chunks=[b"x"] * 1000), limits=self.LIMIT)
        assert (answer.status, answer.chunks_read) == (413, 11)

    def test_a_body_that_never_comes_is_given_up(self) -> None:
        async def steps(gate: Gate) -> Answered:
            answered = Answered()

            async def never() -> Any:
                await asyncio.Event().wait()

            async def send(message: Any) -> None:
                answered.status = message.get("status", answered.status)

            headers = [(b"x-api-key", KEY.encode())]
            await gate({"type": "http", "method": "POST", "path": "/api/runs", "headers": headers}, never, send)
            return answered

        assert through(steps, limits=Limits(body_s=0.01)).status == 408

    def test_the_framework_is_handed_the_whole_body(self) -> None:
        answer = through(lambda gate: ask(gate, "PATCH", "/api/runs/1", chunks=[b"abc", b"", b"de"]))
        assert answer.json() == {"key": "tests", "method": "PATCH", "bytes": 5}


ORIGINS = [
    (None, "gateway.example", True),
    ("https://gateway.example", "gateway.example", True),
    ("https://gateway.example", "gateway.example:443", True),
    ("http://gateway.example:80", "gateway.example", True),
    ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
    ("http://[::1]:8080", "[::1]:8080", True),
    ("HTTP://Gateway.Example", "gateway.example", True),
    ("null", "gateway.example", False),
    ("", "gateway.example", False),
    ("https://evil.example", "gateway.example", False),
    ("https://gateway.example.evil.example", "gateway.example", False),
    ("https://evilgateway.example", "gateway.example", False),
    ("http://127.0.0.1:8081", "127.0.0.1:8080", False),
    ("https://gateway.example:8443", "gateway.example", False),
    ("https://gateway.example@evil.example", "gateway.example", False),
    ("file://gateway.example", "gateway.example", False),
    ("http://gateway.example:port", "gateway.example", False),
    ("https://gateway.example", None, False),
]


@pytest.mark.parametrize(("origin", "host", "allowed"), ORIGINS)
def test_only_the_very_same_host_and_port_is_the_same_origin(
    origin: str | None, host: str | None, allowed: bool
) -> None:
    assert same_origin(origin, host) is allowed


class TestSockets:
    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
    @pytest.mark.parametrize("path", ["/ws/device", "/v1/sources/rig-01/metrics/stream"])
    def test_a_page_of_another_origin_is_refused_before_the_upgrade(
        self, shared: Gateway, origin: str, path: str
    ) -> None:
        with pytest.raises(InvalidStatus) as refused, socket(shared, path, origin=origin):
            pass
        assert refused.value.response.status_code == 403
        assert "x-request-id" in refused.value.response.headers

    @pytest.mark.parametrize(
        ("path", "headers", "status"),
        [
            ("/ws/device", {"Host": "evil.example"}, 421),
            ("/ws/device", {"Host": "a/b"}, 400),
            ("/ws/device", {"Origin": "https://evil.example"}, 403),
            ("/elsewhere", {}, 404),
        ],
    )
    def test_a_refusal_before_the_upgrade_is_answered_whole_and_is_no_error_in_the_log(
        self, caplog: pytest.LogCaptureFixture, path: str, headers: dict[str, str], status: int
    ) -> None:
        with running() as gateway:
            asked = {
                "Host": f"127.0.0.1:{gateway.port}",
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version": "13",
                **headers,
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in asked.items())
            with plain_socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S) as raw:
                raw.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
                told = b"".join(iter(lambda: raw.recv(65_536), b""))
        head, body = told.split(b"\r\n\r\n", 1)
        assert int(head.split()[1]) == status
        assert list(json.loads(body)) == ["error"]
        # The gateway has left: whatever there was to say about it was said.
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []

    def test_the_gateways_own_origin_may_connect(self, shared: Gateway) -> None:
        with socket(shared, "/ws/device", origin=shared.url) as wire:
            wire.say(type="device_auth", api_key=KEY, source_id="rig-01")
            assert wire.hear()["type"] == "authenticated"

    @pytest.mark.parametrize("path", ["/", "/ws", "/ws/device/x", "/ingest", "/v1/sources/a/b/metrics/stream"])
    def test_there_is_no_socket_elsewhere(self, shared: Gateway, path: str) -> None:
        with pytest.raises(InvalidStatus) as refused, socket(shared, path):
            pass
        assert refused.value.response.status_code == 404


class TestHeads:
    def test_a_head_without_end_is_cut_at_64_kib(self, shared: Gateway) -> None:
        with plain_socket.create_connection(("127.0.0.1", shared.port), PATIENCE_S) as raw:
            raw.sendall(b"GET /healthz HTTP/1.1\r\n" + b"x-junk: " + b"a" * (70 * 1024))
            assert raw.recv(100).startswith(b"HTTP/1.1 431 ")

    def test_a_head_that_does_not_come_is_not_waited_for(self) -> None:
        with running(settings=Settings(limits=Limits(head_s=0.05))) as gateway:
            for sent in (b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nhost: x\r\n"):
                with plain_socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S) as raw:
                    raw.sendall(sent)
                    assert raw.recv(100) == b""


def test_the_scopes_of_a_key_are_the_handlers_business_and_are_asked(shared: Gateway) -> None:
    with http(shared, make_key(shared, "read")) as client:
        refused = client.post("/ingest", json={"source_id": "rig-01", "points": []})
    assert (refused.status_code, refused.json()) == (403, {"error": "this key lacks the scope 'write'"})
