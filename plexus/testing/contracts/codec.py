"""What every codec must do: give back what it took, and say so when it cannot."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from typing import Any

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.values import MAX_INT, MIN_INT, Value
from plexus.ports.codec import Codec
from plexus.protocol.block import Block
from plexus.testing.contracts import Contract

T_NS = 1_746_969_660_000_000_000
US = 1_000
MS = 1_000_000
NOT_BLOCKS = (b"", b"\x00\xff\xfe", b"null", b"{}", b"[1]", b"[[]]", b'[{"metric":"a"}]', b"plain text")

Row = tuple[str, int, Value, bool, Any, Any]
"""One point of a block: metric, time, value, whether it is an event, tags, run."""


def rows_of(blocks: Sequence[Block]) -> list[Row]:
    """The points of blocks, however they are divided."""
    return [row for block in blocks for row in _rows(block)]


def _rows(block: Block) -> list[Row]:
    columns = (block.metrics(), block.t_ns, block.value, block.events(), block.tag_list(), block.run_ids())
    return [
        (metric, t_ns, value, is_event, dict(tags) if tags else None, run_id)
        for metric, t_ns, value, is_event, tags, run_id in zip(*columns, strict=True)
    ]


def block_of(rows: Sequence[Row]) -> Block:
    """These points as one block, each column in full."""
    metrics, times, values, events, tags, run_ids = (
        map(list, zip(*rows, strict=True)) if rows else ([] for _ in "mtverg")
    )
    return Block(metrics, times, values, events, tags, run_ids)


def same(left: Any, right: Any) -> bool:
    """Equality of values in which NaN equals NaN, neither true nor 1.0 is 1, and -0.0 is not 0.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    if isinstance(left, (int, float)) and type(left) is not type(right):
        return False
    return repr(left) == repr(right) if isinstance(left, float) else bool(left == right)


