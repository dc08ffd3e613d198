"""Every route by every scope, every route by another organisation, every route by a key of another source."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar, get

from plexus.domain.metricinfo import MetricInfo
from plexus.gateway.rest.app import ROUTES
from plexus.gateway.rest.caller import check_scope
from plexus.gateway.rest.faults import HANDLERS
from plexus.ports.keyring import SCOPES
from plexus.testing.contracts.commandbook import entry as command
from tests.gateway.rest.house import EVERYTHING, House, key

SOURCE = "/v1/sources/rig"
BY_SOURCE: list[tuple[str, str, str, Any]] = [
    ("GET", SOURCE, "read", None),
    ("GET", f"{SOURCE}/delivery", "read", None),
    ("GET", f"{SOURCE}/metrics", "read", None),
    ("GET", f"{SOURCE}/metrics/latest", "read", None),
    ("GET", f"{SOURCE}/metrics/query?last=1h", "read", None),
    ("GET", f"{SOURCE}/events", "read", None),
    ("GET", f"{SOURCE}/logs", "read", None),
    ("GET", "/v1/export?sources=rig", "read", None),
    ("POST", f"{SOURCE}/commands", "commands", {"command": "a"}),
    ("GET", f"{SOURCE}/commands", "read", None),
    ("GET", "/v1/commands/r", "read", None),
    ("DELETE", f"{SOURCE}/data?metrics=t&dry_run=1", "admin", None),
    ("PUT", f"{SOURCE}/metrics/t", "write", {"unit": "V"}),
    ("DELETE", f"{SOURCE}/metrics/t", "write", None),
    ("GET", "/api/runs/r", "read", None),
    ("PATCH", "/api/runs/r", "write", {"status": "completed"}),
]
OVER_ALL: list[tuple[str, str, str, Any]] = [
    ("GET", "/v1/sources", "read", None),
    ("GET", "/v1/fleet/health", "read", None),
    ("GET", "/v1/fleet/metrics?metric=t", "read", None),
    ("GET", "/api/runs", "read", None),
    ("POST", "/api/runs", "write", {"run_id": "r", "source_id": "rig", "status": "started"}),
    ("POST", "/api/sources", "write", {"slug": "new"}),
    ("GET", "/v1/admin/keys", "admin", None),
    ("POST", "/v1/admin/keys", "admin", {"name": "new", "scopes": ["admin"]}),
    ("GET", "/v1/admin/audit", "admin", None),
]
GUARDED = BY_SOURCE + OVER_ALL


def _names(routes: list[tuple[str, str, str, Any]]) -> list[str]:
    return [f"{method} {path}" for method, path, _scope, _body in routes]


@pytest.fixture
def house(house: House) -> House:
    house.connect("rig")
    house.stored("rig", "t", 1)
    house.stored("rig", "door", "open", event=True)
    house.request("POST", "/api/runs", json={"run_id": "r", "source_id": "rig", "status": "started"})
    house.core.devices.book.put(command("r"))
    house.core.registry.put_metric("acme", "rig", MetricInfo("t", "V"))
    return house


def test_the_tables_here_have_every_route() -> None:
    paths = {path for route in ROUTES for path in route.paths}
    patterns = {path.replace("{source_id:str}", "rig").replace("{run_id:str}", "r") for path in paths}
    patterns = {path.replace("{rest:path}", "rig").replace("{name:path}", "t") for path in patterns}
    patterns = {path.replace("{run_id:path}", "r") for path in patterns}
    asked = {path.partition("?")[0] for _method, path, _scope, _body in GUARDED}
    own = {"/readyz", "/metrics", "/v1/admin/backup"}  # theirs are in test_operations
    own |= {"/v1/admin/keys/{key_id:str}", "/v1/admin/keys/{key_id:str}/rotate", "/v1/admin/orgs"}  # in test_admin
    assert patterns - asked - own == {"/healthz", "/api/auth/verify-key", "/v1/devices", "/v1/devices/rig"}


@pytest.mark.parametrize(("method", "path", "scope", "body"), GUARDED, ids=_names(GUARDED))
def test_a_route_takes_its_own_scope_and_no_other(house: House, method: str, path: str, scope: str, body: Any) -> None:
    for other in SCOPES:
        status = house.request(method, path, by=key(other), json=body).status_code
        assert (status < 400) == (other == scope), (other, status)
        if other != scope:
            assert status == 403
    status, error = house.refused(method, path, by=key(*set(SCOPES) - {scope}), json=body)
    assert (status, error) == (403, f"this key lacks the scope {scope!r}")


@pytest.mark.parametrize(("method", "path", "scope", "body"), GUARDED, ids=_names(GUARDED))
def test_without_a_key_nothing_is_answered(house: House, method: str, path: str, scope: str, body: Any) -> None:
    house.key = None
    status, error = house.refused(method, path, json=body)
    assert (status, error) == (401, "an API key is required, in the header x-api-key")


@pytest.mark.parametrize(("method", "path", "scope", "body"), BY_SOURCE, ids=_names(BY_SOURCE))
def test_another_organisation_gets_404(house: House, method: str, path: str, scope: str, body: Any) -> None:
    status, theirs = house.refused(method, path, by=key(*SCOPES, org="other"), json=body)
    assert status == 404
    unknown = path.replace("/rig", "/nobody").replace("=rig", "=nobody").replace("runs/r", "runs/nobody")
    unknown = unknown.replace("/v1/commands/r", "/v1/commands/nobody")
    _status, nobodys = house.refused(method, unknown, json=body)
    assert nobodys.replace("nobody", "rig") == theirs or nobodys.replace("'nobody'", "'r'") == theirs


@pytest.mark.parametrize(("method", "path", "scope", "body"), BY_SOURCE, ids=_names(BY_SOURCE))
def test_a_key_of_another_source_gets_404(house: House, method: str, path: str, scope: str, body: Any) -> None:
    assert house.refused(method, path, by=key(*SCOPES, source_id="arm"), json=body)[0] == 404
    assert house.request(method, path, by=key(*SCOPES, source_id="rig"), json=body).status_code == 200


def test_lists_hold_nothing_of_another_organisation_or_source(house: House) -> None:
    for stranger in (key(*SCOPES, org="other"), key(*SCOPES, source_id="arm")):
        assert house.get("/v1/sources", by=stranger) == {"devices": []}
        assert house.get("/v1/fleet/health", by=stranger)["sources_total"] == 0
        assert house.get("/v1/fleet/metrics?metric=t", by=stranger)["sources"] == []
        assert house.get("/api/runs", by=stranger) == {"runs": []}


def test_a_key_of_one_source_cannot_register_another(house: House) -> None:
    only = key("write", source_id="arm")
    status, error = house.refused("POST", "/api/sources", by=only, json={"slug": "new"})
    assert (status, error) == (403, "this key is for the source 'arm' only")
    assert house.request("POST", "/api/sources", by=only, json={"slug": "arm"}).status_code == 201


def test_a_handler_that_names_no_scope_is_closed_to_everybody() -> None:
    @get("/forgotten")
    async def forgotten() -> str:
        return "secret"

    house = House()
    house.app = Litestar(  # type: ignore[assignment]
        [forgotten], guards=[check_scope], exception_handlers=HANDLERS, logging_config=None, openapi_config=None
    )
    assert house.refused("GET", "/forgotten", by=EVERYTHING) == (403, "no key may do this")
    house.close()


def test_any_key_may_ask_what_it_is(house: House) -> None:
    assert house.get("/api/auth/verify-key", by=key("write", "read")) == {
        "org_id": "acme",
        "scopes": ["read", "write"],
        "source_id": None,
    }
    assert house.get("/api/auth/verify-key", by=key("admin", source_id="rig"))["source_id"] == "rig"
    house.key = None
    assert house.refused("GET", "/api/auth/verify-key")[0] == 401


def test_any_key_is_led_from_devices_to_sources_and_nobody_else(house: House) -> None:
    for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
        assert house.request(method, "/v1/devices/rig/commands", by=key("commands")).status_code == 307
    house.key = None
    assert house.refused("GET", "/v1/devices")[0] == 401


def test_health_needs_no_key(house: House) -> None:
    house.key = None
    assert house.get("/healthz") == {"status": "ok"}
