"""Freezing a value: it is taken as it is at the call, or refused with the metric's name."""

from __future__ import annotations

import array
import decimal
import enum
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.domain.errors import PlexusError, UnsupportedValueError
from plexus.domain.values import MAX_ARRAY, MAX_DEPTH, freeze, inner_fault, is_non_finite, is_number

plain = st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text("aé🚀", max_size=5)
nested = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3), max_leaves=8
)


@given(nested)
def test_what_the_wire_carries_is_taken_as_it_is(value: Any) -> None:
    frozen = freeze(value, "m")
    assert frozen == value
    assert type(frozen) is type(value)


@given(nested)
def test_a_frozen_value_freezes_to_itself(value: Any) -> None:
    assert freeze(freeze(value, "m"), "m") == freeze(value, "m")


def test_a_later_change_does_not_reach_what_was_taken() -> None:
    inner = [1, {"deep": [2]}]
    value = {"list": inner}
    frozen = freeze(value, "m")
    inner[1]["deep"].append(3)  # type: ignore[index]
    inner.append(4)
    value["more"] = []
    assert frozen == {"list": [1, {"deep": [2]}]}


def test_mappings_and_tuples_become_dicts_and_lists() -> None:
    frozen = freeze(MappingProxyType({"t": (1, (2,)), "o": OrderedDict(a=1)}), "m")
    assert frozen == {"t": [1, [2]], "o": {"a": 1}}
    assert isinstance(frozen, dict)
    assert type(frozen["o"]) is dict


def test_a_null_inside_an_object_or_array_is_content() -> None:
    assert freeze({"a": None, "b": [None]}, "m") == {"a": None, "b": [None]}


class Level(enum.IntEnum):
    HIGH = 3


class State(str, enum.Enum):
    ON = "on"


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        (np.float16(1.5), 1.5),
        (np.float32(1.5), 1.5),
        (np.array([1.5], "f2"), [1.5]),
        (np.array(True), True),
        (np.float64(1.5), 1.5),
        (np.int64(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array(2.5), 2.5),
        (np.array([1, 2]), [1, 2]),
        (np.array([[1.5], [2.5]]), [[1.5], [2.5]]),
        (array.array("d", [1.0, 2.0]), [1.0, 2.0]),
        ({"a": [np.int8(1), np.array([True])]}, {"a": [1, [True]]}),
        (Level.HIGH, 3),
        (State.ON, "on"),
        ({State.ON: State.ON}, {"on": "on"}),
        (Name("x"), "x"),
        (True, True),
    ],
    ids=repr,
)
def test_scalars_and_small_arrays_become_what_python_has(value: Any, taken: Any) -> None:
    frozen = freeze(value, "m")
    assert frozen == taken
    assert type(frozen) is type(taken)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf"), [float("nan")]])
def test_numbers_that_are_not_finite_are_never_an_exception(value: Any) -> None:
    freeze(value, "m")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "NoneType"),
        (b"x", "bytes"),
        (bytearray(b"x"), "bytearray"),
        ({1, 2}, "set"),
        (1j, "complex"),
        (decimal.Decimal("1.5"), "Decimal"),
        (object(), "object"),
        (lambda: 1, "function"),
        (np.datetime64("2025-01-01"), "date"),
        (np.datetime64(1, "ns"), "datetime64"),
        (np.timedelta64(1, "ns"), "timedelta64"),
        (np.array([1], "datetime64[ns]"), "ndarray"),
        (np.array([1j]), "complex"),
        (np.array(None), "ndarray"),
        ({"a": b""}, "bytes"),
        ({1: "a"}, "keys must be text, not int"),
        ({None: "a"}, "keys must be text"),
        (2**64, "65 bits"),
        (-(2**63) - 1, "64 bits"),
        ([2**64], "65 bits"),
        ("\ud800", "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
    ],
    ids=lambda case: case if isinstance(case, str) and case.isprintable() else "",
)
def test_what_no_wire_carries_is_a_type_error_that_names_the_metric(value: Any, says: str) -> None:
    with pytest.raises(TypeError) as refused:
        freeze(value, "motor.rpm")
    assert isinstance(refused.value, UnsupportedValueError)
    assert isinstance(refused.value, PlexusError)
    assert "'motor.rpm'" in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "value", [np.zeros(MAX_ARRAY + 1), np.zeros((2, MAX_ARRAY)), array.array("b", bytes(MAX_ARRAY + 1))]
)
def test_an_array_that_is_more_than_one_reading_is_refused_with_the_way_out(value: Any) -> None:
    with pytest.raises(UnsupportedValueError, match=r"metric 'vib': an array of \d+ values .* use send_series"):
        freeze(value, "vib")
    assert freeze(value[:1], "vib")


def nest(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_nesting_has_an_end() -> None:
    assert freeze(nest(MAX_DEPTH), "m") == nest(MAX_DEPTH)
    with pytest.raises(UnsupportedValueError, match="deeper than 64 levels"):
        freeze(nest(MAX_DEPTH + 1), "m")


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UnsupportedValueError, match="deeper than 64 levels"):
        freeze(endless, "m")


@pytest.mark.parametrize("levels", [0, 1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 5])
def test_a_gateway_and_a_device_agree_on_the_depth(levels: int) -> None:
    assert (inner_fault(nest(levels)) is not None) is (levels > MAX_DEPTH)
    assert (inner_fault({"a": nest(levels)}) is not None) is (levels + 1 > MAX_DEPTH)


def test_a_bool_is_no_number() -> None:
    values: tuple[Any, ...] = (1, 1.5, True, "1", None, [])
    assert [is_number(value) for value in values] == [True, True, False, False, False, False]


def test_not_finite_are_nan_and_the_infinities() -> None:
    values: tuple[Any, ...] = (float("nan"), float("inf"), float("-inf"), 1.5, 10**400, "NaN")
    assert [is_non_finite(value) for value in values] == [True, True, True, False, False, False]
