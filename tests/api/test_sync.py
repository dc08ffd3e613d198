from __future__ import annotations

import json
import ssl
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import respx

from plexus import PlexusAPI
from plexus.api.answers import Identity
from plexus.domain.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PlexusError,
    ProtocolError,
    QueryError,
    RateLimitedError,
    TransportError,
)
from plexus.domain.event import Event
from plexus.domain.series import FleetMetrics, Series
from plexus.domain.source import FleetHealth, Source

URL = "http://127.0.0.1:9"
KEY = "plx_canary_of_this_test_never_to_be_seen_anywhere"
SOURCE = {"source_id": "a1", "online": True, "last_seen_ms": 5.0}


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        yield router


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def api(waits: list[float], server: respx.MockRouter) -> Iterator[PlexusAPI]:
    with PlexusAPI(KEY, URL, sleep=waits.append) as client:
        yield client


# --- every route --------------------------------------------------------------------------------------------

ROUTES: list[tuple[Callable[[PlexusAPI], Any], str, str, Any, Any]] = [
    (lambda api: api.sources.list(), "GET", "/v1/sources", {"devices": [SOURCE]}, [Source("a1", True, 5.0)]),
    (lambda api: api.sources.list("offline"), "GET", "/v1/sources?status=offline", {"devices": []}, []),
    (lambda api: api.sources.get("a1"), "GET", "/v1/sources/a1", SOURCE, Source("a1", True, 5.0)),
    (lambda api: api.metrics.names("a1"), "GET", "/v1/sources/a1/metrics", ["b"], ["b"]),
    (lambda api: api.metrics.latest("a1"), "GET", "/v1/sources/a1/metrics/latest", {"metrics": {"b": 1}}, {"b": 1}),
    (
        lambda api: api.events.list("a1", last="2h", name="mode", limit=3),
        "GET",
        "/v1/sources/a1/events?last=2h&name=mode&limit=3",
        [{"timestamp_ms": 1, "metric": "mode", "value": "auto", "tags": {}}],
        [Event("mode", "auto", 1, {}, "a1")],
    ),
    (
        lambda api: api.fleet.health(),
        "GET",
        "/v1/fleet/health",
        {"sources_total": 2, "sources_online": 1},
        FleetHealth(2, 1),
    ),
    (
        lambda api: api.fleet.metrics("cpu.percent", last="1h", interval="1m"),
        "GET",
        "/v1/fleet/metrics?metric=cpu.percent&last=1h&interval=1m",
        {"metric": "c", "interval": "1m", "sources_online": 0, "sources_w_metric": 0, "sources": []},
        FleetMetrics("c", "1m", 0, 0, []),
    ),
    (
        lambda api: api.commands.send("a1", "reboot", {"delay_s": 3}),
        "POST",
        "/v1/sources/a1/commands",
        {"queued": True},
        True,
    ),
    (
        lambda api: api.whoami(),
        "GET",
        "/api/auth/verify-key",
        {"org_id": "acme", "scopes": ["read"]},
        Identity("acme", ["read"]),
    ),
]


@pytest.mark.parametrize(("ask", "method", "target", "body", "expected"), ROUTES, ids=[row[2] for row in ROUTES])
def test_every_route_is_asked_and_read(
    api: PlexusAPI,
    server: respx.MockRouter,
    ask: Callable[[PlexusAPI], Any],
    method: str,
    target: str,
    body: Any,
    expected: Any,
) -> None:
    route = server.request(method, target).respond(200, json=body)
    assert ask(api) == expected
    assert route.calls.last.request.headers["x-api-key"] == KEY
    assert str(route.calls.last.request.url) == URL + target


def test_a_query_asks_for_its_metrics_and_window(api: PlexusAPI, server: respx.MockRouter) -> None:
    body = {
        "interval": "raw",
        "auto_downsampled": False,
        "series": {"rpm": {"timestamp_ms": [1], "value": [2]}},
        "truncated": False,
    }
    route = server.get("/v1/sources/a1/metrics/query").respond(200, json=body)
    result = api.metrics.query(
        "a1", ["rpm", "volt"], start="2026-05-01T10:00:00Z", end="2026-05-01T11:00:00Z", interval="raw"
    )
    assert result["rpm"] == Series([1], [2])
    assert dict(route.calls.last.request.url.params) == {
        "metrics": "rpm,volt",
        "start": "2026-05-01T10:00:00.000000Z",
        "end": "2026-05-01T11:00:00.000000Z",
        "interval": "raw",
    }


def test_a_command_is_posted_as_json(api: PlexusAPI, server: respx.MockRouter) -> None:
    route = server.post("/v1/sources/a1/commands").respond(200, json={"queued": False})
    assert api.commands.send("a1", "reboot") is False
    request = route.calls.last.request
    assert json.loads(request.content) == {"command": "reboot", "params": {}}
    assert request.headers["content-type"] == "application/json"


