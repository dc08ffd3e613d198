"""docs/reference/http.md: every example is asked of a gateway, and every route of the OpenAPI document is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from plexus.gateway import Gateway
from plexus.gateway.assembly import bare_posts
from tests.docs.pages import ROOT, Block, blocks

PAGE = ROOT / "docs" / "reference" / "http.md"
KEY = "plx_a-key-for-the-documentation-0123456789"
METHODS = ("get", "post", "patch", "put", "delete")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client of a gateway in memory."""
    with (
        Gateway(bootstrap_key=KEY) as gateway,
        httpx.Client(base_url=gateway.url, headers={"x-api-key": KEY}, trust_env=False) as made,
    ):
        yield made


def test_every_example_is_answered_as_the_page_says(client: httpx.Client) -> None:
    examples = [block for block in blocks(PAGE) if block.language == "http"]
    assert examples
    for block in examples:
        _check(client, block)


def test_every_route_of_the_openapi_document_is_on_the_page(client: httpx.Client) -> None:
    text = PAGE.read_text(encoding="utf-8").replace("drone-01", "{source_id}")
    paths: dict[str, dict[str, Any]] = client.get("/openapi.json").json()["paths"]
    missing = [
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method in METHODS
        if method in operations and path not in text
    ]
    assert not missing


def test_every_route_that_the_document_has_not_is_on_the_page() -> None:
    with Gateway() as gateway:
        bare = bare_posts(gateway.core)
    text = PAGE.read_text(encoding="utf-8")
    assert bare
    assert not [path for path in bare if f"`POST {path}`" not in text]


def _check(client: httpx.Client, block: Block) -> None:
    asked, _, answered = block.text.partition("\n\n")
    request, _, body = asked.partition("\n")
    method, path = request.split(" ", 1)
    status, _, expected = answered.partition("\n")
    answer = client.request(method, path, content=body.encode() or None)
    assert (block.name, answer.status_code) == (block.name, int(status)), answer.text
    assert shape(answer.json()) == shape(json.loads(expected)), f"{block.name}: {answer.text}"


def shape(value: Any) -> Any:
    """The types in a JSON value; of a list that of its items, of a number only that it is one."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)
