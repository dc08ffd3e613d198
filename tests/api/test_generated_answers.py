"""Answers that schemathesis makes of the gateway's own OpenAPI document, right ones and wrong ones, put to the readers.

A right answer is read, a wrong one is refused as the error tree says; nothing else may come out. schemathesis generates
bodies of requests, so each answer's schema stands as that of a request in a document of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from plexus import PlexusAPI
from plexus.domain.errors import ApiError
from tests.api.asking import KEY, URL, Question
from tests.api.test_routes import ROUTES
from tests.support.gateway import http, running

OPERATIONS: Mapping[str, str] = {
    "list_sources": "sources.list",
    "get_source": "sources.get",
    "get_delivery": "sources.delivery",
    "register_source": "sources.register",
    "rename_source": "sources.rename",
    "delete_source": "sources.delete",
    "latest_values": "metrics.latest",
    "query_metrics": "metrics.query",
    "put_metric": "metrics.describe",
    "forget_metric": "metrics.forget",
    "remove_data": "metrics.remove, counted",
    "list_events": "events.list",
    "fleet_health": "fleet.health",
    "fleet_metrics": "fleet.metrics",
    "list_commands": "commands.list",
    "send_command": "commands.send",
    "get_command": "commands.get",
    "list_runs": "runs.list",
    "announce_run": "runs.start",
    "close_run": "runs.end",
    "get_run": "runs.get",
    "verify_key": "whoami",
}
"""Which call reads which operation's answer."""

BEYOND_THE_SCHEMA = re.compile(r"of one length|no time with an offset|but sources\[\d+\] has no ")
"""What the document does not say: columns fit each other, a time is one, and the fleet's columns are all there."""

FEW = settings(
    max_examples=15,
    deadline=None,
    # Shrinking an answer of several thousand values takes minutes; a failure is told by the path in the message.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def document() -> Any:
    with running() as gateway, http(gateway) as client:
        return client.get("/openapi.json").json()


@pytest.fixture(scope="module")
def answers(document: Any) -> Any:
    """A document that takes as a request's body what the gateway's operation of that path answers."""
    paths = {f"/{name}": {"post": _taking(content)} for name, content in _successes(document)}
    return schemathesis.openapi.from_dict({**document, "paths": paths, "security": []})


def _successes(document: Any) -> Iterator[tuple[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            (status,) = [status for status in operation["responses"] if status < "300"]
            content = operation["responses"][status]["content"]
            if operation["operationId"] in OPERATIONS:
                yield operation["operationId"], {"application/json": {"schema": content["application/json"]["schema"]}}


def _taking(content: Any) -> Any:
    return {"requestBody": {"required": True, "content": content}, "responses": {"200": {"description": "taken"}}}


class Answering:
    """A reader whose every question is answered with `body`."""

    def __init__(self) -> None:
        self.body = b""
        self.api = PlexusAPI(KEY, URL, transport=httpx.MockTransport(self._answer))

    def ask(self, question: Question, body: bytes) -> str:
        """What the reader refuses the answer with, "" when it reads it. Anything but an ApiError comes out."""
        self.body = body
        try:
            question(self.api)
        except ApiError as exc:
            return str(exc)
        return ""

    def _answer(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self.body, headers={"content-type": "application/json"})


@pytest.fixture(scope="module")
def reader() -> Iterator[Answering]:
    made = Answering()
    yield made
    made.api.close()


def test_every_operation_that_a_reader_asks_is_tried(document: Any) -> None:
    assert {name for name, _content in _successes(document)} == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_the_gateway_s_schema_allows_is_read(answers: Any, reader: Answering, operation: str) -> None:
    @FEW
    @given(case=answers[f"/{operation}"]["POST"].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def read(case: Any) -> None:
        refused = reader.ask(ROUTES[OPERATIONS[operation]].ask, _json(case.body))
        assert not refused or BEYOND_THE_SCHEMA.search(refused), refused

    read()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_the_schema_does_not_allow_is_read_or_refused_by_name(
    answers: Any, reader: Answering, operation: str
) -> None:
    @FEW
    @given(case=answers[f"/{operation}"]["POST"].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def read(case: Any) -> None:
        reader.ask(ROUTES[OPERATIONS[operation]].ask, _json(case.body))

    read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary())
NAMES = st.sampled_from(sorted(ROUTES))


@settings(FEW, max_examples=100)
@given(body=BODIES, name=NAMES)
def test_any_body_is_read_or_refused_by_name(reader: Answering, body: bytes, name: str) -> None:
    reader.ask(ROUTES[name].ask, body)


@settings(FEW, max_examples=100)
@given(data=st.data(), name=NAMES)
def test_a_right_answer_with_one_thing_put_wrong_is_read_or_refused_by_name(
    reader: Answering, data: st.DataObject, name: str
) -> None:
    answer = json.loads(json.dumps(ROUTES[name].answer))
    reader.ask(ROUTES[name].ask, _json(_damaged(answer, data)))


def _damaged(value: Any, data: st.DataObject) -> Any:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or data.draw(st.integers(0, 3)) == 0:
        return data.draw(JSON)
    key = data.draw(st.sampled_from(keys))
    value[key] = _damaged(value[key], data)
    return value


def _json(value: Any) -> bytes:
    # A wrong body may be no JSON at all.
    return value if isinstance(value, bytes) else json.dumps(value, default=repr).encode()