def test_a_bad_question_is_refused_before_the_request(api: PlexusAPI, server: respx.MockRouter) -> None:
    with pytest.raises(QueryError, match="raw, 1m"):
        api.metrics.query("a1", "rpm", interval="5m")
    assert not server.calls


# --- every error --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, ApiError, "its words above"),
        (401, AuthenticationError, "plexus init"),
        (402, ApiError, "plan"),
        (403, ApiError, "scope `read`"),
        (404, NotFoundError, "check the name"),
        (405, ApiError, "older release"),
        (409, ApiError, "not in the contract"),
        (413, ApiError, "too large"),
        (422, ApiError, "its words above"),
        (429, RateLimitedError, "ask less often"),
        (500, ApiError, "look into its log"),
        (502, ApiError, "try again later"),
        (503, ApiError, "try again later"),
        (504, ApiError, "try again later"),
    ],
)
def test_every_status_has_its_error(
    api: PlexusAPI, server: respx.MockRouter, status: int, kind: type[PlexusError], words: str
) -> None:
    server.get("/v1/sources/a1").respond(status, json={"error": "so it is"}, headers={"x-request-id": "r-7"})
    with pytest.raises(kind, match=words) as caught:
        api.sources.get("a1")
    text = str(caught.value)
    assert "GET /v1/sources/a1 on 127.0.0.1:9" in text
    assert "so it is" in text
    assert "r-7" in text


def test_an_error_carries_status_body_and_request_id(api: PlexusAPI, server: respx.MockRouter) -> None:
    server.get("/v1/sources/a1").respond(404, json={"detail": "gone"}, headers={"X-Request-Id": "r-7"})
    with pytest.raises(NotFoundError, match="gone") as caught:
        api.sources.get("a1")
    assert (caught.value.status, caught.value.request_id) == (404, "r-7")
    assert json.loads(caught.value.body) == {"detail": "gone"}


def test_the_body_of_an_error_is_bounded(api: PlexusAPI, server: respx.MockRouter) -> None:
    server.get("/v1/sources/a1").respond(400, text="ü" * 100_000)
    with pytest.raises(ApiError) as caught:
        api.sources.get("a1")
    assert len(caught.value.body) == 4_096
    assert len(str(caught.value)) < 1_000


def test_a_refused_command_names_the_scope_it_needs(api: PlexusAPI, server: respx.MockRouter) -> None:
    server.post("/v1/sources/a1/commands").respond(403)
    with pytest.raises(ApiError, match="scope `commands`"):
        api.commands.send("a1", "reboot")


@pytest.mark.parametrize("body", [b"<html>log in here</html>", b'{"online":true}', b"[]", b"\xff\xfe", b"", b"NaN"])
def test_a_success_that_cannot_be_read_is_an_api_error(api: PlexusAPI, server: respx.MockRouter, body: bytes) -> None:
    server.get("/v1/sources/a1").respond(200, content=body, headers={"x-request-id": "r-7"})
    with pytest.raises(ApiError, match="captive portal") as caught:
        api.sources.get("a1")
    assert (caught.value.status, caught.value.request_id) == (200, "r-7")
    assert isinstance(caught.value.__cause__, ProtocolError)


def test_a_missing_field_is_named_in_the_error(api: PlexusAPI, server: respx.MockRouter) -> None:
    server.get("/v1/sources").respond(200, json={"devices": [{"source_id": "a1", "last_seen_ms": 1}]})
    with pytest.raises(ApiError, match=r"devices\[0\].online is missing"):
        api.sources.list()


def test_a_redirect_never_carries_the_key_away(api: PlexusAPI, server: respx.MockRouter) -> None:
    with respx.mock(base_url="https://elsewhere.example", assert_all_called=False) as elsewhere:
        stolen = elsewhere.get("/").respond(200, json=SOURCE)
        server.get("/v1/sources/a1").respond(307, headers={"location": "https://elsewhere.example/"})
        with pytest.raises(ApiError, match=r"redirects to https://elsewhere.example/.*PLEXUS_API_URL"):
            api.sources.get("a1")
        assert not stolen.called


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (httpx.ReadTimeout("slow"), r"no answer from 127.0.0.1:9 within 10 s"),
        (httpx.ConnectTimeout("slow"), "within 10 s"),
        (httpx.ConnectError("refused"), "127.0.0.1:9"),
        (httpx.RemoteProtocolError("garbage"), "garbage"),
        (httpx.DecodingError("not gzip"), "not gzip"),
    ],
)
def test_a_failure_of_the_network_is_a_transport_error(
    api: PlexusAPI, server: respx.MockRouter, failure: httpx.HTTPError, words: str
) -> None:
    server.get("/v1/sources/a1").mock(side_effect=failure)
    with pytest.raises(TransportError, match=words):
        api.sources.get("a1")


def test_a_host_that_is_not_there_is_named() -> None:
    api = PlexusAPI(KEY, "http://127.0.0.1:1", retries=0)
    with api, pytest.raises(TransportError, match=r"127\.0\.0\.1:1 refuses connections"):
        api.fleet.health()


