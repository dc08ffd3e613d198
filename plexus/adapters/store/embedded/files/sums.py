"""Sums of groups of floats as a pair of floats (the sum rounded, and what the rounding left), and means of them.

The numbers are cut at a power of two that leaves the sum of what is above the cut exact, and so again with what is
below it until nothing is left: the order of the numbers does not count, and a pair is right to 106 bits. Its mean is
the correctly rounded one, but where numbers cancel each other to less than a 10^15th of the largest.
"""

from __future__ import annotations

import numpy as np

from plexus.adapters.store.embedded.files.bridge import Array

HUGE = 2.0**900
"""Numbers from here on are summed `SHRINK` times as large, so that no sum leaves the range of a float."""

SHRINK = 2.0**-128

BLOCK = 16_384
"""Numbers that are worked on at a time, which stay in the processor's cache."""

_SPLIT = 2.0**27 + 1.0
_SMALLEST = -1022


def sums(numbers: Array, starts: Array) -> tuple[Array, Array]:
    """The sums of the groups that begin at `starts`, the first one at 0; all numbers are finite and under `HUGE`."""
    high, low = np.zeros(len(starts)), np.zeros(len(starts))
    ends = np.append(starts[1:], len(numbers))
    first = 0
    while first < len(starts):
        begin = starts[first]
        last = max(first + 1, int(np.searchsorted(ends, begin + BLOCK, "right")))
        part = slice(first, last)
        high[part], low[part] = _sums_of_block(numbers[begin : ends[last - 1]], starts[part] - begin)
        first = last
    return high, low


def means(high: Array, low: Array, counts: Array) -> Array:
    """The sums divided by how many numbers there were, NaN for none."""
    count = counts.astype(np.float64)
    count[counts == 0] = np.nan
    mean: Array = high / count
    product, error = _two_product(mean, count)
    return mean + (((high - product) - error) + low) / count


def interleaved(high: Array, low: Array) -> Array:
    """Both halves of sums as numbers to be summed."""
    both = np.empty(2 * len(high))
    both[0::2], both[1::2] = high, low
    return both


def _sums_of_block(numbers: Array, starts: Array) -> tuple[Array, Array]:
    bits = int(len(numbers) + 2).bit_length()
    high = low = np.zeros(len(starts))
    rest = numbers
    while (largest := float(np.abs(rest).max())) > 0:
        # Below the smallest normal number every sum is exact, and so is the cut there: nothing is left of it.
        cut = np.ldexp(1.0, max(int(np.frexp(largest)[1]) + bits, _SMALLEST))
        above = (rest + cut) - cut
        high, error = _two_sum(high, np.add.reduceat(above, starts))
        high, low = _two_sum(high, low + error)
        rest = rest - above
    return high, low


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    product = a * b
    a_high, b_high = _high(a), _high(b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _high(a: Array) -> Array:
    shifted = _SPLIT * a
    high: Array = shifted - (shifted - a)
    return high
