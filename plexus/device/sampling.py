"""High-rate blocks as `send_series` takes them: without a Python object for each sample where they come as a buffer.

numpy is never imported; where a program passes its arrays, it is there already.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from plexus.device.intake import SERIES_AT_ONCE, Samples
from plexus.device.taking import Timestamp, plain_scalar, take_time
from plexus.domain.errors import ConfigurationError, UnsupportedValueError
from plexus.domain.point import MAX_ABS_MS, MAX_ABS_NS, SECONDS_BELOW
from plexus.domain.values import MAX_INT, MIN_INT
from plexus.protocol.suiting import top_bytes

MAX_SAMPLES = 1_000_000
"""Of one call; ten seconds of two channels of audio."""

MAX_RATE_HZ = 1e9
MAX_SKEW_NS = 500
"""How far a time may be from its place where the rate gives no whole nanoseconds: half of what JSON can tell."""

_CODES = {
    **{(kind, size): code for kind in "bhilqn" for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))},
    **{(kind, size): code for kind in "BHILQN" for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))},
    ("f", 4): "f",
    ("d", 8): "d",
}
"""The array type for what a buffer says of itself; "l" has four bytes or eight, depending on the machine."""

_TIME_KINDS = ("M", "f", "i", "u")
"""numpy's dates, floats and integers."""
_FOREIGN_ORDER = "<" if sys.byteorder == "big" else ">!"


def take_samples(values: object, metric: str) -> array[Any]:
    """The samples as they are now, in an array of their own type.

    Raises UnsupportedValueError (a TypeError) for what is no series of numbers, naming the index where there is one,
    ConfigurationError (a ValueError) for too many.
    """
    samples = _of_list(values, metric) if isinstance(values, (list, tuple)) else _of_buffer(values, metric)
    if len(samples) > MAX_SAMPLES:
        raise ConfigurationError(
            f"metric {metric!r}: {len(samples)} samples are too many for one call; send at most {MAX_SAMPLES} at a time"
        )
    return samples


def take_times(timestamps: Any, count: int, metric: str) -> Sequence[int]:
    """One time for each of `count` samples, by the rules of `timestamp=`; the first says whether numbers are seconds.

    Raises as `take_time` does, naming the index.
    """
    _check_length("timestamps", timestamps, count, metric)
    vectorised = _vectorised(timestamps)
    if vectorised is not None:
        return vectorised
    plain: Sequence[Any] = timestamps.tolist() if isinstance(timestamps, (array, memoryview)) else timestamps
    numbers = _of_numbers(plain)
    if numbers is not None:
        return numbers
    return [_one_time(stamp, index, metric) for index, stamp in enumerate(plain)]


def take_times_ns(timestamps_ns: Any, count: int, metric: str) -> Sequence[int]:
    """One exact time for each of `count` samples, whole nanoseconds since 1970 UTC."""
    _check_length("timestamps_ns", timestamps_ns, count, metric)
    times = take_samples(timestamps_ns, f"{metric}: timestamps_ns")
    if times.typecode in "fd":
        raise UnsupportedValueError(f"metric {metric!r}: timestamps_ns must be whole numbers of nanoseconds")
    # Only what is near the ends of 64 bits can be out of our age.
    tops = top_bytes(times)
    if times.typecode == "q" and b"\x7f" not in tops and b"\x80" not in tops:
        return times
    for index, t_ns in enumerate(times):
        if abs(t_ns) > MAX_ABS_NS:
            raise ConfigurationError(
                f"metric {metric!r}: timestamps_ns[{index}] is {t_ns}, no time between the years 1678 and 2261"
            )
    return array("q", times)


def timed_blocks(
    metric: str,
    samples: array[Any],
    times: Sequence[int],
    tags: Mapping[str, str] | None,
    run_id: str | None,
    tick: int,
) -> list[Samples]:
    """The samples with the times that the caller gave, in blocks that the intake takes."""
    pieces = [(at, at + SERIES_AT_ONCE) for at in range(0, len(samples), SERIES_AT_ONCE)]
    return [
        Samples(metric, samples[at:to], times[at:to], is_made=False, tags=tags, run_id=run_id, tick=tick)
        for at, to in pieces
    ]


