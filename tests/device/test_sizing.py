"""The size of points as JSON is known before they are written, and never less than it turns out to be."""

from __future__ import annotations

from array import array
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.codec.json import JsonCodec
from plexus.device.sizing import json_bound
from plexus.domain.values import MAX_INT, MIN_INT
from plexus.protocol.block import Block

T = 1_746_969_660_000_000_000
text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\"\\\x00\x1f'"), max_size=9)
scalars = st.one_of(
    text, st.booleans(), st.integers(MIN_INT, MAX_INT), st.floats(allow_nan=False, allow_infinity=False)
)
values = st.floats() | st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=9
)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 8))
def test_no_block_is_larger_than_was_said(data: st.DataObject, n: int) -> None:
    def column(each: st.SearchStrategy[Any]) -> Any:
        return data.draw(each | st.lists(each, min_size=n, max_size=n))

    tags = st.none() | st.dictionaries(text, text, min_size=1, max_size=4)
    block = Block(
        column(text.filter(bool)),
        data.draw(st.lists(st.integers(-(9 * 10**18), 9 * 10**18), min_size=n, max_size=n)),
        data.draw(st.lists(values, min_size=n, max_size=n)),
        column(st.booleans()),
        column(tags),
        column(st.none() | text),
    )
    for codec in (JsonCodec(), JsonCodec(fast=False)):
        assert len(codec.encode([block])) <= json_bound(block) + 2


def test_ordinary_points_are_not_thought_much_larger_than_they_are() -> None:
    block = Block("imu.accel.x", range(T, T + 1_000_000, 1_000), array("d", [i / 7 for i in range(1_000)]))
    assert json_bound(block) <= 1.4 * len(JsonCodec().encode([block]))