class CodecContract(Contract):
    """Override `make` to return the codec to try."""

    def make(self) -> Codec:
        """A codec."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its codec")

    def test_it_has_a_name_for_the_wire(self) -> None:
        name = self.make().name
        assert name
        assert name.isascii()
        assert name == name.strip().lower()

    def test_no_points_come_back_as_no_points(self) -> None:
        self._come_back([])

    def test_numbers_come_back_exactly(self) -> None:
        self._values_come_back(0, -1, MIN_INT, MAX_INT, 2**53 + 1, 0.1, -0.0, 1e308, 5e-324, 1 / 3)

    def test_whole_numbers_and_fractions_stay_what_they_are(self) -> None:
        for values in ([1, 2, 3], [1.0, 2.0, 3.0], [1, 2.0, 3]):
            self._values_come_back(*values)

    def test_text_comes_back_whatever_is_in_it(self) -> None:
        self._values_come_back(
            "", "RUNNING", 'quote " and \\ and /', "line\n\t\0", "Grüße, 東京 \U0001f680", "NaN", "null"
        )

    def test_booleans_stay_booleans(self) -> None:
        self._values_come_back(*(True, False, 1, 0))

    def test_objects_and_arrays_come_back_at_any_depth(self) -> None:
        self._values_come_back({}, [], {"a": {"b": [1, "x", {"c": False}]}}, [[1], [2.5, "y"]], {"": "empty key"})

    def test_numbers_that_are_not_finite_come_back(self) -> None:
        self._values_come_back(float("nan"), float("inf"), float("-inf"))

    def test_numbers_that_are_not_finite_come_back_from_among_others(self) -> None:
        self._values_come_back(1.5, float("nan"), 2.5, "text", float("-inf"))

    def test_times_come_back_to_the_microsecond(self) -> None:
        seconds = (0, -MS, 1_500 * US, MS, 5_001 * MS, 250 * US, 999_999_999_999 * MS + 500 * US, 10**18)
        stamps = (T_NS, T_NS + 125 * US, T_NS + US, *seconds, -1_500 * US)
        self._come_back([("a", stamp, 1, False, None, None) for stamp in stamps])

    def test_times_that_are_all_whole_milliseconds_come_back(self) -> None:
        self._come_back([("a", T_NS + i * MS, 0.5, False, None, None) for i in range(5)])

    def test_tags_class_and_run_come_back(self) -> None:
        tags = {f"tag{i}": "wert ä" for i in range(16)}
        self._come_back([("a", T_NS, 1, True, tags, "run-1"), ("b", T_NS, 2, False, None, None)])

    def test_what_is_the_same_for_all_points_stands_for_each_of_them(self) -> None:
        for tags, run_id, is_event in (({"k": "v"}, "run-1", True), ({}, "", False), (None, None, False)):
            block = Block("a.b", [T_NS, T_NS + US], [1.5, 2], is_event, tags, run_id)
            self._block_comes_back(
                block, [("a.b", t_ns, v, is_event, tags or None, run_id) for t_ns, v in _pairs(block)]
            )

    def test_samples_in_an_array_come_back_as_numbers(self) -> None:
        for code, values in (("d", [0.1, -1e300]), ("f", [0.5, -2.25]), ("q", [-(2**63), 2**63 - 1]), ("B", [0, 255])):
            times = range(T_NS, T_NS + 2 * MS, MS)
            block = Block("mic", times, array(code, values))
            self._block_comes_back(block, [("mic", t_ns, v, False, None, None) for t_ns, v in _pairs(block)])

    def test_samples_that_are_not_finite_come_back(self) -> None:
        block = Block("mic", array("q", [T_NS, T_NS + US]), array("d", [float("nan"), float("inf")]))
        self._block_comes_back(block, [("mic", t_ns, v, False, None, None) for t_ns, v in _pairs(block)])

    def test_several_blocks_come_back_in_their_order_and_empty_ones_leave_no_trace(self) -> None:
        codec = self.make()
        blocks = [block_of([("a", T_NS + i * (MS + US), i + 0.5, False, None, None)]) for i in range(4)]
        body = codec.encode([blocks[0], block_of([]), *blocks[1:], Block("a", [], [])])
        assert same(rows_of(codec.decode(body)), rows_of(blocks))

    def test_the_order_and_the_number_of_points_stay(self) -> None:
        self._come_back([(f"m{i % 7}", T_NS + i % 3 * MS, i, False, None, None) for i in range(1_000)])

    def test_points_at_random_come_back(self) -> None:
        dice = random.Random(20_251_124)  # noqa: S311 - the same points at every run
        self._come_back([_any_row(dice) for _ in range(500)])

    def test_the_same_points_give_the_same_bytes(self) -> None:
        codec = self.make()
        rows: list[Row] = [("a", T_NS, {"x": 1, "y": [2]}, False, {"k": "v"}, None)]
        assert codec.encode([block_of(rows)]) == codec.encode([block_of(list(rows))])

    def test_encoding_leaves_the_block_as_it_was(self) -> None:
        value: dict[str, Any] = {"x": [1, 2]}
        tags = {"k": "v"}
        block = block_of([("a", T_NS, value, False, tags, None)])
        before = attrs.asdict(block)
        self.make().encode([block])
        assert attrs.asdict(block) == before
        assert (value, tags) == ({"x": [1, 2]}, {"k": "v"})

    def test_bytes_that_are_no_points_are_refused_with_a_protocol_error(self) -> None:
        codec = self.make()
        for body in NOT_BLOCKS:
            assert _refuses(codec, body), f"{body!r} was taken for points"

    def test_a_body_that_was_cut_is_refused_with_a_protocol_error(self) -> None:
        codec = self.make()
        body = codec.encode([block_of([("a", T_NS, "text", False, {"k": "v"}, "run-1")])])
        for length in range(len(body)):
            assert _refuses(codec, body[:length]), f"the first {length} of {len(body)} bytes were taken for points"

    def _values_come_back(self, *values: Value) -> None:
        self._come_back([("a.b", T_NS, value, False, None, None) for value in values])
        for value in values:
            self._come_back([("a.b", T_NS, value, False, None, None)])

    def _come_back(self, rows: list[Row]) -> None:
        self._block_comes_back(block_of(rows), rows)

    def _block_comes_back(self, block: Block, rows: list[Row]) -> None:
        codec = self.make()
        back = rows_of(codec.decode(codec.encode([block])))
        assert same(back, rows), f"{rows!r} came back as {back!r}"


def _pairs(block: Block) -> list[tuple[int, Value]]:
    return list(zip(block.t_ns, block.value, strict=True))


def _refuses(codec: Codec, body: bytes) -> bool:
    try:
        codec.decode(body)
    except ProtocolError:
        return True
    return False


def _any_row(dice: random.Random) -> Row:
    tags = {f"t{i}": str(i) for i in range(dice.randrange(4))} or None
    run_id = f"run-{dice.randrange(3)}" if dice.random() < 0.3 else None
    stamp = T_NS + dice.randrange(10**9) * US
    return (f"m{dice.randrange(20)}", stamp, _any_value(dice, 0), dice.random() < 0.5, tags, run_id)


def _any_value(dice: random.Random, depth: int) -> Value:
    kind = dice.randrange(6 if depth < 3 else 4)
    if kind == 0:
        return dice.uniform(-1e9, 1e9)
    if kind == 1:
        return dice.randrange(MIN_INT, MAX_INT)
    if kind == 2:
        return "".join(chr(dice.choice((65, 34, 92, 0x1F, 0xE4, 0x6771, 0x1F680))) for _ in range(dice.randrange(8)))
    if kind == 3:
        return dice.random() < 0.5
    if kind == 4:
        return [_any_value(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {f"k{i}": _any_value(dice, depth + 1) for i in range(dice.randrange(4))}
