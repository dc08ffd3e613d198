"""What a stream's core is told of time and chance; tests give their own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import attrs

from plexus.api.clock import now_ms


@attrs.frozen
class Clocks:
    """Milliseconds since 1970 UTC; seconds of a clock that only goes forward; numbers from 0 up to 1."""

    wall_ms: Callable[[], float] = now_ms
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
