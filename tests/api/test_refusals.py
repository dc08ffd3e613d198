"""What becomes of an answer that is no success, of one that cannot be read, and of none, for both clients."""

from __future__ import annotations

import json
import traceback

import httpx
import pytest
import respx

from plexus import PlexusAPI
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
from tests.api.asking import KEY, Ask, Kind, Question
from tests.api.test_routes import ROUTES, SOURCE

Refusal = ApiError | AuthenticationError | RateLimitedError
STATUSES: list[tuple[int, type[Refusal], str]] = [
    (400, ApiError, "its words above"),
    (401, AuthenticationError, "plexus init"),
    (402, ApiError, "plan"),
    (403, ApiError, "scope `read`"),
    (404, NotFoundError, "check the name"),
    (405, ApiError, "older release"),
    (406, ApiError, "older release"),
    (408, ApiError, "in time"),
    (409, ApiError, "changed meanwhile"),
    (413, ApiError, "too large"),
    (418, ApiError, "not in the contract"),
    (421, ApiError, "setting `hosts`"),
    (422, ApiError, "its words above"),
    (429, RateLimitedError, "ask less often"),
    (500, ApiError, "look into its log"),
    (502, ApiError, "try again later"),
    (503, ApiError, "try again later"),
    (504, ApiError, "try again later"),
]


def _get(api: object) -> object:
    return api.sources.get("a1")  # type: ignore[attr-defined]  # one of the two clients


@pytest.mark.parametrize(("status", "error", "words"), STATUSES, ids=[str(row[0]) for row in STATUSES])
def test_every_status_has_its_error(
    ask: Ask, server: respx.MockRouter, status: int, error: type[Refusal], words: str
) -> None:
    body = json.dumps({"error": "so it is"})
    server.get("/v1/sources/a1").respond(status, text=body, headers={"x-request-id": "r-7", "retry-after": "0"})
    with pytest.raises(error, match=words) as caught:
        ask(_get)
    for part in ("GET /v1/sources/a1 on 127.0.0.1:9", "so it is", "[request r-7]"):
        assert part in str(caught.value)
    refused = caught.value
    assert (refused.status, refused.request_id, refused.body, refused.retry_after_s) == (status, "r-7", body, 0.0)


@pytest.mark.parametrize(("status", "error", "words"), STATUSES, ids=[str(row[0]) for row in STATUSES])
@pytest.mark.parametrize("name", [name for name in ROUTES if " " not in name])
def test_every_route_has_every_error(kind: Kind, name: str, status: int, error: type[Refusal], words: str) -> None:
    row = ROUTES[name]
    tries: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        tries.append(request)
        return httpx.Response(status)

    with pytest.raises(error, match=words.replace("`read`", ".*")) as caught:
        Ask(kind)(row.ask, transport=httpx.MockTransport(refuse))
    assert caught.value.status == status
    assert f"{row.method} {tries[0].url.raw_path.decode().partition('?')[0]}" in str(caught.value)
    again = status in (429, 502, 503, 504) and row.method in ("GET", "PUT")
    assert len(tries) == (4 if again else 1)


def test_the_words_are_those_of_fastapi_too(ask: Ask, server: respx.MockRouter) -> None:
    server.get("/v1/sources/a1").respond(404, json={"detail": "gone"}, headers={"X-Request-Id": "r-7"})
    with pytest.raises(NotFoundError, match="gone"):
        ask(_get)


def test_the_body_of_an_error_is_bounded(ask: Ask, server: respx.MockRouter) -> None:
    server.get("/v1/sources/a1").respond(400, text="ü" * 100_000)
    with pytest.raises(ApiError) as caught:
        ask(_get)
    assert len(caught.value.body) == 4_096
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("question", "scope"),
    [
        (lambda api: api.metrics.latest("a1"), "read"),
        (lambda api: api.metrics.describe("a1", "rpm"), "write"),
        (lambda api: api.runs.start("thermal"), "write"),
        (lambda api: api.sources.register("a1"), "write"),
        (lambda api: api.commands.send("a1", "reboot"), "commands"),
        (lambda api: api.sources.delete("a1"), "admin"),
        (lambda api: api.metrics.remove("a1", "rpm"), "admin"),
    ],
)
def test_what_a_key_may_not_do_names_the_scope_it_needs(
    ask: Ask, server: respx.MockRouter, question: Question, scope: str
) -> None:
    server.route().respond(403)
    with pytest.raises(ApiError, match=f"scope `{scope}`"):
        ask(question)


