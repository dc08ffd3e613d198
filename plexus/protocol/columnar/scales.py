"""Finding the scale of a column of floats: most are a whole number times, or divided by, one and the same factor.

A sensor's reading is an ADC count times its resolution, or a decimal number of few digits. A wrong guess costs time
only: whoever uses a scale compares every bit of what it gives back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

MAX_DECIMALS = 9
DECIMAL_SAMPLE = 8
MAX_COUNT = 2.0**23
"""What a step of an ADC is looked for up to; a decimal number may have more of its steps."""

NOTHING = 2.0**-28
"""A remainder this much smaller than the largest value is a rounding error."""

SMALLEST = 1e-200
"""A step under this would leave the range of floats when it is divided by."""

BINARY_PLACES = 1024.0
"""A divisor such as 131.0 or 16383.75 is a short binary number."""


@attrs.frozen
class Scale:
    """`value = count / factor`, or `count * factor`. `exact` says whether that held for every bit of a sample."""

    factor: float
    divides: bool
    exact: bool = True

    def values(self, counts: Sequence[float]) -> list[float]:
        """Counts as values."""
        factor = self.factor
        return [count / factor for count in counts] if self.divides else [count * factor for count in counts]

    @property
    def per_unit(self) -> float:
        """How many counts make 1.0, nearly."""
        return self.factor if self.divides else 1.0 / self.factor


def find_scale(sample: Sequence[float]) -> Scale | None:
    """The scale of these finite floats, or None if they seem to have none."""
    return _decimal(sample[:DECIMAL_SAMPLE]) or _step(sample)


def _decimal(sample: Sequence[float]) -> Scale | None:
    digits = 0
    for value in sample:
        _, _, fraction = repr(value).partition(".")
        if not fraction.isdigit() or len(fraction) > MAX_DECIMALS:
            return None
        if fraction != "0":
            digits = max(digits, len(fraction))
    return Scale(10.0**digits, divides=True)


def _step(sample: Sequence[float]) -> Scale | None:
    sizes = sorted({abs(value) for value in sample} - {0.0})
    if not sizes:
        return None
    step = _common_measure(sizes, sizes[-1] * NOTHING)
    if step * MAX_COUNT < sizes[-1] or step < SMALLEST:
        return None
    return _divisor(step, sizes) or _factor(step, sizes)


def _common_measure(sizes: Sequence[float], tolerance: float) -> float:
    """What all of these, in ascending order, are multiples of; about as small as `tolerance` if there is nothing."""
    measure = sizes[0]
    for size in sizes:
        known, rest = measure, abs(math.remainder(size, measure))
        while rest > tolerance:
            known, rest = rest, abs(math.remainder(known, rest))
        if known <= 2 * tolerance:
            return known
        # Euclid's rounding errors grow from step to step: the larger the count, the better the measure that it gives.
        measure = size / round(size / known)
    return measure


def _divisor(step: float, sizes: Sequence[float]) -> Scale | None:
    exact = 1.0 / step
    factor = round(exact * BINARY_PLACES) / BINARY_PLACES
    if not factor or abs(factor - exact) > exact * 1e-9:
        return None
    scale = Scale(factor, divides=True)
    return scale if _fits(scale, sizes) else None


def _factor(step: float, sizes: Sequence[float]) -> Scale:
    for factor in (step, math.nextafter(step, math.inf), math.nextafter(step, 0.0)):
        scale = Scale(factor, divides=False)
        if _fits(scale, sizes):
            return scale
    return Scale(step, divides=False, exact=False)


def _fits(scale: Scale, sizes: Sequence[float]) -> bool:
    per_unit = scale.per_unit
    return scale.values([round(size * per_unit) for size in sizes]) == sizes
