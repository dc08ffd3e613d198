"""Blocks at random, and what is in them in a form that knows -0.0 from 0.0 and 1 from True."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from plexus.domain.values import MAX_INT, MIN_INT
from plexus.protocol.block import Block

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
inner = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(MIN_INT, MAX_INT), finite, text),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(text, deeper, max_size=3),
    max_leaves=8,
)
values = st.one_of(
    st.booleans(),
    st.integers(MIN_INT, MAX_INT),
    st.floats(),
    st.integers(-500, 500).map(lambda n: n / 100),
    text,
    st.lists(inner, max_size=3),
    st.dictionaries(text, inner, max_size=3),
)
metrics = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
tag_sets = st.none() | st.dictionaries(text, text, min_size=1, max_size=4)
times = st.integers(-(2**63), 2**63 - 1) | st.integers(10**18, 10**18 + 5_000)


@st.composite
def blocks(draw: st.DrawFn, *, time: st.SearchStrategy[int] = times) -> Block:
    """One block: of few series or many, in turn or not, with columns that vary or do not."""
    n = draw(st.sampled_from([0, 1, 2, 3, 7, 40, 70]))
    known = draw(st.lists(metrics, min_size=1, max_size=3))

    def column(each: st.SearchStrategy[Any], fixed: st.SearchStrategy[Any]) -> Any:
        if draw(st.booleans()):
            return draw(fixed)
        return draw(st.lists(each, min_size=n, max_size=n))

    in_turn = st.just([known[i % len(known)] for i in range(n)])
    if draw(st.booleans()):
        metric: Any = draw(in_turn)
    else:
        metric = column(st.sampled_from(known), st.sampled_from(known))
    kind = draw(st.sampled_from([values, st.floats(), finite, st.integers(-9, 9), st.booleans(), text]))
    value: Any = draw(st.lists(kind, min_size=n, max_size=n))
    if draw(st.integers(0, 4)) == 0:
        value = array("d", draw(st.lists(st.floats(), min_size=n, max_size=n)))
    run_ids = st.none() | text
    return Block(
        metric,
        draw(st.lists(time, min_size=n, max_size=n)),
        value,
        column(st.booleans(), st.booleans()),
        column(tag_sets, tag_sets),
        column(run_ids, run_ids),
    )


any_blocks = st.lists(blocks(), max_size=3)


def points_of(blocks: Sequence[Block]) -> list[str]:
    """Every point of some blocks, told apart by type and bit."""
    return [
        repr((metric, t_ns, value, bool(event), None if not tags else dict(tags), run_id))
        for block in blocks
        for metric, t_ns, value, event, tags, run_id in zip(
            block.metrics(), block.t_ns, block.value, block.events(), block.tag_list(), block.run_ids(), strict=True
        )
    ]
