"""Proxies in front, names that are not ours, paths under a prefix, and pages of other origins."""

from __future__ import annotations

import asyncio
import socket as plain_socket
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from plexus.gateway.asgi import HttpError, Receive, Scope, Send, send_json
from plexus.gateway.fronting import Front, Seen, is_local
from plexus.gateway.gate import Gate
from plexus.gateway.settings import Cors, Proxy, Settings
from tests.support.gateway import KEY, Answered, ask, core_of, http, running, socket

PROXY = "10.0.0.9"
PAGE = "https://page.example"


def scope(path: str = "/v1/sources", client: str = PROXY, kind: str = "http", **headers: str) -> Scope:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scheme = "http" if kind == "http" else "ws"
    return {"type": kind, "path": path, "client": (client, 1), "scheme": scheme, "headers": named}


def front(*trusted: str, base_path: str = "", hosts: tuple[str, ...] = (), loopback: bool = False) -> Front:
    return Front(Settings(hosts=hosts, proxy=Proxy(trusted, base_path)), loopback=loopback)


class TestForwarded:
    @pytest.mark.parametrize(
        ("forwarded", "client"),
        [
            ("203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7, 10.0.0.8", "203.0.113.7"),
            ("10.0.0.8", "10.0.0.8"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("nonsense", PROXY),
            ("203.0.113.7, nonsense", PROXY),
            ("", PROXY),
        ],
    )
    def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(self, forwarded: str, client: str) -> None:
        assert front("10.0.0.0/8").look(scope(x_forwarded_for=forwarded)).client == client

    def test_nobody_else_is_believed(self) -> None:
        told = {"x_forwarded_for": "127.0.0.1", "x_forwarded_host": "evil.example", "x_forwarded_prefix": "/evil"}
        asked = scope(client="203.0.113.7", host="own.example", x_forwarded_proto="https", **told)
        for looking in (front(), front("10.0.0.0/8")):
            seen = looking.look(asked)
            assert (seen.client, seen.host, seen.prefix, asked["scheme"]) == ("203.0.113.7", "own.example", "", "http")
            assert seen.forwarded

    @pytest.mark.parametrize(("kind", "scheme"), [("http", "https"), ("websocket", "wss")])
    def test_proto_host_and_prefix_are_those_of_the_outside(self, kind: str, scheme: str) -> None:
        asked = scope(kind=kind, host="inside:8080", x_forwarded_proto="https", x_forwarded_host="own.example",
                      x_forwarded_prefix="/plexus/")  # fmt: skip
        seen = front(PROXY).look(asked)
        assert (seen.host, seen.prefix, asked["scheme"]) == ("own.example", "/plexus", scheme)

    def test_a_prefix_that_is_no_path_is_passed_over(self) -> None:
        for prefix in ("//evil.example", "https://evil.example", "/a b", "/a\r\nx: y"):
            assert front(PROXY).look(scope(x_forwarded_prefix=prefix)).prefix == ""


class TestBasePath:
    @pytest.mark.parametrize(
        ("path", "own"),
        [
            ("/plexus/v1/sources", "/v1/sources"),
            ("/v1/sources", "/v1/sources"),
            ("/plexus", "/"),
            ("/plexusx/v1", "/plexusx/v1"),
        ],
    )
    def test_the_prefix_may_be_passed_on_or_taken_away(self, path: str, own: str) -> None:
        asked = scope(path)
        assert front(base_path="/plexus").look(asked).prefix == "/plexus"
        assert asked["path"] == own

    def test_everything_is_there_under_it(self) -> None:
        with running(settings=Settings(proxy=Proxy(base_path="/plexus"))) as gateway, http(gateway) as client:
            body = {"source_id": "rig-01", "points": [{"metric": "a", "value": 1, "timestamp": 1}]}
            assert client.post("/plexus/ingest", json=body).status_code == 200
            assert client.get("/plexus/v1/sources").json() == client.get("/v1/sources").json()
            moved = client.get("/plexus/v1/devices")
            assert (moved.status_code // 100, moved.headers["location"]) == (3, "/plexus/v1/sources")
            assert client.get("/plexus/openapi.json").json()["servers"] == [{"url": "/plexus"}]
            with socket(gateway, "/plexus/ws/device") as wire:
                wire.say(type="device_auth", api_key=KEY, source_id="rig-01")
                assert wire.hear()["type"] == "authenticated"


class TestHosts:
    @pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:8080", "[::1]:8080", "127.8.8.8"])
    def test_on_loopback_this_machines_names_are_taken(self, host: str) -> None:
        front(loopback=True).look(scope(client="127.0.0.1", host=host))

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:80"]
    )
    def test_on_loopback_a_foreign_name_is_refused(self, host: str) -> None:
        with pytest.raises(HttpError) as refused:
            front(loopback=True).look(scope(client="127.0.0.1", host=host))
        assert refused.value.status == 421
        assert "hosts" in refused.value.message

    @pytest.mark.parametrize("headers", [{}, {"host": ""}, {"host": "a/b"}, {"host": "a:port"}, {"host": "a@b"}])
    def test_no_name_at_all_is_a_bad_request(self, headers: dict[str, str]) -> None:
        with pytest.raises(HttpError) as refused:
            front(loopback=True).look(scope(client="127.0.0.1", **headers))
        assert refused.value.status == 400

    def test_on_other_addresses_any_name_is_taken_unless_some_are_named(self) -> None:
        front().look(scope(host="any.example"))
        named = front(hosts=("own.example",))
        named.look(scope(host="own.example:8443"))
        named.look(scope(host="127.0.0.1"))
        with pytest.raises(HttpError):
            named.look(scope(host="any.example"))

    def test_a_proxy_that_is_trusted_decides_about_names_itself(self) -> None:
        front(PROXY, loopback=True).look(scope(host="own.example"))
        with pytest.raises(HttpError):
            front(PROXY, loopback=True).look(scope(client="127.0.0.1", host="own.example"))

    def test_a_page_whose_name_was_bent_to_this_machine_gets_nothing(self) -> None:
        with running() as gateway, http(gateway) as client:
            answer = client.get("/v1/sources", headers={"host": "evil.example"})
            assert answer.status_code == 421
            assert "x-request-id" in answer.headers
            headers = {"Host": "evil.example", "Origin": "http://evil.example"}
            with pytest.raises(InvalidStatus) as refused, _socket(gateway, headers):
                pass
            assert refused.value.response.status_code == 421
            assert gateway.core.meters.registry.get_sample_value("plexus_rejects_total", {"reason": "host"}) == 2


def _socket(gateway: Any, headers: dict[str, str]) -> Any:
    raw = plain_socket.create_connection(("127.0.0.1", gateway.port))
    url = f"ws://{headers['Host']}/ws/device"
    return connect(url, sock=raw, origin=Origin(headers["Origin"]), proxy=None)


@pytest.mark.parametrize(
    ("seen", "local"),
    [
        (Seen("127.0.0.1", "127.0.0.1:8080", "", forwarded=False), True),
        (Seen("::1", "localhost", "", forwarded=False), True),
        (Seen("127.0.0.1", "127.0.0.1", "", forwarded=True), False),
        (Seen("127.0.0.1", "own.example", "", forwarded=False), False),
        (Seen("127.0.0.1", None, "", forwarded=False), False),
        (Seen("10.0.0.1", "127.0.0.1", "", forwarded=False), False),
    ],
)
def test_only_who_asks_from_this_machine_itself_is_local(seen: Seen, local: bool) -> None:
    assert is_local(seen) is local


def through(method: str, *origins: str, **headers: str) -> Answered:
    """One request to a gate that lets these origins in."""

    async def hello(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {})

    async def run() -> Answered:
        gate = Gate(core_of(settings=Settings(cors=Cors(origins))), {"/ingest": hello}, lambda _: None, hello)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        key = None if method == "OPTIONS" else KEY
        return await ask(gate, method, "/v1/sources", headers=named, key=key)

    return asyncio.run(run())


class TestCors:
    def test_by_default_no_answer_says_anything_to_a_page(self) -> None:
        answer = through("GET", origin=PAGE)
        assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]

    def test_a_page_that_is_let_in_may_read(self) -> None:
        answer = through("GET", PAGE, origin=PAGE)
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers

    @pytest.mark.parametrize("origin", ["https://other.example", "null", "https://page.example:8443", PAGE + "/"])
    def test_another_may_not(self, origin: str) -> None:
        answer = through("GET", PAGE, origin=origin)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"

    def test_a_browser_that_asks_first_needs_no_key_and_hears_what_it_may(self) -> None:
        answer = through("OPTIONS", PAGE, origin=PAGE, access_control_request_method="POST")
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "x-api-key" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers

    def test_a_browser_that_asks_first_for_another_page_is_refused(self) -> None:
        answer = through("OPTIONS", PAGE, origin="https://other.example", access_control_request_method="POST")
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers

    def test_a_refusal_can_be_read_by_the_page_too(self) -> None:
        with running(settings=Settings(cors=Cors((PAGE,)))) as gateway, http(gateway, None) as client:
            answer = client.get("/v1/sources", headers={"origin": PAGE})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, PAGE)

    def test_a_socket_of_a_page_that_is_let_in_is_let_in(self) -> None:
        with running(settings=Settings(cors=Cors((PAGE,)))) as gateway:
            with socket(gateway, "/ws/device", origin=PAGE) as wire:
                wire.say(type="device_auth", api_key=KEY, source_id="rig-01")
                assert wire.hear()["type"] == "authenticated"
            with pytest.raises(InvalidStatus) as refused, socket(gateway, "/ws/device", origin="https://other.example"):
                pass
            assert refused.value.response.status_code == 403
