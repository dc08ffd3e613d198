"""The part of `Plexus` that takes readings and events. `send` appends to a deque and returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union

from plexus.client.held import Held
from plexus.device.intake import Intake
from plexus.device.taking import Timestamp, check_metric, take_reading
from plexus.domain.errors import ConfigurationError, PlexusError
from plexus.domain.point import Reading
from plexus.domain.values import MAX_INT, MIN_INT

KNOWN_METRICS = 10_000
"""Names that need no second look; a program with more of them only pays for the look."""

BatchItem = Union[tuple[str, Any], tuple[str, Any, Union[Timestamp, None]]]


class Sending(Held):
    """`send`, `event`, `send_batch`."""

    # What `send` touches, one step away.
    _intake: Intake
    _append: Callable[[Reading], None]
    _tick: Callable[[], int]
    _known: set[str]

    def send(
        self,
        metric: str,
        value: Any,
        timestamp: Timestamp | None = None,
        tags: Mapping[str, Any] | None = None,
        data_class: str = "metric",
    ) -> bool:
        """Take one reading; returns True at once. It is stamped now, unless `timestamp` says when.

        `value`: a number, text, bool, dict or list (or a numpy scalar or small array), taken as it is now.
        Raises UnsupportedValueError (a TypeError) for a value that no wire carries, ConfigurationError (a ValueError)
        for a name, tags or time that cannot be right, and once AuthenticationError when the gateway refused the key;
        never anything for the network.
        """
        kind = type(value)
        if (
            timestamp is None
            and tags is None
            and data_class == "metric"
            and type(metric) is str
            and metric in self._known
            and (
                kind is float
                or (kind is int and MIN_INT <= value <= MAX_INT)
                or kind is bool
                or (kind is str and value.isascii())
            )
        ):
            self._append((metric, value, None, None, "metric", self._runs.current, self._tick()))
        else:
            self._append(self._taken(metric, value, timestamp, tags, data_class, self._tick()))
        if self._intake.alarm is not None:
            self._intake.alarm()
        return True

    def event(
        self, name: str, data: Any, timestamp: Timestamp | None = None, tags: Mapping[str, Any] | None = None
    ) -> bool:
        """Take one event: something that happened, with text or an object that says what."""
        return self.send(name, data, timestamp, tags, "event")

    def send_batch(
        self,
        points: Iterable[BatchItem],
        timestamp: Timestamp | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> bool:
        """Take readings that belong together, as `(metric, value)` or `(metric, value, timestamp)`; returns True.

        All that have no time of their own get `timestamp`, or one and the same instant. Where some cannot be taken,
        the others are, and then the first error is raised as `send` would.
        """
        tick = self._tick()
        error: PlexusError | None = None
        for point in points:
            try:
                metric, value, when = _unpacked(point, timestamp)
                self._append(self._taken(metric, value, when, tags, "metric", tick))
            except PlexusError as exc:
                error = error or exc
        if error is not None:
            raise error
        if self._intake.alarm is not None:
            self._intake.alarm()
        return True

    def _taken(
        self,
        metric: str,
        value: Any,
        timestamp: Timestamp | None,
        tags: Mapping[str, Any] | None,
        data_class: str,
        tick: int,
    ) -> Reading:
        reading = take_reading(metric, value, timestamp, tags, data_class, self._runs.current, tick)
        if len(self._known) >= KNOWN_METRICS:
            self._known.clear()
        self._known.add(reading[0])
        return reading


def _unpacked(point: Any, timestamp: Timestamp | None) -> tuple[str, Any, Timestamp | None]:
    if isinstance(point, (tuple, list)) and len(point) in (2, 3):
        metric, value, *own = point
        check_metric(metric)
        return metric, value, own[0] if own and own[0] is not None else timestamp
    raise ConfigurationError(f"send_batch takes (metric, value) or (metric, value, timestamp), not {point!r:.80}")
