"""The columnar codec keeps the contract in every packing, and the contract catches columnar codecs that do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.domain.errors import ProtocolError
from plexus.ports.codec import Codec
from plexus.protocol import columnar
from plexus.protocol.block import Block
from plexus.testing.contracts import failures
from plexus.testing.contracts.codec import CodecContract


class TestColumnarCodec(CodecContract):
    def make(self) -> Codec:
        return ColumnarCodec()


class TestColumnarCodecWithoutZstandard(CodecContract):
    def make(self) -> Codec:
        return ColumnarCodec(packing=columnar.ZLIB)


class TestColumnarCodecUnpacked(CodecContract):
    def make(self) -> Codec:
        return ColumnarCodec(packing=columnar.PLAIN)


class OfAllPoints(ColumnarCodec):
    """Does something to the values of every block that it reads."""

    change: Callable[[list[Any]], list[Any]]

    def decode(self, body: bytes) -> list[Block]:
        return [attrs.evolve(block, value=self.change(list(block.value))) for block in super().decode(body)]


class Unsigned(OfAllPoints):
    """Scales without a look at the zeros that lose their sign."""

    def change(self, column: list[Any]) -> list[Any]:
        return [0.0 if type(value) is float and value == 0 else value for value in column]


class OneType(OfAllPoints):
    """Has one column for booleans and integers."""

    def change(self, column: list[Any]) -> list[Any]:
        return [int(value) if type(value) is bool else value for value in column]


class Narrow(OfAllPoints):
    """Has 63 bits for integers."""

    def change(self, column: list[Any]) -> list[Any]:
        return [value & 2**63 - 1 if type(value) is int and value > 0 else value for value in column]


class Single(OfAllPoints):
    """Keeps seven digits of a float."""

    def change(self, column: list[Any]) -> list[Any]:
        return [float(f"{value:.6e}") if type(value) is float else value for value in column]


class Milliseconds(ColumnarCodec):
    """Takes a step of times to be whole milliseconds."""

    def encode(self, blocks: Sequence[Block]) -> bytes:
        return super().encode(
            [attrs.evolve(block, t_ns=[t_ns // 10**6 * 10**6 for t_ns in block.t_ns]) for block in blocks]
        )


class BySeries(ColumnarCodec):
    """Leaves the points of each series together."""

    def encode(self, blocks: Sequence[Block]) -> bytes:
        return super().encode([_sorted(block) for block in blocks])


class OneListing(ColumnarCodec):
    """Takes the tags, class and run of the first series for those of all."""

    def decode(self, body: bytes) -> list[Block]:
        return [
            Block(block.metric, block.t_ns, block.value, block.events()[0], block.tag_list()[0], block.run_ids()[0])
            for block in super().decode(body)
        ]


class Lenient(ColumnarCodec):
    """Takes what ends too early for what there is."""

    def decode(self, body: bytes) -> list[Block]:
        try:
            return super().decode(body)
        except ProtocolError:
            if not body.startswith(columnar.MAGIC[: len(body)]):
                raise
            return []


def _sorted(block: Block) -> Block:
    rows = sorted(
        zip(block.metrics(), block.t_ns, block.value, block.events(), block.tag_list(), block.run_ids(), strict=True),
        key=lambda row: row[0],
    )
    metric, t_ns, value, events, tags, run_ids = map(list, zip(*rows, strict=True)) if rows else ([] for _ in range(6))
    return Block(metric, t_ns, value, events, tags, run_ids)


AT_RANDOM = "test_points_at_random_come_back"
NUMBERS = "test_numbers_come_back_exactly"
CAUGHT_BY: list[tuple[type[Codec], set[str]]] = [
    (Unsigned, {NUMBERS}),
    (OneType, {"test_booleans_stay_booleans", AT_RANDOM}),
    (Narrow, {NUMBERS, AT_RANDOM}),
    (Single, {NUMBERS, AT_RANDOM}),
    (
        Milliseconds,
        {
            "test_times_come_back_to_the_microsecond",
            "test_samples_that_are_not_finite_come_back",
            "test_several_blocks_come_back_in_their_order_and_empty_ones_leave_no_trace",
            "test_what_is_the_same_for_all_points_stands_for_each_of_them",
            AT_RANDOM,
        },
    ),
    (BySeries, {"test_the_order_and_the_number_of_points_stay", AT_RANDOM}),
    (OneListing, {"test_tags_class_and_run_come_back", AT_RANDOM}),
    (
        Lenient,
        {
            "test_a_body_that_was_cut_is_refused_with_a_protocol_error",
            "test_bytes_that_are_no_points_are_refused_with_a_protocol_error",
        },
    ),
]


@pytest.mark.parametrize(("broken", "caught_by"), CAUGHT_BY)
def test_the_contract_catches_a_broken_columnar_codec(broken: type[Codec], caught_by: set[str]) -> None:
    class Suite(CodecContract):
        def make(self) -> Codec:
            return broken()

    assert failures(Suite).keys() == caught_by
