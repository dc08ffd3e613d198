"""When a request is tried again and how long is waited before: a tenacity policy, without a clock of its own.

Tried again are requests that change nothing, after 429, 502, 503, 504 and failures of the network. A server that asks
for time (Retry-After) gets it, up to `LONGEST_WAIT_S`; if it asks for more, the error is raised at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from plexus.domain.errors import PlexusError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0


class Again(Exception):  # noqa: N818 - carries an error that may pass; never leaves plexus.api
    """Worth another try: `error` is what to raise when there is none left."""

    def __init__(self, error: PlexusError, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


def policy(retries: int, sleep: Callable[[float], None], rng: Callable[[], float] = random.random) -> Retrying:
    """Up to `retries` more tries after the first. `rng` gives numbers from 0 up to 1."""

    def wait(state: RetryCallState) -> float:
        asked = _asked_s(state)
        # Doubling, spread over half to all of it, so that many readers do not come back at one moment.
        growing = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(state.attempt_number - 1, 16))
        return asked if asked is not None else growing * (0.5 + 0.5 * rng())

    def stop(state: RetryCallState) -> bool:
        asked = _asked_s(state)
        return enough(state) or (asked is not None and asked > LONGEST_WAIT_S)

    enough = stop_after_attempt(retries + 1)
    return Retrying(retry=retry_if_exception_type(Again), wait=wait, stop=stop, sleep=sleep, reraise=True)


def _asked_s(state: RetryCallState) -> float | None:
    exc = state.outcome.exception() if state.outcome is not None else None
    return exc.retry_after_s if isinstance(exc, Again) else None
