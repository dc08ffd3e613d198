"""When a request is tried again and how long is waited before: a tenacity policy, without a clock of its own.

Tried again are requests that change nothing, after 429, 502, 503, 504 and failures of the network. A server that asks
for time (Retry-After) gets it. There are at most so many tries, and none begins once the budget of seconds is spent: a
server that asks for more time than is left has its error raised at once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception_type

from plexus.domain.errors import ConfigurationError, PlexusError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0


class Again(Exception):  # noqa: N818 - carries an error that may pass; never leaves plexus.api
    """Worth another try: `error` is what to raise when there is none left."""

    def __init__(self, error: PlexusError, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


@attrs.frozen
class Budget:
    """How much is tried: `retries` more times after the first, all begun within `seconds`. ConfigurationError."""

    retries: int
    seconds: float

    def __attrs_post_init__(self) -> None:
        """Refuse what is no number of times, or no length of time."""
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise ConfigurationError(f"retries must be a whole number of 0 or more, not {self.retries!r}")
        if not self.seconds >= 0:
            raise ConfigurationError(f"retry_budget_s must be 0 seconds or more, not {self.seconds!r}")


def policy(budget: Budget, sleep: Callable[[float], None], rng: Callable[[], float] = random.random) -> Retrying:
    """For one call that blocks. `rng` gives numbers from 0 up to 1."""
    return Retrying(sleep=sleep, **_rules(budget, rng))


def async_policy(
    budget: Budget, sleep: Callable[[float], Awaitable[None]], rng: Callable[[], float] = random.random
) -> AsyncRetrying:
    """For one call that is awaited. One policy a call: tenacity keeps where it is in the policy itself."""
    return AsyncRetrying(sleep=sleep, **_rules(budget, rng))


def _rules(budget: Budget, rng: Callable[[], float]) -> Mapping[str, Any]:
    def wait(state: RetryCallState) -> float:
        asked = _asked_s(state)
        # Doubling, spread over half to all of it, so that many readers do not come back at one moment.
        growing = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(state.attempt_number - 1, 16))
        return asked if asked is not None else growing * (0.5 + 0.5 * rng())

    def stop(state: RetryCallState) -> bool:
        # What was waited counts even if a test's `sleep` took no time.
        spent = max(state.seconds_since_start or 0.0, state.idle_for)
        return state.attempt_number > budget.retries or spent + state.upcoming_sleep > budget.seconds

    return {"retry": retry_if_exception_type(Again), "wait": wait, "stop": stop, "reraise": True}


def _asked_s(state: RetryCallState) -> float | None:
    exc = state.outcome.exception() if state.outcome is not None else None
    return exc.retry_after_s if isinstance(exc, Again) else None
