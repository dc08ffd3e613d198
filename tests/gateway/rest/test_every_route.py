"""Every route of the OpenAPI document, every bare one and every WebSocket: by every scope, without a key, by another
organisation.

The routes are taken from the document, so that a new one is here without anybody's doing; what it needs beside its
sample (a query) is in QUERIES. The bare ones, which are not in it, are taken from the gateway's own list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import httpx
import orjson
import pytest

from plexus.domain.metricinfo import MetricInfo
from plexus.gateway import Gateway, ingest
from plexus.gateway.assembly import bare_posts
from plexus.gateway.rest.app import ROUTES
from plexus.gateway.rest.samples import SAMPLES
from plexus.gateway.wellknown import DEFAULT_ORG
from plexus.ports.keyring import SCOPES
from plexus.testing.contracts.commandbook import entry as command
from tests.gateway.rest.house import EVERYTHING, NOW_MS, House, key
from tests.gateway.test_ingest import point
from tests.gateway.test_remotewrite import packed, series
from tests.support.gateway import device, http, make_key, reader, running, socket

QUERIES = {
    "query_metrics": "?last=1h",
    "fleet_metrics": "?metric=t",
    "export": "?sources=rig",
    "remove_data": "?metrics=t&dry_run=1",
}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "announce_run": {"run_id": "new", "source_id": "rig", "status": "started", "timestamp": NOW_MS},
    "register_source": {"slug": "new"},
    "create_key": {"name": "new", "scopes": ["admin"]},
}
CAREFUL = frozenset({"metrics", "take_backup", "list_orgs"})
"""These are for operators alone, or look at the scope themselves: theirs are in test_operations and test_rotation."""
SCOPE_OF = {route.handler_name: route.opt["scope"] for route in ROUTES} | {"list_logs": "read"}
TAKING_AWAY = ("revoke_key", "rename_source", "delete_source")
OPEN = frozenset({"healthz", "readyz"})


@attrs.frozen
class Route:
    """One operation, as it is asked for here."""

    name: str
    method: str
    pattern: str
    key_id: str

    @property
    def path(self) -> str:
        """With the ids of what `house` holds."""
        ids = {"{source_id}": "rig", "{run_id}": "r", "{name}": "t", "{key_id}": self.key_id}
        path = self.pattern
        for name, value in ids.items():
            path = path.replace(name, value)
        return path + QUERIES.get(self.name, "")

    @property
    def body(self) -> Any:
        """What it takes."""
        return BODIES.get(self.name) or (SAMPLES[self.name].body if self.name in SAMPLES else None)


@pytest.fixture
def house(house: House) -> Iterator[House]:
    house.connect("arm")
    house.stored("rig", "t", 1)
    house.stored("rig", "door", "open", event=True)
    house.request("POST", "/api/runs", json={**BODIES["announce_run"], "run_id": "r"})
    house.core.devices.book.put(command("r"))
    house.core.metadata.put("acme", "rig", MetricInfo("t"))
    house._loop.run_until_complete(_start(house))
    yield house
    house._loop.run_until_complete(house.core.committer.stop())


async def _start(house: House) -> None:
    house.core.committer.start()


def routes(house: House) -> list[Route]:
    """All operations of the document; those that take something away come last."""
    _text, info = house.core.keyring.create("acme", "victim", ["admin"], source_id="rig")
    paths = house.request("GET", "/openapi.json").json()["paths"]
    found = [
        Route(operation["operationId"], method.upper(), path, info.key_id)
        for path, item in paths.items()
        for method, operation in item.items()
    ]
    return sorted(found, key=lambda route: route.name in TAKING_AWAY)


def test_every_handler_says_its_scope() -> None:
    assert {route.opt.get("scope") for route in ROUTES} <= {"public", "any", *SCOPES}


def test_a_route_takes_its_own_scope_and_no_other(house: House) -> None:
    asked = [route for route in routes(house) if SCOPE_OF[route.name] in SCOPES and route.name not in CAREFUL]
    assert len(asked) > 25
    for route in asked:
        own = SCOPE_OF[route.name]
        for other in set(SCOPES) - {own}:
            refused = house.refused(route.method, route.path, by=key(other), json=route.body)
            assert refused == (403, f"this key lacks the scope {own!r}"), (route, other)
        every = key(*set(SCOPES) - {own})
        assert house.refused(route.method, route.path, by=every, json=route.body)[0] == 403, route
        house.stored("rig", "t", 1)  # which the one before may have renamed
        status = house.request(route.method, route.path, by=key(own), json=route.body).status_code
        assert status < 400, (route, status)


def test_without_a_key_only_health_is_answered(house: House) -> None:
    asked = routes(house)
    house.key = None
    for route in asked:
        status = house.request(route.method, route.path, json=route.body).status_code
        assert (status == 401) == (route.name not in OPEN), (route, status)


@pytest.mark.parametrize("org", ["other", DEFAULT_ORG])
def test_another_organisation_finds_nothing_and_changes_nothing(house: House, org: str) -> None:
    asked, stranger = routes(house), key(*SCOPES, org=org)
    before = _whole(house)
    for route in asked:
        if org == DEFAULT_ORG and (route.name == "list_orgs" or "{key_id}" in route.pattern):
            continue  # an operator's, who may manage others' keys
        answer = house.request(route.method, route.path, by=stranger, json=route.body)
        if "{" in route.pattern or route.name == "export":
            assert answer.status_code == 404, (route, answer.text)
            nobodys = house.refused(route.method, route.path.replace("rig", "nobody"), by=stranger, json=route.body)
            assert answer.json()["error"].replace("rig", "nobody") == nobodys[1], route
        elif route.method == "GET":
            assert '"rig"' not in answer.text, (route, answer.text)
            assert "victim" not in answer.text, route
    assert _whole(house) == before


def test_a_key_of_another_source_finds_nothing_and_changes_nothing(house: House) -> None:
    asked, stranger = routes(house), key(*SCOPES, source_id="arm")
    before = _whole(house)
    for route in asked:
        answer = house.request(route.method, route.path, by=stranger, json=route.body)
        if "{" in route.pattern or route.name == "export":
            assert answer.status_code == 404, (route, answer.text)
        elif route.method == "GET":
            assert '"rig"' not in answer.text, (route, answer.text)
    assert _whole(house) == before


@pytest.mark.parametrize("field", ["org", "org_id", "role", "scopes", "actor", "key_id", "admin"])
def test_what_a_body_says_of_the_sender_is_passed_over_or_refused(house: House, field: str) -> None:
    weak = key("write", "commands")
    for route in routes(house):
        if SCOPE_OF[route.name] not in ("write", "commands") or route.body is None:
            continue
        said = {**route.body, field: ["admin"] if field == "scopes" else "other"}
        house.request(route.method, route.path, by=weak, json=said)
    assert not house.core.registry.registered("other")
    assert not house.core.registry.runs("other", None, None)
    assert not house.core.audit.entries("other")
    assert [info.name for info in house.core.keyring.list()] == ["victim"]


def _whole(house: House) -> Any:
    """All that the organisation has."""
    core = house.core
    return (
        dict(core.store.sources("acme")),
        core.store.names("acme", "rig"),
        core.registry.registered("acme"),
        core.registry.runs("acme", None, None),
        core.metadata.of("acme", "rig"),
        [info for info in core.keyring.list() if info.org == "acme"],
        list(core.audit.entries("acme")),
        house.get("/v1/sources/rig/commands", by=EVERYTHING)["commands"],
    )


INGESTED = orjson.dumps({"source_id": "rig", "points": [point(1)]})
WRITTEN = packed(series({"__name__": "motor.rpm", "source_id": "rig"}, [(1.0, NOW_MS)]))
BARE_BODIES = {"/ingest": INGESTED, "/api/ingest": INGESTED, "/api/v1/write": WRITTEN}


class TestBare:
    def _post(self, gateway: Gateway, path: str, key_: str | None, body: bytes | None = None) -> httpx.Response:
        with http(gateway, key_) as client:
            kind = {} if path != "/api/v1/write" else {"content-type": "application/x-protobuf"}
            return client.post(path, content=BARE_BODIES[path] if body is None else body, headers=kind)

    def test_the_list_is_whole_and_none_of_it_is_in_the_document(self, shared: Gateway) -> None:
        with http(shared) as client:
            document = client.get("/openapi.json").json()
        assert set(bare_posts(shared.core)) == set(BARE_BODIES)
        assert not set(BARE_BODIES) & set(document["paths"])
        assert all(path in document["info"]["description"] for path in BARE_BODIES)

    def test_a_bare_route_takes_write_and_no_other_scope_and_no_other_method(self, shared: Gateway) -> None:
        for path in bare_posts(shared.core):
            every = make_key(shared, *set(SCOPES) - {"write"})
            for refused in (*(make_key(shared, other) for other in set(SCOPES) - {"write"}), every):
                answer = self._post(shared, path, refused)
                assert (answer.status_code, answer.json()["error"]) == (403, "this key lacks the scope 'write'"), path
            assert self._post(shared, path, make_key(shared, "write")).is_success, path
            with http(shared) as client:
                assert {client.request(method, path).status_code for method in ("GET", "PUT", "DELETE")} == {405}

    def test_without_a_key_nothing_is_taken(self, gateway: Gateway) -> None:
        for path in bare_posts(gateway.core):
            assert self._post(gateway, path, None).status_code == 401
            assert self._post(gateway, path, "plx_nobodys").status_code == 401
        assert not gateway.core.store.sources(DEFAULT_ORG)

    def test_a_key_of_another_source_or_organisation_changes_nothing_here(self, gateway: Gateway) -> None:
        arm, theirs = make_key(gateway, "write", source_id="arm"), make_key(gateway, "write", org="other")
        for path in bare_posts(gateway.core):
            # Of Prometheus's samples, whose source is a label, each is refused by itself.
            assert self._post(gateway, path, arm).status_code == (403 if path in ingest.PATHS else 400), path
            assert self._post(gateway, path, theirs).is_success, path
        assert not gateway.core.store.sources(DEFAULT_ORG)
        assert list(gateway.core.store.sources("other")) == ["rig"]

    @pytest.mark.parametrize("field", ["org", "org_id", "role", "scopes", "actor", "key_id", "admin"])
    def test_what_a_body_says_of_the_sender_is_passed_over(self, gateway: Gateway, field: str) -> None:
        for path in ingest.PATHS:
            said = orjson.dumps({**orjson.loads(INGESTED), field: "other"})
            assert self._post(gateway, path, make_key(gateway, "write"), said).status_code == 200
        label = packed(series({"__name__": "t", "source_id": "rig", field: "other"}, [(1.0, NOW_MS)]))
        assert self._post(gateway, "/api/v1/write", make_key(gateway, "write"), label).status_code == 204
        assert list(gateway.core.store.sources(DEFAULT_ORG)) == ["rig"]
        assert not gateway.core.store.sources("other")


class TestSockets:
    STREAMS = ("metrics", "events", "logs")

    @pytest.mark.parametrize("stream", STREAMS)
    def test_a_reader_hears_its_own_organisations_source_and_not_the_one_of_that_name_elsewhere(
        self, stream: str
    ) -> None:
        with running() as gateway:
            theirs = make_key(gateway, "read", "write", org="other")
            kind = "metric" if stream == "metrics" else "event"
            with reader(gateway, f"/v1/sources/rig/{stream}/stream", key=theirs) as wire:
                for key_, value in ((None, 1), (theirs, 2)):
                    with http(gateway) if key_ is None else http(gateway, key_) as client:
                        body = {"source_id": "rig", "points": [point(value, **{"class": kind})]}
                        assert client.post("/ingest", json=body).status_code == 200
                heard = wire.hear()
            assert (heard["points"][0]["value"] if stream == "metrics" else heard["value"]) == 2

    @pytest.mark.parametrize("stream", [*STREAMS, "video"])
    @pytest.mark.parametrize("wrong", ["scope", "source"])
    def test_a_reader_needs_the_scope_and_the_source(self, stream: str, wrong: str) -> None:
        with running() as gateway:
            scopes = set(SCOPES) - {"read"} if wrong == "scope" else {"read"}
            bad = make_key(gateway, *scopes, source_id=None if wrong == "scope" else "arm")
            with socket(gateway, f"/v1/sources/rig/{stream}/stream") as wire:
                wire.say(type="auth", api_key=bad)
                assert wire.closed()[0] in (4001, 4401)

    def test_devices_of_two_organisations_have_one_name_and_two_sources(self) -> None:
        with running() as gateway:
            theirs = make_key(gateway, "write", org="other")
            with device(gateway, "rig", install_id="a"), device(gateway, "rig", key=theirs, install_id="b") as wire:
                assert wire.authenticated["source_id"] == "rig"
            assert gateway.core.registry.registered("other") == ["rig"]
