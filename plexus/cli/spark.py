"""A line of blocks for the last values of each metric, kept as they come."""

from __future__ import annotations

from collections import OrderedDict, deque

from plexus.domain.values import Value, is_non_finite, is_number

BLOCKS = "▁▂▃▄▅▆▇█"
POINTS = 16
MAX_METRICS = 5_000
"""Of so many metrics the last values are kept; who has not sent for longest is forgotten."""


def trend(values: list[object]) -> str:
    """A line of blocks from the lowest to the highest of these numbers; "" for what is no number."""
    numbers = [float(value) for value in values if is_number(value) and not is_non_finite(value)]  # type: ignore[arg-type]
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    if not high > low:
        return BLOCKS[0] * len(numbers)
    # Halved first: the distance between two doubles can be more than a double holds.
    reach = high / 2 - low / 2
    return "".join(BLOCKS[min(7, int((number / 2 - low / 2) / reach * 8))] for number in numbers)


class Trends:
    """The last values of each metric of each source."""

    def __init__(self) -> None:
        self._values: OrderedDict[tuple[str, str], deque[object]] = OrderedDict()

    def after(self, source_id: str, metric: str, value: Value) -> str:
        """The trend of a metric with this value as its newest."""
        key = (source_id, metric)
        values = self._values.setdefault(key, deque(maxlen=POINTS))
        self._values.move_to_end(key)
        if len(self._values) > MAX_METRICS:
            self._values.popitem(last=False)
        values.append(value)
        return trend(list(values))
