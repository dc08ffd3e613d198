"""The JSON codec keeps the contract with and without orjson, and the contract catches codecs that do not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.codec.json import JsonCodec
from plexus.domain.errors import ProtocolError
from plexus.domain.values import MAX_INT, MIN_INT
from plexus.ports.codec import Codec
from plexus.protocol.block import Block
from plexus.protocol.points import decode_points, write_points
from plexus.testing.contracts import failures
from plexus.testing.contracts.codec import CodecContract, Row, block_of, rows_of, same

T = 1_746_969_660_000_000_000

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_finite = st.floats(allow_nan=False, allow_infinity=False)
_scalars = st.one_of(st.booleans(), st.integers(MIN_INT, MAX_INT), _finite, _text)
_values = st.one_of(
    st.floats(),
    st.recursive(_scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4)),
)
_times = st.one_of(
    st.integers(-(10**15), 8 * 10**15).map(lambda us: us * 1_000),
    st.integers(0, 10**9).map(lambda us: T + us * 1_000),
    st.integers(0, 10**6).map(lambda ms: T + ms * 1_000_000),
)
_tags = st.dictionaries(_text, _text, max_size=16)
_rows = st.lists(
    st.tuples(
        _text.filter(bool),
        _times,
        _values,
        st.booleans(),
        st.none() | st.dictionaries(_text, _text, min_size=1, max_size=16),
        st.none() | _text,
    ),
    max_size=8,
)


@st.composite
def plain_blocks(draw: st.DrawFn) -> Block:
    """Blocks as devices send most: one kind of value, one class, the same tags and run for all points."""
    kind = draw(st.sampled_from([_finite, st.floats(), st.integers(MIN_INT, MAX_INT), st.booleans(), _scalars]))
    values = draw(st.lists(kind, min_size=1, max_size=12))
    n = len(values)
    name = _text.filter(bool)
    return Block(
        draw(name | st.lists(name, min_size=n, max_size=n)),
        draw(st.lists(_times, min_size=n, max_size=n)),
        values,
        draw(st.booleans()),
        draw(st.none() | _tags),
        draw(st.none() | _text),
    )


class TestJsonCodec(CodecContract):
    def make(self) -> Codec:
        return JsonCodec()


class TestJsonCodecWithoutOrjson(CodecContract):
    def make(self) -> Codec:
        return JsonCodec(fast=False)


@settings(max_examples=60, deadline=None)
@given(_rows)
def test_any_points_come_back_from_either_writer(rows: list[Row]) -> None:
    for codec in (JsonCodec(), JsonCodec(fast=False)):
        assert same(rows_of(codec.decode(codec.encode([block_of(rows)]))), rows)


@settings(max_examples=40, deadline=None)
@given(_rows)
def test_both_writers_say_the_same(rows: list[Row]) -> None:
    blocks = [block_of(rows)]
    assert same(json.loads(JsonCodec().encode(blocks)), json.loads(JsonCodec(fast=False).encode(blocks)))


@settings(max_examples=150, deadline=None)
@given(plain_blocks(), st.booleans())
def test_the_fast_way_says_what_the_points_one_by_one_say(block: Block, fast: bool) -> None:
    written = json.loads(JsonCodec(fast=fast).encode([block]))
    one_by_one = write_points(block)
    assert len(written) == len(one_by_one)
    for left, right in zip(written, one_by_one, strict=True):
        # A whole number of milliseconds may be written as 1.0 there and as 1 here: JSON has one kind of number.
        assert left.pop("timestamp") == right.pop("timestamp")
        assert same(left, right)


@settings(max_examples=40, deadline=None)
@given(_rows)
def test_a_gateway_reads_what_the_codec_wrote(rows: list[Row]) -> None:
    decoded = decode_points(json.loads(JsonCodec().encode([block_of(rows)])), source_id="s", arrival_ns=0)
    assert not decoded.faults
    assert same(decoded.columns.value, [row[2] for row in rows])
    assert all(abs(ns - row[1]) < 1_000 for ns, row in zip(decoded.columns.t_ns, rows, strict=True))
    assert decoded.columns.is_event == [row[3] for row in rows]


@pytest.mark.parametrize("fast", [True, False])
def test_nanoseconds_are_cut_to_the_microsecond(fast: bool) -> None:
    codec = JsonCodec(fast=fast)
    (block,) = codec.decode(codec.encode([Block("a", [T + 1_999, T + 2_000], [1, 2])]))
    assert block.t_ns == [T + 1_000, T + 2_000]


@pytest.mark.parametrize("fast", [True, False])
def test_whole_milliseconds_are_written_as_whole_numbers(fast: bool) -> None:
    body = JsonCodec(fast=fast).encode([Block("a", range(T, T + 2_000_000, 1_000_000), [1.5, 2.5])])
    assert [item["timestamp"] for item in json.loads(body)] == [T // 1_000_000, T // 1_000_000 + 1]
    assert b".0," not in body


def test_columns_that_are_the_same_for_all_points_come_back_as_one_thing() -> None:
    codec = JsonCodec()
    (block,) = codec.decode(codec.encode([Block("a", [T, T + 1_000], [1, 2], tags={"k": "v"}, run_id="r")]))
    assert (block.metric, block.is_event, block.tags, block.run_id) == ("a", False, {"k": "v"}, "r")


def test_more_metrics_than_are_remembered_are_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plexus.adapters.codec.json.KNOWN_OPENINGS", 3)
    codec = JsonCodec()
    for _ in range(2):
        rows: list[Row] = [(f"m{i}", T, i, False, None, None) for i in range(10)]
        assert same(rows_of(codec.decode(codec.encode([block_of(rows)]))), rows)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: json.dumps([{"metric": text}]).encode()))
def test_garbage_gives_a_protocol_error_and_nothing_else(body: bytes) -> None:
    try:
        JsonCodec().decode(body)
    except ProtocolError:
        return
    assert json.loads(body) == []


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("value", [[1.0, float("nan")], {"a": {"b": [float("inf")]}}])
def test_a_nan_inside_an_array_is_refused_by_name_and_never_becomes_null(value: Any, fast: bool) -> None:
    with pytest.raises(ProtocolError, match=r"lidar\.ranges"):
        JsonCodec(fast=fast).encode([Block("lidar.ranges", [T], [value])])


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    "block", [Block("a", [T], ["\ud800"]), Block("\ud800", [T], [1]), Block(["a"], [T], ["\ud800"])]
)
def test_text_that_utf8_cannot_carry_is_a_protocol_error(block: Block, fast: bool) -> None:
    with pytest.raises(ProtocolError):
        JsonCodec(fast=fast).encode([block])


def _with(blocks: Sequence[Block], **columns: Any) -> list[Block]:
    return [attrs.evolve(block, **{name: change(block) for name, change in columns.items()}) for block in blocks]


class Rounding(JsonCodec):
    """Takes every time for whole milliseconds."""

    def encode(self, blocks: Sequence[Block]) -> bytes:
        return super().encode(_with(blocks, t_ns=lambda block: [t_ns // 10**6 * 10**6 for t_ns in block.t_ns]))


class NullForNan(JsonCodec):
    """Does with NaN what JavaScript does."""

    def encode(self, blocks: Sequence[Block]) -> bytes:
        return super().encode(blocks).replace(b'"NaN","timestamp"', b'null,"timestamp"')


class Tagless(JsonCodec):
    """Forgets tags."""

    def decode(self, body: bytes) -> list[Block]:
        return _with(super().decode(body), tags=lambda block: None)


class Credulous(JsonCodec):
    """Takes anything for no points."""

    def decode(self, body: bytes) -> list[Block]:
        try:
            return super().decode(body)
        except ProtocolError:
            return []


class Sorting(JsonCodec):
    """Puts points into an order of its own."""

    def encode(self, blocks: Sequence[Block]) -> bytes:
        return super().encode([block_of(sorted(rows_of([block]), key=lambda row: row[0])) for block in blocks])


class Widening(JsonCodec):
    """Makes every number a float."""

    def decode(self, body: bytes) -> list[Block]:
        return _with(
            super().decode(body),
            value=lambda block: [float(value) if type(value) is int else value for value in block.value],
        )


class FirstOnly(JsonCodec):
    """Writes one block of several."""

    def encode(self, blocks: Sequence[Block]) -> bytes:
        return super().encode(blocks[:1])


class OneForAll(JsonCodec):
    """Takes the first point's class for the class of all."""

    def encode(self, blocks: Sequence[Block]) -> bytes:
        return super().encode(_with(blocks, is_event=lambda block: bool(block.events()[0]) if len(block) else False))


