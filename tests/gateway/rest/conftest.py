from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.rest.house import House


@pytest.fixture
def house() -> Iterator[House]:
    """A fresh gateway's REST part."""
    made = House()
    yield made
    made.close()
