"""What a point's value may be, and how a caller's object becomes one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sized
from typing import Any, Union

from plexus.domain.errors import UnsupportedValueError

Value = Union[float, int, str, bool, dict[str, Any], list[Any]]
"""What travels: a number, text, a boolean, an object or an array (protocol page, section 2)."""

MIN_INT = -(2**63)
MAX_INT = 2**64 - 1
MAX_DEPTH = 64
MAX_ARRAY = 4_096
"""Values of an array that may be one reading: a lidar's scan is, a second of vibration is a series."""

PLAIN_TYPES = frozenset({float, int, str, bool})
"""Types that `send` takes as they are, without a look inside."""


def is_number(value: object) -> bool:
    """Whether the value is a number in the protocol's sense; a bool is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_non_finite(value: object) -> bool:
    """NaN or an infinity: JSON has no number for these."""
    return isinstance(value, float) and not math.isfinite(value)


def inner_fault(value: object, levels: int = MAX_DEPTH) -> str | None:
    """Why an object or array cannot be kept because of what is in it, None if it can.

    What is nested deeper breaks parsers further on, and an integer over 64 bits is in no store's power.
    """
    if levels < 0:
        return f"it is nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, int):
        return None if MIN_INT <= value <= MAX_INT else "an integer inside it does not fit 64 bits; send it as text"
    if not isinstance(value, (dict, list)):
        return None
    inner: Iterable[object] = value.values() if isinstance(value, dict) else value
    return next((fault for item in inner if (fault := inner_fault(item, levels - 1)) is not None), None)


def freeze(value: object, metric: str) -> Value:
    """Take `value` as it is now, so that a later change by the caller does not reach what was sent.

    Scalars of numpy and the like (anything with `.item()`) become Python numbers, arrays of up to `MAX_ARRAY` values
    (`.tolist()`) become lists. Raises UnsupportedValueError naming `metric` for what no wire carries: bytes, sets,
    dates, complex numbers, None (but for one inside a dict or list), keys that are not text, integers outside 64 bits,
    larger arrays, nesting deeper than 64.
    """
    frozen: Value = _freeze(value, metric, 0)
    return frozen


def _freeze(value: object, metric: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise UnsupportedValueError(f"metric {metric!r}: the value is nested deeper than {MAX_DEPTH} levels")
    if value is None and depth:
        return None  # JSON's null inside an object or array is content; alone it is no value
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return _checked_int(int(value), metric)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return _checked_text(value, metric)
    if isinstance(value, Mapping):
        return {_checked_key(key, metric): _freeze(item, metric, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_freeze(item, metric, depth + 1) for item in value]
    return _freeze_array_like(value, metric, depth)


def _freeze_array_like(value: object, metric: str, depth: int) -> Any:
    if (size := _size(value)) > MAX_ARRAY:
        raise UnsupportedValueError(
            f"metric {metric!r}: an array of {size} values is more than one reading ({MAX_ARRAY} at most); "
            "if they were measured one after the other, use send_series"
        )
    # Dates would become bare numbers, in whatever unit they happen to have.
    for method in () if _is_date(value) else ("tolist", "item"):
        convert = getattr(value, method, None)
        if callable(convert):
            plain = convert()
            if plain is not None and type(plain) is not type(value):
                return _freeze(plain, metric, depth + 1)
    raise UnsupportedValueError(
        f"metric {metric!r}: a value of type {type(value).__name__} cannot be sent; "
        "use a number, text, bool, dict or list"
    )


def _size(value: object) -> int:
    size = getattr(value, "size", None)
    if isinstance(size, int):
        return size
    return len(value) if isinstance(value, Sized) else 1


def _is_date(value: object) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") in ("M", "m")


def _checked_int(value: int, metric: str) -> int:
    if MIN_INT <= value <= MAX_INT:
        return value
    raise UnsupportedValueError(
        f"metric {metric!r}: the integer has {value.bit_length()} bits; send up to 64 bits, or a float or text"
    )


def _checked_text(value: str, metric: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnsupportedValueError(
            f"metric {metric!r}: the text holds a lone surrogate, which UTF-8 cannot carry"
        ) from None
    # Not str(value): an Enum of texts would give its name.
    return str.__str__(value)


def _checked_key(key: object, metric: str) -> str:
    if not isinstance(key, str):
        raise UnsupportedValueError(f"metric {metric!r}: an object's keys must be text, not {type(key).__name__}")
    return _checked_text(key, metric)
