from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.rest.house import House

ROUTES = {
    "/v1/sources": {"get"},
    "/v1/sources/{source_id}": {"get"},
    "/v1/sources/{source_id}/delivery": {"get"},
    "/v1/sources/{source_id}/metrics": {"get"},
    "/v1/sources/{source_id}/metrics/latest": {"get"},
    "/v1/sources/{source_id}/metrics/query": {"get"},
    "/v1/sources/{source_id}/events": {"get"},
    "/v1/sources/{source_id}/logs": {"get"},
    "/v1/sources/{source_id}/commands": {"post"},
    "/v1/fleet/health": {"get"},
    "/v1/fleet/metrics": {"get"},
    "/api/runs": {"get", "post"},
    "/api/runs/{run_id}": {"patch"},
    "/api/sources": {"post"},
    "/api/auth/verify-key": {"get"},
    "/healthz": {"get"},
}


@pytest.fixture
def document(house: House) -> Any:
    house.key = None
    return house.get("/openapi.json")


def test_the_document_needs_no_key_and_is_openapi_3_1(house: House, document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert house.request("GET", "/openapi.json").headers["content-type"] == "application/json"


def test_the_document_has_every_route_of_the_contract_and_no_other(document: Any) -> None:
    assert {path: set(item) for path, item in document["paths"].items()} == ROUTES


def test_every_operation_says_what_it_does_and_what_it_answers(document: Any) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["description"], path
            (success,) = [status for status in operation["responses"] if status < "300"]
            assert operation["responses"][success]["content"]["application/json"]["schema"], path


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
    }
    assert all(parameter["description"] for parameter in query if parameter["in"] == "query")


def test_an_operation_id_names_one_operation(document: Any) -> None:
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids)


def test_requests_carry_a_key_but_for_health(document: Any) -> None:
    assert document["security"] == [{"ApiKey": []}]
    assert document["components"]["securitySchemes"]["ApiKey"]["name"] == "x-api-key"
    assert document["paths"]["/healthz"]["get"]["security"] == [{}]
