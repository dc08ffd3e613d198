from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from tests.gateway.rest.house import House

NESTED = '{"command":"a","params":{"x":' + "[" * 100_000 + "]" * 100_000 + "}}"
COMMANDS = "/v1/sources/rig/commands"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nothing", "/v1/sources/rig/nothing", "/api/sources/a", "/v1/exports"]
)
def test_an_unknown_route_is_404_in_words(house: House, path: str) -> None:
    assert house.refused("GET", path) == (404, "there is no such route; GET /openapi.json lists those of the data API")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/sources", "GET"),
        ("PUT", "/v1/sources/rig", "GET"),
        ("PUT", COMMANDS, "POST"),
        ("PUT", "/api/runs", "POST"),
        ("GET", "/api/sources", "POST"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_one(house: House, method: str, path: str, allowed: str) -> None:
    answer = house.request(method, path)
    assert answer.status_code == 405
    assert list(answer.json()) == ["error"]
    assert allowed in answer.headers["allow"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "nonsense",
        "null",
        "[]",
        '{"command":"a","params":{"x":NaN}}',
        '{"command":"a","params":{"x":Infinity}}',
        '{"command":"a","params":{"x":1e999}}',
        '{"command":"a","params":{"x":"\\ud800"}}',
        '{"command":"a","params":{"x":' + "9" * 5_000 + "}}",
        '{"command":true}',
        NESTED,
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_json_or_no_command_is_400(house: House, body: str | bytes) -> None:
    link = house.connect("rig")
    status, error = house.refused("POST", COMMANDS, content=body)
    assert status == 400
    assert 0 < len(error) < 400
    assert link.calls == []


def test_a_missing_body_is_named(house: House) -> None:
    house.connect("rig")
    assert house.refused("POST", COMMANDS) == (400, "a JSON body is required")


def test_a_body_over_the_limit_is_413(house: House) -> None:
    house.connect("rig")
    limit = house.core.limits.rest_body_bytes
    assert house.refused("POST", COMMANDS, content=b" " * (limit + 1))[0] == 413
    body = b'{"command":"a"}'.ljust(limit)
    assert house.request("POST", COMMANDS, content=body).status_code == 200


class _Broken(MemoryStore):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def names(self, org: str, source_id: str) -> list[str]:
        raise self._error


def test_a_store_that_cannot_answer_is_503_and_says_why() -> None:
    house = House(_Broken(StoreError("the disk is full")))
    house.stored("rig", "a", 1)
    answer = house.request("GET", "/v1/sources/rig/metrics")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "the disk is full" in answer.json()["error"]
    house.close()


def test_a_fault_that_nobody_foresaw_is_500_and_tells_nothing_of_the_inside() -> None:
    house = House(_Broken(ZeroDivisionError("secret detail")))
    house.stored("rig", "a", 1)
    status, error = house.refused("GET", "/v1/sources/rig/metrics")
    assert status == 500
    assert "secret" not in error
    house.close()


class _Watched(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.threads: set[threading.Thread] = set()

    def sources(self, org: str) -> Mapping[str, int]:
        self.threads.add(threading.current_thread())
        return super().sources(org)


def test_the_store_is_never_asked_on_the_event_loop() -> None:
    store = _Watched()
    house = House(store)
    house.stored("rig", "a", 1)
    for path in ("", "/rig", "/rig/metrics", "/rig/metrics/latest", "/rig/metrics/query", "/rig/events"):
        house.get(f"/v1/sources{path}")
    assert store.threads
    assert threading.main_thread() not in store.threads
    house.close()