def test_a_closed_client_says_so(server: respx.MockRouter) -> None:
    api = PlexusAPI(KEY, URL)
    api.close()
    with pytest.raises(ConfigurationError, match="closed"):
        api.fleet.health()


# --- trying again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_question_is_asked_again_after_what_may_pass(
    api: PlexusAPI, server: respx.MockRouter, waits: list[float], status: int
) -> None:
    server.get("/v1/sources/a1").mock(side_effect=[httpx.Response(status), httpx.Response(200, json=SOURCE)])
    assert api.sources.get("a1").online
    assert len(waits) == 1


def test_a_question_is_asked_again_after_a_failure_of_the_network(
    api: PlexusAPI, server: respx.MockRouter, waits: list[float]
) -> None:
    server.get("/v1/sources/a1").mock(side_effect=[httpx.ConnectError("no"), httpx.Response(200, json=SOURCE)])
    assert api.sources.get("a1").online
    assert len(waits) == 1


def test_it_is_given_up_after_three_more_tries_with_growing_waits(
    api: PlexusAPI, server: respx.MockRouter, waits: list[float]
) -> None:
    route = server.get("/v1/sources/a1").respond(503)
    with pytest.raises(ApiError, match="503"):
        api.sources.get("a1")
    assert route.call_count == 4
    assert 0.125 <= waits[0] <= 0.25 <= waits[1] <= 0.5 <= waits[2] <= 1.0


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 500])
def test_what_would_fail_again_is_not_asked_again(
    api: PlexusAPI, server: respx.MockRouter, waits: list[float], status: int
) -> None:
    route = server.get("/v1/sources/a1").respond(status)
    with pytest.raises(PlexusError):
        api.sources.get("a1")
    assert route.call_count == 1
    assert waits == []


@pytest.mark.parametrize("failure", [httpx.Response(503), httpx.ReadTimeout("slow")])
def test_a_command_is_never_sent_twice(api: PlexusAPI, server: respx.MockRouter, failure: Any) -> None:
    route = server.post("/v1/sources/a1/commands").mock(side_effect=[failure])
    with pytest.raises(PlexusError):
        api.commands.send("a1", "reboot")
    assert route.call_count == 1


def test_the_server_s_wish_for_time_is_obeyed(api: PlexusAPI, server: respx.MockRouter, waits: list[float]) -> None:
    busy = httpx.Response(429, headers={"retry-after": "7"})
    server.get("/v1/sources/a1").mock(side_effect=[busy, httpx.Response(200, json=SOURCE)])
    api.sources.get("a1")
    assert waits == [7.0]


def test_a_wish_for_more_time_than_anyone_waits_is_an_error_at_once(
    api: PlexusAPI, server: respx.MockRouter, waits: list[float]
) -> None:
    route = server.get("/v1/sources/a1").respond(429, headers={"retry-after": "3600"})
    with pytest.raises(RateLimitedError):
        api.sources.get("a1")
    assert route.call_count == 1
    assert waits == []


# --- settings and secrets -----------------------------------------------------------------------------------


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, server: respx.MockRouter) -> None:
    monkeypatch.setenv("PLEXUS_API_KEY", KEY)
    monkeypatch.setenv("PLEXUS_URL", URL)
    route = server.get("/v1/fleet/health").respond(200, json={"sources_total": 0, "sources_online": 0})
    with PlexusAPI() as api:
        assert api.base_url == URL
        api.fleet.health()
    assert route.calls.last.request.headers["x-api-key"] == KEY


def test_without_a_key_it_says_how_to_get_one() -> None:
    with pytest.raises(ConfigurationError, match=r"PLEXUS_API_KEY.*plexus init"):
        PlexusAPI(base_url=URL)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_must_be_a_length_of_time(timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        PlexusAPI(KEY, URL, timeout)


def test_the_number_of_retries_must_not_be_negative() -> None:
    with pytest.raises(ConfigurationError, match="retries"):
        PlexusAPI(KEY, URL, retries=-1)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, json={"error": f"your key {KEY} is bad"}),
        httpx.Response(401, text=KEY),
        httpx.Response(200, json={"echo": KEY}),
        httpx.Response(500, text=KEY * 100),
    ],
)
def test_the_key_is_in_no_error_even_if_the_server_echoes_it(
    api: PlexusAPI, server: respx.MockRouter, answer: httpx.Response
) -> None:
    server.get("/v1/sources/a1").mock(side_effect=[answer])
    with pytest.raises(PlexusError) as caught:
        api.sources.get("a1")
    seen = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + repr(api)
    assert KEY not in seen


def test_certificates_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = httpx.Client

    def spy(**arguments: Any) -> httpx.Client:
        made.append(arguments["verify"])
        return real(**arguments)

    monkeypatch.setattr(httpx, "Client", spy)
    PlexusAPI(KEY, "https://gateway.example").close()
    assert made[0].verify_mode is ssl.CERT_REQUIRED
    assert made[0].check_hostname