def even_blocks(
    metric: str,
    samples: array[Any],
    start: Timestamp | None,
    rate_hz: object,
    tags: Mapping[str, str] | None,
    run_id: str | None,
    tick: int,
) -> list[Samples]:
    """The samples evenly spaced: from `start` on, or so that the last was taken at the call."""
    step = 1e9 / _rate(rate_hz, metric)
    start_ns = take_time(start, metric)
    first = -(len(samples) - 1) * step if start_ns is None else 0.0
    whole = round(step)
    skew = abs(step - whole)
    most = SERIES_AT_ONCE if skew * SERIES_AT_ONCE <= MAX_SKEW_NS else int(MAX_SKEW_NS / skew)
    blocks = []
    for at in range(0, len(samples), most):
        piece = samples[at : at + most]
        begin = round(first + at * step) + (start_ns or 0)
        times = range(begin, begin + len(piece) * whole, whole)
        blocks.append(Samples(metric, piece, times, start_ns is None, tags, run_id, tick))
    return blocks


def _rate(rate_hz: object, metric: str) -> float:
    rate = plain_scalar(rate_hz)
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate <= MAX_RATE_HZ:
        raise ConfigurationError(f"metric {metric!r}: rate_hz must be samples a second, up to 1e9, not {rate_hz!r}")
    return float(rate)


# --- values --------------------------------------------------------------------------------------------------


def _of_list(values: Sequence[Any], metric: str) -> array[Any]:
    types = set(map(type, values))
    if types <= {float}:
        return array("d", values)
    if types == {int}:
        return _of_ints(values, metric)
    kind = float if isinstance(values[0], float) else int
    for index, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, kind):
            raise _no_sample(value, index, metric)
    return array("d", values) if kind is float else _of_ints(list(map(int, values)), metric)


def _of_ints(values: Sequence[int], metric: str) -> array[Any]:
    lowest, highest = min(values), max(values)
    if lowest >= MIN_INT and highest < 2**63:
        return array("q", values)
    if lowest >= 0 and highest <= MAX_INT:
        return array("Q", values)
    worst = lowest if lowest < MIN_INT else highest
    raise UnsupportedValueError(
        f"metric {metric!r}: values[{values.index(worst)}] is {worst}, and such integers together do not fit 64 bits; "
        "send floats"
    )


def _no_sample(value: object, index: int, metric: str) -> UnsupportedValueError:
    if isinstance(value, (bool, str)):
        return _no_series(metric, f"values[{index}] is a {type(value).__name__}")
    return UnsupportedValueError(
        f"metric {metric!r}: values[{index}] is of type {type(value).__name__}; a list for send_series holds floats "
        "only or ints only: convert it, or pass an array"
    )


def _no_series(metric: str, what: str) -> UnsupportedValueError:
    return UnsupportedValueError(
        f"metric {metric!r}: {what}, and a series is of numbers; use send() for each state or text when it changes"
    )


def _of_buffer(values: Any, metric: str) -> array[Any]:
    view = _view(values, metric)
    if view.ndim != 1:
        raise UnsupportedValueError(
            f"metric {metric!r}: the values have the shape {view.shape}; send each channel as a series of its own, "
            "such as values[:, 0]"
        )
    order, kind = view.format[:-1], view.format[-1:]
    if kind == "?" and not order.strip("@=<>!"):
        raise _no_series(metric, "the values are booleans")
    code = _CODES.get((kind, view.itemsize))
    if code is None or order.strip("@=<>!"):
        raise UnsupportedValueError(
            f"metric {metric!r}: samples of the format {view.format!r} cannot be sent; "
            "convert them, such as values.astype('float64')"
        )
    samples: array[Any] = array(code)
    samples.frombytes(view.tobytes())
    if order and order in _FOREIGN_ORDER:
        samples.byteswap()
    return samples


