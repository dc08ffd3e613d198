"""Proxies in front, names that are not ours, paths under a prefix, and pages of other origins."""

from __future__ import annotations

import asyncio
import re
import socket as plain_socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urljoin

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from plexus.gateway import Gateway
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

    @pytest.mark.parametrize(
        "name",
        [
            "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix",
            "x-forwarded-server", "x-forwarded-port", "x-forwarded", "x-real-ip", "x-client-ip", "client-ip",
            "cf-connecting-ip", "true-client-ip", "x-cluster-client-ip", "fastly-client-ip", "x-envoy-external-address",
            "x-original-forwarded-for", "x-original-host",
        ],
    )  # fmt: skip
    def test_any_sign_of_a_proxy_is_one_and_nobody_is_local_behind_it(self, name: str) -> None:
        asked = {"client": "127.0.0.1", "host": "127.0.0.1:8080"}
        assert is_local(front().look(scope(**asked)))
        assert not is_local(front().look(scope(**asked, **{name: "127.0.0.1"})))

    def test_what_a_program_on_this_machine_says_of_itself_is_no_sign_of_one(self) -> None:
        own = {"user_agent": "Prometheus/2.54", "accept": "*/*", "x_prometheus_scrape_timeout_seconds": "10"}
        assert is_local(front().look(scope(client="127.0.0.1", host="localhost:8080", **own)))


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


class TestBehindAProxy:
    """What a running gateway makes of what a proxy says, which is believed of this machine here."""

    SAID: ClassVar = {
        "x-forwarded-proto": "https",
        "x-forwarded-host": "own.example",
        "x-forwarded-prefix": "/plexus",
    }

    @pytest.fixture
    def proxied(self) -> Iterator[Gateway]:
        with running(settings=Settings(hosts=("own.example",), proxy=Proxy(trusted=("127.0.0.1",)))) as gateway:
            yield gateway

    def test_the_document_says_the_prefix_of_whoever_asks(self, proxied: Gateway) -> None:
        with http(proxied, None) as client:
            told = [client.get(path, headers=self.SAID).json() for path in ("/openapi.json", "/plexus/openapi.json")]
            assert [document["servers"] for document in told] == [[{"url": "/plexus"}]] * 2
            other = client.get("/openapi.json", headers={**self.SAID, "x-forwarded-prefix": "/other"}).json()
            assert other["servers"] == [{"url": "/other"}]
            assert client.get("/openapi.json").json()["servers"] == [{"url": "/"}]

    def test_a_redirect_stays_under_the_prefix_and_on_the_outsides_scheme_and_name(self, proxied: Gateway) -> None:
        with http(proxied) as client:
            moved = client.get("/plexus/v1/devices?status=online", headers=self.SAID)
        outside = urljoin("https://own.example/plexus/v1/devices", moved.headers["location"])
        assert (moved.status_code, outside) == (307, "https://own.example/plexus/v1/sources?status=online")

    def test_the_name_is_that_of_the_outside(self, proxied: Gateway) -> None:
        with http(proxied) as client:
            foreign = client.get("/v1/sources", headers={**self.SAID, "x-forwarded-host": "evil.example"})
            assert foreign.status_code == 421
            assert client.get("/v1/sources", headers={**self.SAID, "host": "inside:8080"}).status_code == 200

    def test_a_page_of_the_outside_is_of_the_same_origin(self, proxied: Gateway) -> None:
        page = "https://own.example"
        with socket(proxied, "/plexus/ws/device", origin=page, additional_headers=self.SAID) as wire:
            wire.say(type="device_auth", api_key=KEY, source_id="rig-01")
            assert wire.hear()["type"] == "authenticated"
        with pytest.raises(InvalidStatus) as refused, socket(proxied, "/ws/device", origin=page):
            pass
        assert refused.value.response.status_code == 403

    def test_of_anybody_else_nothing_is_believed(self) -> None:
        with running(settings=Settings(proxy=Proxy(trusted=("10.0.0.9",)))) as gateway, http(gateway) as client:
            assert client.get("/openapi.json", headers=self.SAID).json()["servers"] == [{"url": "/"}]
            assert client.get("/v1/devices", headers=self.SAID).headers["location"] == "/v1/sources"
            assert client.get("/plexus/v1/sources", headers=self.SAID).status_code == 404
            foreign = {"origin": "https://own.example", "additional_headers": self.SAID}
            with pytest.raises(InvalidStatus) as refused, socket(gateway, "/ws/device", **foreign):
                pass
            assert refused.value.response.status_code == 403


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


READ_BY_ANY_PAGE = {"content-length", "content-type"}
OF_THE_CONNECTION = {"date", "transfer-encoding", "vary", "x-content-type-options"}
"""For browsers and caches themselves."""


def _told() -> set[str]:
    """The headers of answers in docs/reference/http.md."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text()
    table = page.split("\n## Headers of answers\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))


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

    def test_a_page_may_read_every_header_that_the_reference_tells_of(self) -> None:
        assert set(through("GET", PAGE, origin=PAGE).headers["access-control-expose-headers"].split(", ")) == _told()

    def test_every_header_of_an_answer_is_told_of_or_one_that_pages_have_anyway(self) -> None:
        asked = [
            ("GET", "/v1/sources/rig/metrics/query?last=5m", {}),
            ("GET", "/v1/export?last=5m", {}),
            ("GET", "/v1/devices", {}),
            ("GET", "/ingest", {}),
            ("PUT", "/v1/sources", {}),
            ("GET", "/metrics", {}),
            ("OPTIONS", "/v1/sources", {"origin": PAGE, "access-control-request-method": "GET"}),
            ("POST", "/ingest", {"x-plexus-ext": "batch=1,clock=1"}),
        ]
        with running(settings=Settings(cors=Cors((PAGE,)))) as gateway, http(gateway) as client:
            body = {"source_id": "rig", "points": [{"metric": "t", "value": 1}]}
            client.post("/ingest", json=body)
            answers = [client.request(method, path, headers=more, json=body) for method, path, more in asked]
        seen = {name for answer in answers for name in answer.headers if not name.startswith("access-control-")}
        assert seen - _told() <= READ_BY_ANY_PAGE | OF_THE_CONNECTION
        assert _told() - seen == {"retry-after"}

    @pytest.mark.parametrize("origin", [PAGE, "https://other.example", None])
    def test_a_cache_is_told_that_origin_decides_also_beside_accept(self, origin: str | None) -> None:
        asked = {} if origin is None else {"origin": origin}
        body = {"source_id": "rig", "points": [{"metric": "t", "value": 1}]}
        with running(settings=Settings(cors=Cors((PAGE,)))) as gateway, http(gateway) as client:
            client.post("/ingest", json=body)
            negotiated = client.get("/v1/sources/rig/metrics/query", headers=asked)
            assert set(negotiated.headers.get_list("vary", split_commas=True)) == {"accept", "Origin"}
            assert client.get("/v1/sources", headers=asked).headers["vary"] == "Origin"

    def test_a_socket_of_a_page_that_is_let_in_is_let_in(self) -> None:
        with running(settings=Settings(cors=Cors((PAGE,)))) as gateway:
            with socket(gateway, "/ws/device", origin=PAGE) as wire:
                wire.say(type="device_auth", api_key=KEY, source_id="rig-01")
                assert wire.hear()["type"] == "authenticated"
            with pytest.raises(InvalidStatus) as refused, socket(gateway, "/ws/device", origin="https://other.example"):
                pass
            assert refused.value.response.status_code == 403
