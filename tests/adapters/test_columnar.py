"""The columnar codec: what goes in comes out, bit by bit, whatever it is packed with, and it is small."""

from __future__ import annotations

import math
import random
import sys
from array import array
from collections.abc import Sequence
from typing import Any

import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.domain.errors import ProtocolError
from plexus.domain.values import MAX_INT, MIN_INT
from plexus.protocol import binaryframe, columnar
from plexus.protocol.batch import BatchName
from plexus.protocol.block import Block
from tests.adapters.columnar_blocks import any_blocks, points_of

T = 1_746_969_660_123_456_789
PACKINGS = [columnar.PLAIN, columnar.ZLIB, columnar.ZSTD]
AXES = [f"imu.{name}" for name in ("ax", "ay", "az", "gx", "gy", "gz")]
STEP = 9.80665 / 16384


def back(*blocks: Block, packing: int = columnar.BEST) -> list[Block]:
    codec = ColumnarCodec(packing=packing)
    return codec.decode(codec.encode(blocks))


def values_back(values: Sequence[Any], packing: int = columnar.BEST) -> list[Any]:
    (block,) = back(Block("m", range(T, T + len(values)), values), packing=packing)
    return list(block.value)


@settings(max_examples=120, deadline=None)
@given(any_blocks, st.sampled_from(PACKINGS))
def test_any_points_come_back_with_their_types_and_bits(blocks: list[Block], packing: int) -> None:
    assert points_of(back(*blocks, packing=packing)) == points_of(blocks)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.lists(st.floats(), min_size=1, max_size=60),
        st.lists(st.integers(-3000, 3000).map(lambda n: n * STEP), min_size=1, max_size=60),
        st.lists(st.integers(-(10**6), 10**6).map(lambda n: n / 1000), min_size=1, max_size=60),
        st.lists(st.integers(0, 4095).map(lambda n: n * 3.3 / 4095), min_size=1, max_size=60),
        st.lists(st.sampled_from([0.0, -0.0, 0.5, -0.5, 0.25, 1e-300, 1e300, math.nan]), min_size=1, max_size=60),
        st.lists(st.sampled_from([2.0**46, -(2.0**47), 2.0**51, 0.5, 1.5, 5e-324]), min_size=1, max_size=20),
    )
)
@example([-0.05, 0.05])
@example([0.0, -0.0])
@example([-0.0])
@example([2.5e-9] * 3)
@example([1e-308, 2e-308, 3e-308])
def test_floats_keep_every_bit(column: list[float]) -> None:
    assert list(map(float.hex, values_back(column))) == list(map(float.hex, column))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(MIN_INT, MAX_INT) | st.integers(-200, 200), min_size=1, max_size=60))
@example([MIN_INT, MAX_INT, MIN_INT])
@example([MAX_INT, 0])
@example(list(range(-50, 5000, 100)))
def test_integers_of_64_bits_come_back(column: list[int]) -> None:
    assert values_back(column) == column


def test_the_payload_of_a_nan_comes_back() -> None:
    odd = array("d", array("Q", [0x7FF8_0000_0000_BEEF, 0xFFF8_0000_0000_0001]).tobytes())
    assert array("d", values_back(odd.tolist())).tobytes() == odd.tobytes()


