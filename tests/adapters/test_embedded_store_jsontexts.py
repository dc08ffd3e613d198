"""Text, booleans, objects and arrays in files: many at once, and each as it came."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.adapters.store.embedded.files import jsontexts
from plexus.adapters.store.embedded.values import pack, unpack_all

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False))
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5)


def told(value: Any) -> str:
    """A value with the types of all that is in it: `True == 1` is not enough."""
    return repr(value)


@given(st.lists(st.one_of(texts, st.booleans(), values), max_size=40))
def test_what_was_written_is_read_again(column: list[Any]) -> None:
    read = jsontexts.read(jsontexts.written(list(map(pack, column))))
    assert list(map(told, read)) == list(map(told, column))


@given(st.lists(st.one_of(texts, st.booleans()), min_size=1, max_size=40))
def test_each_is_json_of_its_own(column: list[Any]) -> None:
    assert [json.loads(text) for text in jsontexts.written(list(map(pack, column)))] == column


def test_numbers_that_json_has_no_name_for_stay_what_they_are_inside_of_an_array() -> None:
    (read,) = jsontexts.read(jsontexts.written([pack([math.inf, -math.inf, 1.5])]))
    assert read == [math.inf, -math.inf, 1.5]


def test_two_rows_never_share_an_object() -> None:
    first, second = jsontexts.read(jsontexts.written([pack({"a": [1]})] * 2))
    assert first == second
    assert first is not second


@pytest.mark.parametrize("count", [0, 1, jsontexts.TOGETHER, jsontexts.TOGETHER + 1, 3 * jsontexts.TOGETHER])
def test_any_number_of_them_is_read_in_order(count: int) -> None:
    column: list[Any] = [f"state\n{number}" if number % 3 else number % 2 == 0 for number in range(count)]
    packed = list(map(pack, column))
    assert unpack_all(packed) == column
    assert jsontexts.read(jsontexts.written(packed)) == column


def test_text_and_booleans_take_a_call_a_thousand_and_not_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("one by one")

    column = [f"state {number}" for number in range(2_500)] + [True, False]
    monkeypatch.setattr(json, "loads", never)
    monkeypatch.setattr(json, "dumps", never)
    assert jsontexts.read(jsontexts.written(list(map(pack, column)))) == column
