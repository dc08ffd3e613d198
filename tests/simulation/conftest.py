from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_of_the_episodes() -> Iterator[None]:
    """What an episode left standing ends here, and the log is as it was: the tests that come after it look at both."""
    before = logging.root.manager.disable
    yield
    logging.disable(logging.CRITICAL)
    gc.collect()
    logging.disable(before)