WHOLE, RANDOM = "test_the_order_and_the_number_of_points_stay", "test_points_at_random_come_back"
SEVERAL = "test_several_blocks_come_back_in_their_order_and_empty_ones_leave_no_trace"
SHARED = "test_what_is_the_same_for_all_points_stands_for_each_of_them"


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (
            Rounding,
            {
                "test_times_come_back_to_the_microsecond",
                "test_samples_that_are_not_finite_come_back",
                RANDOM,
                SEVERAL,
                SHARED,
            },
        ),
        (
            NullForNan,
            {
                "test_numbers_that_are_not_finite_come_back",
                "test_text_comes_back_whatever_is_in_it",
                "test_numbers_that_are_not_finite_come_back_from_among_others",
                "test_samples_that_are_not_finite_come_back",
            },
        ),
        (Tagless, {"test_tags_class_and_run_come_back", RANDOM, SHARED}),
        (
            Credulous,
            {
                "test_bytes_that_are_no_points_are_refused_with_a_protocol_error",
                "test_a_body_that_was_cut_is_refused_with_a_protocol_error",
            },
        ),
        (Sorting, {WHOLE, RANDOM}),
        (
            Widening,
            {
                "test_numbers_come_back_exactly",
                "test_whole_numbers_and_fractions_stay_what_they_are",
                "test_booleans_stay_booleans",
                "test_samples_in_an_array_come_back_as_numbers",
                "test_tags_class_and_run_come_back",
                "test_times_come_back_to_the_microsecond",
                RANDOM,
                SHARED,
                WHOLE,
            },
        ),
        (FirstOnly, {SEVERAL}),
        (OneForAll, {"test_tags_class_and_run_come_back", RANDOM}),
    ],
)
def test_the_contract_catches_a_broken_codec(broken: type[Codec], caught_by: set[str]) -> None:
    class Suite(CodecContract):
        def make(self) -> Codec:
            return broken()

    assert failures(Suite).keys() == caught_by
