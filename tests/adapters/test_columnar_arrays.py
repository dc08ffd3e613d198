"""The array reader of columnar bodies and the plain one: the same points, or nothing said; no list before its time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.domain.point import MAX_ABS_NS
from plexus.protocol import columnar
from plexus.protocol.block import Block
from plexus.protocol.columnar import arrayreading
from plexus.protocol.columnar.arrays import ArrayColumns
from plexus.protocol.columns import Columns
from tests.adapters.columnar_blocks import blocks
from tests.gateway.test_decoding_columnar import odd_blocks

LISTS = tuple(field.name for field in attrs.fields(Columns))
T0 = 1_746_969_660_000_000_000

numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-5, 5),
    st.floats(),
    st.sampled_from([-0.0, 0.0, 5e-324, 1.7976931348623157e308, 0.1, 2.5, 2**53 + 1, -(2**53) - 1]),
    st.integers(0, 4_000).map(lambda count: count * 0.001),
)


@st.composite
def number_blocks(draw: st.DrawFn) -> Block:
    """Series of numbers of every kind, in turn or not, with times that step evenly, nearly evenly, or back."""
    count, series = draw(st.integers(1, 60)), draw(st.integers(1, 4))
    names = [f"m{number}" for number in range(series)]
    in_turn = draw(st.booleans())
    metric = [names[row % series] if in_turn else draw(st.sampled_from(names)) for row in range(count)]
    step = draw(st.sampled_from([0, 1, 1_000_000, 10**9]))
    jitter = draw(st.sampled_from([0, 3, 10**9]))
    times = [T0 + row * step + (draw(st.integers(-jitter, jitter)) if jitter else 0) for row in range(count)]
    kinds = draw(st.sampled_from(["same", "any"]))
    pool = draw(st.lists(numbers, min_size=1, max_size=8))
    values = [draw(numbers) for _ in metric] if kinds == "any" else [pool[row % len(pool)] for row in range(count)]
    tags = draw(st.sampled_from([None, {}, {"a": "b"}]))
    return Block(metric, times, values, draw(st.booleans()), tags, draw(st.sampled_from([None, "run"])))


def facts(columns: Columns) -> str:
    return repr([getattr(columns, name) for name in LISTS])


def check(body: bytes) -> bool:
    """Compare both readers; whether the fast one had something to say."""
    fast = arrayreading.read(body, "rig-01", 1_000)
    if fast is None:
        return False
    plain = columnar.decode_points(body, source_id="rig-01", max_points=1_000)
    assert not plain.faults
    assert len(fast) == len(plain.columns)
    assert facts(fast) == facts(plain.columns)
    return True


@settings(max_examples=150, deadline=None)
@given(st.lists(number_blocks(), min_size=1, max_size=3), st.sampled_from([columnar.PLAIN, columnar.BEST]))
def test_numbers_are_read_alike(some: list[Block], packing: int) -> None:
    check(columnar.write_body(some, packing))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(blocks(), odd_blocks()), max_size=3))
def test_everything_else_is_read_alike_or_left_to_the_plain_reader(some: list[Block]) -> None:
    check(columnar.write_body(some, columnar.BEST))


@settings(max_examples=100, deadline=None)
@given(number_blocks(), st.integers(0, 10_000), st.integers(0, 255))
def test_a_body_with_a_wrong_byte_is_read_alike_or_left(block: Block, at: int, byte: int) -> None:
    body = bytearray(columnar.write_body([block], columnar.PLAIN))
    body[at % len(body)] = byte
    fast = arrayreading.read(bytes(body), "rig-01", 1_000)
    try:
        plain = columnar.decode_points(bytes(body), source_id="rig-01", max_points=1_000)
    except ProtocolError:
        assert fast is None
        return
    if fast is not None:
        assert (facts(fast), plain.faults) == (facts(plain.columns), ())


@settings(max_examples=100, deadline=None)
@given(number_blocks(), st.integers(0, 10_000))
def test_a_body_that_ends_too_early_is_left(block: Block, at: int) -> None:
    body = columnar.write_body([block], columnar.PLAIN)
    assert arrayreading.read(body[: at % len(body)], "rig-01", 1_000) is None


def telemetry(count: int = 1_000) -> Block:
    """What a device sends."""
    tags: list[Any] = [{"part": "left"} if row % 5 == 0 else None for row in range(count)]
    names = [f"imu.{row % 10}" for row in range(count)]
    return Block(
        names, [T0 + row // 10 * 10**7 for row in range(count)], [row * 0.001 for row in range(count)], tags=tags
    )


@pytest.mark.parametrize(
    "block",
    [
        telemetry(),
        Block("temperature", range(T0, T0 + 500 * 10**6, 10**6), [20 + row % 7 * 0.1 for row in range(500)]),
        Block("count", range(T0, T0 + 500), list(range(500))),
        Block(["state", "level"] * 100, range(T0, T0 + 200), ["RUNNING", 0.5] * 100),
        Block("door", range(T0, T0 + 100), [row % 3 == 0 for row in range(100)]),
        Block("noise", [T0 + row * row for row in range(300)], [math.sin(row) for row in range(300)]),
        Block("alarm", [T0], ["over temperature"], is_event=True),
    ],
)
def test_what_devices_send_is_read_by_the_fast_one(block: Block) -> None:
    assert check(columnar.write_body([block], columnar.BEST))


@pytest.mark.parametrize(
    "block",
    [
        Block("m" * 513, [T0], [1.0]),
        Block("m", [2**63 - 1], [1.0]),
        Block("m", [T0], [{"a": 1}]),
        Block("m", [T0], [2**64 - 1]),
        Block(["m", "e"], [T0, T0], [1.0, 2.0], is_event=[False, True]),
        Block("m", [T0], [1.0], tags={f"k{row}": "v" for row in range(17)}),
        Block("e", [T0], ["x" * 300], is_event=True),
    ],
)
def test_what_is_not_plain_is_left_to_the_plain_reader(block: Block) -> None:
    assert not check(columnar.write_body([block], columnar.BEST))


def test_a_step_over_centuries_is_left_to_the_plain_reader() -> None:
    block = Block("m", [-MAX_ABS_NS, MAX_ABS_NS], [1.0, 2.0])
    assert not check(columnar.write_body([block], columnar.BEST))


def test_more_points_than_may_be_are_left_to_the_plain_reader() -> None:
    assert arrayreading.read(columnar.write_body([telemetry()], columnar.BEST), "rig-01", 999) is None


class TestLaziness:
    def columns(self) -> ArrayColumns:
        made = arrayreading.read(columnar.write_body([telemetry()], columnar.BEST), "rig-01", 1_000)
        assert made is not None
        return made

    def test_length_sources_and_names_make_no_list(self) -> None:
        columns = self.columns()
        assert len(columns) == 1_000
        assert list(columns.sources()) == ["rig-01"]
        assert set(columns.names("rig-01")) == {f"imu.{axis}" for axis in range(10)}
        assert made_of(columns) == []

    def test_a_list_is_made_when_it_is_read_and_kept(self) -> None:
        columns = self.columns()
        assert columns.value is columns.value
        assert made_of(columns) == ["value"]

    def test_they_are_equal_to_the_same_lists(self) -> None:
        columns = self.columns()
        plain = Columns()
        plain.extend(columns)
        assert columns == plain
        assert plain == columns
        assert len(list(columns.points())) == 1_000

    def test_what_is_no_column_is_no_attribute(self) -> None:
        with pytest.raises(AttributeError):
            self.columns().nothing  # noqa: B018 - the look is the test


def made_of(columns: ArrayColumns) -> Sequence[str]:
    """Which lists exist."""
    return [name for name in LISTS if _exists(columns, name)]


def _exists(columns: ArrayColumns, name: str) -> bool:
    try:
        object.__getattribute__(columns, name)
    except AttributeError:
        return False
    return True
