from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from plexus.gateway.rest.samples import SAMPLES
from tests.gateway.rest.house import House

ROUTES = {
    "/v1/sources": {"get"},
    "/v1/sources/{source_id}": {"get", "delete", "patch"},
    "/v1/sources/{source_id}/data": {"delete"},
    "/v1/sources/{source_id}/delivery": {"get"},
    "/v1/sources/{source_id}/metrics": {"get"},
    "/v1/sources/{source_id}/metrics/latest": {"get"},
    "/v1/sources/{source_id}/metrics/query": {"get"},
    "/v1/sources/{source_id}/metrics/{name}": {"put", "delete"},
    "/v1/sources/{source_id}/events": {"get"},
    "/v1/sources/{source_id}/logs": {"get"},
    "/v1/sources/{source_id}/commands": {"get", "post"},
    "/v1/commands/{run_id}": {"get"},
    "/v1/export": {"get"},
    "/v1/fleet/health": {"get"},
    "/v1/fleet/metrics": {"get"},
    "/api/runs": {"get", "post"},
    "/api/runs/{run_id}": {"get", "patch"},
    "/api/sources": {"post"},
    "/api/auth/verify-key": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
    "/v1/admin/backup": {"post"},
    "/v1/admin/keys": {"get", "post"},
    "/v1/admin/keys/{key_id}": {"delete"},
    "/v1/admin/keys/{key_id}/rotate": {"post"},
    "/v1/admin/orgs": {"get"},
    "/v1/admin/audit": {"get"},
}
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def document(house: House) -> Any:
    house.key = None
    return house.get("/openapi.json")


def test_the_document_needs_no_key_and_is_openapi_3_1(house: House, document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert house.request("GET", "/openapi.json").headers["content-type"] == "application/json"


def test_the_document_has_every_route_of_the_contract_and_no_other(document: Any) -> None:
    assert {path: set(item) for path, item in document["paths"].items()} == ROUTES


def _operations(document: Any) -> Iterator[tuple[str, Any]]:
    for item in document["paths"].values():
        for operation in item.values():
            yield operation["operationId"], operation


def _success(operation: Any) -> Any:
    (status,) = [status for status in operation["responses"] if status < "300"]
    return operation["responses"][status]["content"]


def test_every_operation_says_what_it_does_and_what_it_answers(document: Any) -> None:
    for name, operation in _operations(document):
        assert operation["description"], name
        assert all(media["schema"] for media in _success(operation).values()), name


def test_an_operation_has_its_handlers_name(document: Any) -> None:
    names = [name for name, _operation in _operations(document)]
    assert {"list_sources", "query_metrics", "list_events", "list_logs", "announce_run"} <= set(names)
    assert len(set(names)) == len(names)


def test_every_answer_and_every_body_has_an_example_that_fits_its_schema(document: Any) -> None:
    for name, operation in _operations(document):
        shown = [media for kind, media in _success(operation).items() if kind == "application/json"]
        shown += operation["requestBody"]["content"].values() if "requestBody" in operation else []
        for media in shown:
            assert "example" in media.get("examples", {}), f"add an example of {name} to plexus/gateway/rest/samples.py"
            whole = {**media["schema"], "components": document["components"]}
            faults = jsonschema_rs.validator_for(whole).iter_errors(media["examples"]["example"]["value"])
            assert [fault.message for fault in faults] == [], name


def test_every_example_is_one_of_an_operation(document: Any) -> None:
    assert set(SAMPLES) <= {name for name, _operation in _operations(document)}


def test_what_has_a_body_may_be_too_large_and_too_slow(document: Any) -> None:
    for name, operation in _operations(document):
        assert ("requestBody" in operation) == ({"408", "413"} <= set(operation["responses"])), name


def test_tables_come_as_arrow_too_and_an_export_as_files(document: Any) -> None:
    operations = dict(_operations(document))
    for name in ("query_metrics", "list_events", "list_logs", "fleet_metrics"):
        assert set(_success(operations[name])) == {"application/json", ARROW}
        assert "406" in operations[name]["responses"]
    files = {"text/csv", "application/vnd.apache.parquet"}
    assert set(_success(operations["export"])) == {"application/json", *files}


def test_who_should_ask_later_is_told_when(document: Any) -> None:
    responses = dict(_operations(document))["query_metrics"]["responses"]
    assert {status for status, answer in responses.items() if "retry-after" in answer.get("headers", {})} == {
        "429",
        "503",
        "504",
    }


def test_a_parameter_is_never_null(document: Any) -> None:
    for name, operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            assert "oneOf" not in parameter["schema"], (name, parameter["name"])


def test_every_refusal_has_the_shape_of_ours(document: Any) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Refusal"}, (path, status)


def test_every_reference_leads_somewhere(document: Any) -> None:
    assert set(_references(document)) <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


def test_parameters_are_described_and_dependencies_are_not_among_them(document: Any) -> None:
    query = document["paths"]["/v1/sources/{source_id}/metrics/query"]["get"]["parameters"]
    names = {parameter["name"]: parameter["in"] for parameter in query}
    assert names == {
        "source_id": "path",
        "metrics": "query",
        "metric": "query",
        "last": "query",
        "start": "query",
        "end": "query",
        "interval": "query",
        "limit": "query",
    }
    assert all(parameter["description"] for parameter in query if parameter["in"] == "query")


def test_requests_carry_a_key_but_for_health(document: Any) -> None:
    assert document["security"] == [{"ApiKey": []}]
    assert document["components"]["securitySchemes"]["ApiKey"]["name"] == "x-api-key"
    assert document["paths"]["/healthz"]["get"]["security"] == [{}]