def _view(values: Any, metric: str) -> memoryview:
    if isinstance(values, (bytes, bytearray)):
        raise UnsupportedValueError(
            f"metric {metric!r}: bytes do not say what they hold; for 16-bit samples pass memoryview(data).cast('h')"
        )
    if isinstance(values, str):
        raise _no_series(metric, "the values are a text")
    # What is no buffer itself may be able to become one: a column of a table, a tensor.
    as_array = getattr(values, "__array__", None)
    try:
        buffer: Any = as_array() if callable(as_array) else values
        return memoryview(buffer)
    except (TypeError, ValueError, BufferError) as exc:
        raise UnsupportedValueError(
            f"metric {metric!r}: values of type {type(values).__name__} are no series of numbers ({exc}); "
            "use a list, an array, a numpy array or a memoryview"
        ) from exc


# --- times ---------------------------------------------------------------------------------------------------


def _check_length(name: str, times: Any, count: int, metric: str) -> None:
    try:
        found = len(times)
    except TypeError as exc:
        raise UnsupportedValueError(
            f"metric {metric!r}: {name} must hold a time for each value, not be one {type(times).__name__}; "
            "for evenly spaced samples use start= and rate_hz="
        ) from exc
    if found != count:
        raise ConfigurationError(f"metric {metric!r}: there are {found} {name} for {count} values")


def _vectorised(timestamps: Any) -> array[int] | None:
    """The times of an array of numpy's or the like; None where it is none, or something is wrong with one of them."""
    as_array = getattr(timestamps, "__array__", None)
    column: Any = as_array() if callable(as_array) else timestamps
    kind = getattr(getattr(column, "dtype", None), "kind", "")
    if kind not in _TIME_KINDS or column.ndim != 1:
        return None
    if kind == "M":
        found = column.astype("datetime64[ns]").astype("int64")
    else:
        in_seconds = _in_seconds(column[0], column[-1])
        # Also false for NaN, and before anything can overflow.
        if not max(abs(column.min()), abs(column.max())) <= (MAX_ABS_MS / 1e3 if in_seconds else MAX_ABS_MS):
            return None
        if kind == "f":
            # As `nanoseconds_of`.
            column, whole = column.astype("float64"), column.astype("int64")
            fractions = ((column - whole) * (1e6 if in_seconds else 1e3)).round().astype("int64")
            found = whole * (1_000_000_000 if in_seconds else 1_000_000) + fractions * 1_000
        else:
            found = column.astype("int64") * (1_000_000_000 if in_seconds else 1_000_000)
    if not (found.min() >= -MAX_ABS_NS and found.max() <= MAX_ABS_NS):
        return None
    times: array[int] = array("q")
    times.frombytes(found.tobytes())
    return times


def _of_numbers(stamps: Sequence[Any]) -> list[int] | None:
    """The times of plain numbers; None where something else is among them, or no time."""
    types = set(map(type, stamps))
    if not types <= {int, float} or not all(map(math.isfinite, stamps)):
        return None
    in_seconds = _in_seconds(stamps[0], stamps[-1])
    if max(map(abs, stamps)) > (MAX_ABS_MS / 1e3 if in_seconds else MAX_ABS_MS):
        return None
    # As `nanoseconds_of`.
    unit_ns, unit_us = (1_000_000_000, 1e6) if in_seconds else (1_000_000, 1e3)
    return [(whole := int(stamp)) * unit_ns + round((stamp - whole) * unit_us) * 1_000 for stamp in stamps]


def _in_seconds(first: float, last: float) -> bool:
    # Zero is the same in both.
    return bool(0 < (first or last) < SECONDS_BELOW)


def _one_time(stamp: Any, index: int, metric: str) -> int:
    t_ns = take_time(stamp, f"{metric}: timestamps[{index}]")
    if t_ns is None:
        raise ConfigurationError(f"metric {metric!r}: timestamps[{index}] is None; give a time for each value")
    return t_ns
