"""Both clients against a mocked network: a test that takes `ask` runs once for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import respx

from tests.api.asking import KINDS, URL, Ask, Kind


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        yield router


@pytest.fixture
def waits() -> list[float]:
    """What was waited between tries, in seconds."""
    return []


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def ask(kind: Kind, server: respx.MockRouter, waits: list[float]) -> Ask:
    return Ask(kind, waits)