def test_one_and_true_and_its_text_are_four_values() -> None:
    column = [1, 1.0, True, "1", 0, 0.0, False, "0", -0.0, {"a": 1}, [True]] * 3
    assert list(map(repr, values_back(column))) == list(map(repr, column))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.integers(-(2**63), 2**63 - 1) | st.integers(T, T + 10**6) | st.integers(0, 50).map(lambda s: T + s * 10**9),
        min_size=1,
        max_size=40,
    )
)
@example([-(2**63), 2**63 - 1, -(2**63)])
@example([T, T, T])
@example([T + 5, T + 3, T + 1])
def test_times_are_exact_to_the_nanosecond(times: list[int]) -> None:
    (block,) = back(Block("m", times, [1.5] * len(times)))
    assert list(block.t_ns) == times


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("start", [T, -T, -50_000])
def test_many_times_in_an_array_come_back_with_numpy_or_without(
    start: int, loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not loaded:
        monkeypatch.delitem(sys.modules, "numpy")
    dice = random.Random(1)
    even = array("q", range(start, start + 1_000 * 500, 1_000))
    uneven = array("q", [start + i * 1_000 + dice.randrange(900) for i in range(500)])
    wild = array("q", [dice.randrange(-(2**63), 2**63) for _ in range(500)])
    for times in (even, uneven, array("q", reversed(uneven)), array("q", [start] * 500), wild):
        (block,) = back(Block("m", times, array("d", bytes(4000))))
        assert list(block.t_ns) == times.tolist()


def test_evenly_spaced_times_stay_a_range() -> None:
    (block,) = back(Block("m", range(T, T + 3_000, 1_000), [1, 2, 3]))
    assert block.t_ns == range(T, T + 3_000, 1_000)


def test_times_beyond_64_bits_are_refused() -> None:
    for times in ([2**63], range(2**63 - 5, 2**63 + 5), [-(2**63) - 1, 0]):
        with pytest.raises(ProtocolError, match="64 bits"):
            ColumnarCodec().encode([Block("m", times, [1] * len(times))])


@pytest.mark.parametrize("code", columnar.SAMPLE_TYPES)
def test_arrays_of_samples_come_back_as_arrays(code: str) -> None:
    samples = array(code, [0, 1, 2, 100, 7] * 40)
    forms: list[Any] = [samples, memoryview(samples), numpy.array(samples)]
    for given_as in forms:
        (block,) = back(Block("m", range(200), given_as))
        assert isinstance(block.value, array)
        assert (block.value.typecode, block.value) == (code, samples)


def test_other_buffers_come_back_as_plain_values() -> None:
    flags = numpy.array([True, False, True])
    swapped = numpy.array([1.5, 2.5, -0.0], ">f8")
    every_other = numpy.arange(6.0)[::2]
    assert values_back(flags) == [True, False, True]  # type: ignore[arg-type]
    assert values_back(swapped) == [1.5, 2.5, -0.0]  # type: ignore[arg-type]
    assert values_back(every_other) == [0.0, 2.0, 4.0]  # type: ignore[arg-type]
    assert values_back((1, 2)) == [1, 2]


def test_numpy_times_are_taken() -> None:
    (block,) = back(Block("m", numpy.arange(T, T + 5), [1] * 5))  # type: ignore[arg-type]
    assert list(block.t_ns) == list(range(T, T + 5))


def test_scalars_of_numpy_and_other_subclasses_become_plain() -> None:
    assert list(map(type, values_back([numpy.float64(1.5), numpy.int64(3), (1, 2)]))) == [float, int, list]


def test_series_that_take_turns_need_no_index_and_odd_orders_come_back() -> None:
    for names in (
        ["a", "b", "c"] * 40 + ["a"],
        ["boot"] + ["a", "b"] * 50,
        ["a", "a", "b"] * 40,
        [random.Random(2).choice("abcdef") for _ in range(200)],
        [f"m{i}" for i in range(100)],
    ):
        (block,) = back(Block(names, range(len(names)), [i / 10 for i in range(len(names))]))
        assert list(block.metrics()) == names
        assert list(block.value) == [i / 10 for i in range(len(names))]


def test_a_block_of_nothing_leaves_no_trace_and_the_others_stay_in_order() -> None:
    blocks = [Block("a", [3], [1]), Block("b", [], []), Block("c", [1, 2], array("f", [0.5, 1.5]))]
    assert points_of(back(*blocks)) == points_of([blocks[0], blocks[2]])
    assert back() == []


def test_tags_that_are_empty_come_back_as_none() -> None:
    (block,) = back(Block("a", [1, 2], [1, 2], tags={}))
    assert block.tags is None


@pytest.mark.parametrize(
    "value", [float("nan"), [1.0, float("nan")], {"a": [float("inf")]}, "\ud800", {"\ud800": 1}, 2**64, b"x", None]
)
def test_what_cannot_be_carried_is_refused_by_the_name_of_its_metric(value: Any) -> None:
    block = Block(["ok", "lidar.ranges"], [1, 2], [1, value])
    if isinstance(value, float):
        assert math.isnan(back(block)[0].value[1])  # type: ignore[arg-type]
        return
    with pytest.raises(ProtocolError, match=r"lidar\.ranges"):
        ColumnarCodec().encode([block])


def test_columns_of_different_lengths_are_refused() -> None:
    for block in (
        Block("m", [1, 2], [1]),
        Block(["m"], [1, 2], [1, 2]),
        Block("m", [1, 2], [1, 2], is_event=[True]),
        Block("m", [1, 2], [1, 2], tags=[None]),
        Block("m", [1, 2], [1, 2], run_id=["r"] * 3),
    ):
        with pytest.raises(ProtocolError, match="2 times"):
            ColumnarCodec().encode([block])


def test_the_same_blocks_give_the_same_bytes() -> None:
    block = Block(AXES * 30, range(180), [i * STEP for i in range(180)], tags={"a": "b"})
    assert ColumnarCodec().encode([block]) == ColumnarCodec().encode([block])


def test_it_reads_what_any_packing_wrote() -> None:
    block = Block(AXES * 30, list(range(180)), [i * STEP for i in range(180)])
    for packing in PACKINGS:
        body = ColumnarCodec(packing=packing).encode([block])
        assert points_of(ColumnarCodec().decode(body)) == points_of([block])


# --- size --------------------------------------------------------------------------------------------------------


def stamps(dice: random.Random, n: int) -> list[int]:
    """What a loop of 1 kHz that sends six channels makes: whole microseconds, one or two apart, and its jitter."""
    times, start = [], T
    for i in range(n):
        if i % 6 == 0:
            start += int(dice.gauss(1e6, 5e4))
        times.append((start + i % 6 * 900 + dice.randrange(300)) // 1_000 * 1_000)
    return times


def bytes_a_point(values: Sequence[float], packing: int) -> float:
    times = stamps(random.Random(3), len(values))
    body = ColumnarCodec(packing=packing).encode([Block([AXES[i % 6] for i in range(len(values))], times, values)])
    frame = binaryframe.dump(body, batch=BatchName("0" * 32, 1, 1, "0" * 32))
    return len(frame) / len(values)


@pytest.mark.parametrize("packing", [columnar.ZLIB, columnar.ZSTD])
def test_full_precision_readings_of_an_adc_take_three_bytes_a_point(packing: int) -> None:
    dice = random.Random(4)
    spread = (50, 120, 400, 900, 1500, 2000)
    counts = [int(dice.gauss(0, spread[i % 6])) for i in range(1_000)]
    assert bytes_a_point([count * STEP for count in counts], packing) < 3
    assert bytes_a_point([count / 131.0 for count in counts], packing) < 3
    assert bytes_a_point([count * 3.3 / 4095 for count in counts], packing) < 3.2


@pytest.mark.parametrize("packing", [columnar.ZLIB, columnar.ZSTD])
def test_values_of_few_decimals_take_less_than_three_bytes_a_point(packing: int) -> None:
    dice = random.Random(5)
    assert bytes_a_point([round(dice.gauss(0, 2), 3) for _ in range(1_000)], packing) < 3
    assert bytes_a_point([round(20 + i / 500 + dice.gauss(0, 0.02), 2) for i in range(1_000)], packing) < 2


def test_a_large_body_stays_unpacked_so_that_its_length_is_the_truth() -> None:
    body = ColumnarCodec().encode([Block("m", [1], ["x" * 2_000_000])])
    assert len(body) > 2_000_000
    assert ColumnarCodec().decode(body)[0].value == ["x" * 2_000_000]
