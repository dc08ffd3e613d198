"""How a refused batch is tried again: the delays that a program may set."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from plexus.domain.errors import ConfigurationError

JITTER = 0.25


def _positive(_owner: object, attribute: attrs.Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigurationError(f"RetryConfig: {attribute.name} must be a number above 0, not {value!r}")


def _count(_owner: object, attribute: attrs.Attribute[int], value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"RetryConfig: {attribute.name} must be a whole number from 0, not {value!r}")


@attrs.frozen
class RetryConfig:
    """Delays between tries of one batch over HTTP (429, 5xx, an answer that makes no sense).

    Attributes:
        max_retries: tries in a row on one connection; after them it is closed and made anew. Data is kept meanwhile.
        base_delay: seconds before the first retry.
        max_delay: seconds that no delay exceeds, but for jitter.
        exponential_base: factor from one delay to the next.
        jitter: spread each delay by 25 % either way, so that a fleet does not come back as one.
    """

    max_retries: int = attrs.field(default=3, validator=_count)
    base_delay: float = attrs.field(default=1.0, validator=_positive)
    max_delay: float = attrs.field(default=30.0, validator=_positive)
    exponential_base: float = attrs.field(default=2.0, validator=_positive)
    jitter: bool = True

    def get_delay(self, attempt: int, dice: Callable[[], float] = random.random) -> float:
        """Seconds before retry number `attempt`, counted from 0."""
        try:
            delay = min(self.max_delay, self.base_delay * self.exponential_base**attempt)
        except OverflowError:
            delay = self.max_delay
        return delay * (1.0 - JITTER + 2.0 * JITTER * dice()) if self.jitter else delay
