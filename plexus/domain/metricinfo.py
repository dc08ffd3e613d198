"""What is known of a metric beside its values: its unit, what it is, and the range that it should stay in."""

from __future__ import annotations

import math

import attrs

from plexus.domain.values import Value


@attrs.frozen
class MetricInfo:
    """One metric of one source.

    Attributes:
        name: the metric.
        unit: what its numbers are in, as a person writes it ("V", "m/s"); None when nobody said.
        description: what it is, for people.
        low, high: the least and the greatest value that is expected, both included; None for no bound on that side.
    """

    name: str
    unit: str | None = None
    description: str | None = None
    low: float | None = None
    high: float | None = None

    def is_outside(self, value: Value) -> bool:
        """Whether a value is a number outside of the range; NaN is in no range, what is no number outside of none."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or (self.low is None and self.high is None):
            return False
        if math.isnan(value):
            return True
        return (self.low is not None and value < self.low) or (self.high is not None and value > self.high)
