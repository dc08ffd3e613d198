"""One gateway for a whole file: what is tried on it must not spoil it for the next one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.security.target import Target


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A gateway process that still answers when the file is through."""
    served = Target(tmp_path_factory.mktemp("target")).start()
    yield served
    assert served.get("/healthz") == {"status": "ok"}, "the gateway did not survive"
    assert " 500" not in served.said()
    served.kill()


@pytest.fixture
def target(served: Target) -> Iterator[Target]:
    """The same for one test; what it opened is closed."""
    yield served
    served.hang_up()


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Another gateway process, which nobody bothers: what is measured at the first is compared with it."""
    control = Target(tmp_path_factory.mktemp("control")).start()
    yield control
    control.kill()
