"""Where a reader's key and addresses come from, and how its connections are made, for both clients."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
import pytest
import respx

from plexus import AsyncPlexusAPI, PlexusAPI
from plexus.adapters.transport.tls import trust
from plexus.api import wire
from plexus.api.place import Place
from plexus.domain.errors import ConfigurationError
from tests.api.asking import KEY, KINDS, URL, Ask, Kind

HEALTH = {"sources_total": 0, "sources_online": 0}


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, server: respx.MockRouter) -> None:
    monkeypatch.setenv("PLEXUS_API_KEY", KEY)
    monkeypatch.setenv("PLEXUS_URL", URL)
    route = server.get("/v1/fleet/health").respond(200, json=HEALTH)
    with PlexusAPI() as api:
        assert api.base_url == URL
        api.fleet.health()
    assert route.calls.last.request.headers["x-api-key"] == KEY
    assert AsyncPlexusAPI().base_url == URL


@pytest.mark.parametrize("client", [PlexusAPI, AsyncPlexusAPI])
def test_without_a_key_it_says_how_to_get_one(client: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"PLEXUS_API_KEY.*plexus init"):
        client(base_url=URL)


def test_an_address_with_a_question_mark_is_refused(ask: Ask) -> None:
    with pytest.raises(ConfigurationError, match="question mark"):
        Ask(ask.kind, url=f"{URL}/?a=1")(lambda api: api.fleet.health())


def test_runs_are_asked_of_the_app_and_the_rest_of_the_data_api(
    ask: Ask, server: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXUS_API_URL", URL)
    monkeypatch.setenv("PLEXUS_ENDPOINT", "https://app.example")
    server.get("/v1/fleet/health").respond(200, json=HEALTH)
    with respx.mock(base_url="https://app.example") as app:
        route = app.get("/api/runs").respond(200, json={"runs": []})

        def both(api: Any) -> Any:
            return api.runs.list()

        assert Ask(ask.kind, url="")(both) == []
        assert route.calls.last.request.headers["x-api-key"] == KEY


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_are_checked(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    made: list[Any] = []
    name = "Client" if kind == "blocking" else "AsyncClient"
    real = getattr(httpx, name)

    def spy(**arguments: Any) -> Any:
        made.append(arguments["verify"])
        return real(**arguments)

    monkeypatch.setattr(httpx, name, spy)
    with respx.mock(base_url="https://gateway.example") as server:
        server.get("/v1/fleet/health").respond(200, json=HEALTH)
        Ask(kind, url="https://gateway.example")(lambda api: api.fleet.health())
    assert made[0].verify_mode is ssl.CERT_REQUIRED
    assert made[0].check_hostname


@pytest.mark.parametrize(
    ("url", "app_url", "trusting"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9", False),
        ("http://localhost:9", "https://app.example", False),
        ("https://127.0.0.1:9", "http://127.0.0.1:9", True),
        ("http://gateway.example", "http://127.0.0.1:9", True),
    ],
)
def test_certificates_are_read_where_any_may_be_needed(
    monkeypatch: pytest.MonkeyPatch, url: str, app_url: str, trusting: bool
) -> None:
    system = trust()
    monkeypatch.setattr("plexus.api.wire.trust", lambda: system)
    context = wire.client_arguments(Place(url, app_url, KEY, 10.0), app=False)["verify"]
    assert (context is system) is trusting
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("client", [PlexusAPI, AsyncPlexusAPI])
def test_its_text_has_the_address_and_not_the_key(client: Any) -> None:
    api = client(KEY, URL)
    assert URL in repr(api)
    assert KEY not in repr(api)
    assert KEY not in repr(api._link._place)


@pytest.mark.parametrize("proxy", ["socks5://me:secret@127.0.0.1:1080", "gopher://me:secret@127.0.0.1:70"])
@pytest.mark.parametrize("client", [PlexusAPI, AsyncPlexusAPI])
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str, client: Any
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="NO_PROXY") as caught:
        client(KEY, "https://gateway.test")
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)