@pytest.mark.parametrize("body", [b"<html>log in here</html>", b'{"online":true}', b"[]", b"\xff\xfe", b"", b"NaN"])
def test_a_success_that_cannot_be_read_is_an_api_error(ask: Ask, server: respx.MockRouter, body: bytes) -> None:
    server.get("/v1/sources/a1").respond(200, content=body, headers={"x-request-id": "r-7"})
    with pytest.raises(ApiError, match=r"PLEXUS_API_URL.*captive portal.*\[request r-7\]") as caught:
        ask(_get)
    assert (caught.value.status, caught.value.request_id) == (200, "r-7")
    assert isinstance(caught.value.__cause__, ProtocolError)


def test_what_the_app_says_wrong_names_the_app_s_setting(ask: Ask, server: respx.MockRouter) -> None:
    server.get("/api/runs/r1").respond(200, content=b"[]")
    with pytest.raises(ApiError, match="PLEXUS_ENDPOINT"):
        ask(lambda api: api.runs.get("r1"))


def test_a_missing_field_is_named_in_the_error(ask: Ask, server: respx.MockRouter) -> None:
    server.get("/v1/sources").respond(200, json={"devices": [{"source_id": "a1", "last_seen_ms": 1}]})
    with pytest.raises(ApiError, match=r"devices\[0\].online is missing"):
        ask(lambda api: api.sources.list())


def test_a_redirect_never_carries_the_key_away(ask: Ask, server: respx.MockRouter) -> None:
    with respx.mock(base_url="https://elsewhere.example", assert_all_called=False) as elsewhere:
        stolen = elsewhere.get("/").respond(200, json=SOURCE)
        server.get("/v1/sources/a1").respond(307, headers={"location": "https://elsewhere.example/"})
        with pytest.raises(ApiError, match=r"redirects to https://elsewhere.example/.*PLEXUS_API_URL"):
            ask(_get)
        assert not stolen.called


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (httpx.ReadTimeout("slow"), r"no answer from 127.0.0.1:9 within 10 s"),
        (httpx.ConnectTimeout("slow"), "within 10 s"),
        (httpx.PoolTimeout("busy"), "all 100 connections .* ask for less at once"),
        (httpx.ConnectError("refused"), "127.0.0.1:9"),
        (httpx.RemoteProtocolError("garbage"), "garbage"),
        (httpx.DecodingError("not gzip"), "not gzip"),
    ],
)
def test_a_failure_of_the_network_is_a_transport_error(
    ask: Ask, server: respx.MockRouter, failure: httpx.HTTPError, words: str
) -> None:
    server.get("/v1/sources/a1").mock(side_effect=failure)
    with pytest.raises(TransportError, match=words) as caught:
        ask(_get)
    assert caught.value.__cause__ is failure


def test_a_host_that_is_not_there_is_named(ask: Ask) -> None:
    nobody = Ask(ask.kind, url="http://127.0.0.1:1")
    with respx.mock(assert_all_called=False) as router:
        router.route().pass_through()
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:1 refuses connections"):
            nobody(lambda api: api.fleet.health(), retries=0)


@pytest.mark.parametrize("question", [lambda api: api.fleet.health(), lambda api: api.whoami()])
def test_a_closed_client_says_so(server: respx.MockRouter, question: Question) -> None:
    api = PlexusAPI(KEY)
    api.close()
    with pytest.raises(ConfigurationError, match="closed"):
        question(api)


def test_a_bad_question_is_refused_before_the_request(ask: Ask, server: respx.MockRouter) -> None:
    with pytest.raises(QueryError, match="raw, 1m"):
        ask(lambda api: api.metrics.query("a1", "rpm", interval="5m"))
    assert not server.calls


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, json={"error": f"your key {KEY} is bad"}),
        httpx.Response(401, text=KEY),
        httpx.Response(200, json={"echo": KEY}),
        httpx.Response(200, json=[KEY]),
        httpx.Response(500, text=KEY * 100),
        httpx.Response(500, content=KEY.encode(), headers={"content-type": "application/octet-stream"}),
    ],
)
def test_the_key_is_in_no_error_even_if_the_server_echoes_it(
    ask: Ask, server: respx.MockRouter, answer: httpx.Response
) -> None:
    server.get("/v1/sources/a1").mock(side_effect=[answer])
    with pytest.raises(PlexusError) as caught:
        ask(_get)
    # The frames of this test hold the key; what an error shows of itself must not.
    told = "".join(traceback.format_exception_only(caught.value)) + repr(vars(caught.value))
    assert KEY not in told
