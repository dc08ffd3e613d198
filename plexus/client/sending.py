"""The part of `Plexus` that takes readings, events and high-rate blocks. `send` appends to a deque and returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, Union

from plexus.client.held import Held
from plexus.device.intake import Intake
from plexus.device.sampling import even_blocks, take_samples, take_times, take_times_ns, timed_blocks
from plexus.device.taking import Timestamp, check_metric, take_reading, take_tags, take_time
from plexus.domain.errors import ConfigurationError, PlexusError
from plexus.domain.point import Reading
from plexus.domain.values import MAX_INT, MIN_INT

KNOWN_METRICS = 10_000
"""Names that need no second look; a program with more of them only pays for the look."""

BatchItem = Union[tuple[str, Any], tuple[str, Any, Union[Timestamp, None]]]

_S = TypeVar("_S", bound="Sending")


class Sending(Held):
    """`send`, `event`, `send_batch`, `send_series`, `batch`."""

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
        *,
        timestamp_ns: int | None = None,
    ) -> bool:
        """Take one reading; returns True at once. It is stamped now, unless `timestamp` says when.

        `value`: a number, text, bool, dict or list (or a numpy scalar or an array of up to 4,096 values), taken as it
        is now. Integers travel exactly up to 64 bits (-2**63 to 2**64 - 1) and larger ones are refused; beyond 2**53 a
        consumer that reads JSON into floats, as JavaScript does, sees them rounded.
        `timestamp`: seconds or milliseconds since 1970 UTC, or an aware datetime, kept to the microsecond;
        `timestamp_ns` instead is exact, where the link is columnar to the nanosecond.

        Raises UnsupportedValueError (a TypeError) for a value that no wire carries, ConfigurationError (a ValueError)
        for a name, tags or time that cannot be right, and once a burst AuthenticationError or RateLimitedError when the
        gateway refused; never anything for the network.
        """
        kind = type(value)
        if (
            timestamp is None
            and tags is None
            and data_class == "metric"
            and timestamp_ns is None
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
            self._append(self._taken(metric, value, timestamp, timestamp_ns, tags, data_class, self._tick()))
        # Looked at once: the uplink may take it away meanwhile.
        alarm = self._intake.alarm
        if alarm is not None:
            alarm()
        return True

    def event(
        self,
        name: str,
        data: Any,
        timestamp: Timestamp | None = None,
        tags: Mapping[str, Any] | None = None,
        *,
        timestamp_ns: int | None = None,
    ) -> bool:
        """Take one event: something that happened, with text or an object that says what."""
        return self.send(name, data, timestamp, tags, "event", timestamp_ns=timestamp_ns)

    def send_batch(
        self,
        points: Iterable[BatchItem],
        timestamp: Timestamp | None = None,
        tags: Mapping[str, Any] | None = None,
        *,
        timestamp_ns: int | None = None,
    ) -> bool:
        """Take readings that belong together, as `(metric, value)` or `(metric, value, timestamp)`; returns True.

        All that have no time of their own get `timestamp`, or one and the same instant. Where some cannot be taken,
        the others are, and then the first error is raised as `send` would.
        """
        tick = self._tick()
        error: PlexusError | None = None
        for point in points:
            try:
                metric, value, own = _unpacked(point)
                when = (timestamp, timestamp_ns) if own is None else (own, None)
                self._append(self._taken(metric, value, *when, tags, "metric", tick))
            except PlexusError as exc:
                error = error or exc
        alarm = self._intake.alarm
        if alarm is not None:
            alarm()
        if error is not None:
            raise error
        return True

    def send_series(
        self,
        metric: str,
        timestamps: Any = None,
        values: Any = None,
        *,
        timestamps_ns: Any = None,
        start: Timestamp | None = None,
        rate_hz: float | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> bool:
        """Take a block of samples of one metric, vibration or audio for example; returns True at once.

        `values`: a list of floats or of ints, an `array`, a numpy array, or anything else that is a one-dimensional
        buffer of numbers, copied as it is now, up to 1,000,000 samples. Their times are one of
        - `timestamps`: one for each, as `send` takes them (the first says whether numbers are seconds or milliseconds),
          or an array of numpy's datetime64; `timestamps_ns`: the same in whole nanoseconds;
        - `start` and `rate_hz`: evenly spaced from `start` on;
        - `rate_hz`: evenly spaced, and the last sample was taken at the call.

        Raises as `send` does; an error names the metric and the index, and nothing of the block is taken.
        """
        tick = self._tick()
        self._check_known(metric)
        samples = take_samples(values, metric)
        given = [timestamps is not None, timestamps_ns is not None, rate_hz is not None]
        if given.count(True) != 1 or (start is not None and rate_hz is None):
            raise ConfigurationError(
                f"metric {metric!r}: say when the samples were taken by one of timestamps, timestamps_ns, or rate_hz "
                "with or without start"
            )
        own_tags = take_tags(tags, metric)
        if not samples:
            return True
        if rate_hz is not None:
            blocks = even_blocks(metric, samples, start, rate_hz, own_tags, self._runs.current, tick)
        else:
            count = len(samples)
            times = (
                take_times(timestamps, count, metric)
                if timestamps_ns is None
                else take_times_ns(timestamps_ns, count, metric)
            )
            blocks = timed_blocks(metric, samples, times, own_tags, self._runs.current, tick)
        self._intake.add(blocks)
        # Looked at once: the uplink may take it away meanwhile.
        alarm = self._intake.alarm
        if alarm is not None:
            alarm()
        return True

    def batch(self: _S) -> AbstractContextManager[_S]:
        """`with px.batch() as b: b.send(…)`, as programs written for 0.11 have it; `b` is this client.

        There is nothing to gain from it any more: every `send` is as cheap as one of a batch was, and all that is sent
        close together goes together.
        """
        return nullcontext(self)

    def _taken(
        self,
        metric: str,
        value: Any,
        timestamp: Timestamp | None,
        timestamp_ns: int | None,
        tags: Mapping[str, Any] | None,
        data_class: str,
        tick: int,
    ) -> Reading:
        self._check_known(metric)
        t_ns = take_time(timestamp, metric, timestamp_ns)
        return take_reading(metric, value, t_ns, tags, data_class, self._runs.current, tick)

    def _check_known(self, metric: str) -> None:
        """Refuse what can be no metric's name; one that was seen before needs no second look."""
        if type(metric) is str and metric in self._known:
            return
        check_metric(metric)
        if len(self._known) >= KNOWN_METRICS:
            self._known.clear()
        self._known.add(str.__str__(metric))


def _unpacked(point: Any) -> tuple[str, Any, Timestamp | None]:
    if isinstance(point, (tuple, list)) and len(point) in (2, 3):
        metric, value, *own = point
        return metric, value, own[0] if own else None
    raise ConfigurationError(f"send_batch takes (metric, value) or (metric, value, timestamp), not {point!r:.80}")
