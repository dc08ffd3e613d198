"""Fitting: what one link takes as it is, another gets in the form that it knows."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.adapters.codec.json import JsonCodec
from plexus.device.fitting import Fitter, decoded, sealed_needs
from plexus.domain.errors import ProtocolError
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.block import Block, count_points
from plexus.protocol.extensions import ANY_METRIC, COLUMNAR, GAPS, NO_FEATURES, NON_FINITE, PRECISION
from plexus.testing.contracts.codec import rows_of, same

T = 1_746_969_660_000_000_000
ALL = frozenset({ANY_METRIC, NON_FINITE, PRECISION, COLUMNAR})
JSON, COLUMNS = JsonCodec(), ColumnarCodec()


def sealed(codec: Codec, *blocks: Block) -> Batch:
    body = codec.encode(blocks)
    return Batch("5" * 32, 1, count_points(blocks), body, digest_of(body), sealed_needs(blocks, codec))


def fitter() -> Fitter:
    return Fitter(JSON, COLUMNS)


@pytest.mark.parametrize("codec", [JSON, COLUMNS])
def test_a_batch_goes_as_it_is_to_a_gateway_that_has_all_it_needs(codec: Codec) -> None:
    batch = sealed(codec, Block("m", [T + 1_000], ["x"]))
    assert fitter().fitted(batch, ALL).body is batch.body


def test_a_compact_batch_is_written_anew_as_json_for_a_link_without_the_codec() -> None:
    block = Block("m", [T, T + 1_000], [1, "x"], tags={"k": "v"})
    fitted = fitter().fitted(sealed(COLUMNS, block), ALL - {COLUMNAR})
    assert same(rows_of(JSON.decode(fitted.body)), rows_of([block]))
    assert (fitted.count, fitted.lost) == (2, 0)


def test_samples_become_points_for_a_link_without_the_codec() -> None:
    block = Block("mic", range(T, T + 3_000_000, 1_000_000), array("h", [1, -2, 3]))
    fitted = fitter().fitted(sealed(COLUMNS, block), NO_FEATURES)
    assert rows_of(JSON.decode(fitted.body)) == rows_of([block])


def test_a_link_without_precision_gets_whole_milliseconds() -> None:
    batch = sealed(JSON, Block("m", [T + 400_000, T + 600_000], [1, 2]))
    (block,) = JSON.decode(fitter().fitted(batch, NO_FEATURES).body)
    assert block.t_ns == [T, T + 1_000_000]


def test_a_link_without_any_metric_gets_events_for_what_is_no_number() -> None:
    batch = sealed(JSON, Block("m", [T] * 3, [1, "x", True]))
    (block,) = JSON.decode(fitter().fitted(batch, NO_FEATURES).body)
    assert block.events() == [False, True, True]


@pytest.mark.parametrize("codec", [JSON, COLUMNS])
def test_points_that_are_not_finite_are_counted_as_lost_where_they_have_no_form(codec: Codec) -> None:
    batch = sealed(codec, Block("m", [T, T, T], [1.5, float("nan"), 2.5]), Block("x", [T], array("d", [float("inf")])))
    fitted = fitter().fitted(batch, NO_FEATURES)
    assert (fitted.count, fitted.lost) == (2, 2)
    assert [row[2] for row in rows_of(JSON.decode(fitted.body))] == [1.5, 2.5]


def test_a_declaration_without_points_stays_what_it_is() -> None:
    batch = Batch("5" * 32, 1, 0, b"[]", digest_of(b"[]"), frozenset({GAPS}))
    assert fitter().fitted(batch, frozenset({GAPS})).body == b"[]"
    assert fitter().fitted(batch, NO_FEATURES).count == 0


def test_a_batch_that_nobody_can_read_is_a_protocol_error_that_names_the_codecs() -> None:
    batch = Batch("5" * 32, 1, 1, b"\x00what is this", "d", frozenset({"other"}))
    with pytest.raises(ProtocolError, match=r"begins with b'\\x00wha' \(json: .*; columnar: "):
        fitter().fitted(batch, ALL)


def test_a_body_says_by_itself_which_codec_it_is_of() -> None:
    block = Block("m", [T], [1])
    for codec in (JSON, COLUMNS):
        found, blocks = decoded(codec.encode([block]), [JSON, COLUMNS])
        assert found is codec
        assert rows_of(blocks) == rows_of([block])


def test_a_codec_with_a_form_of_its_own_is_fitted_like_any_other() -> None:
    class Reversed(JsonCodec):
        name = "reversed"

        def encode(self, blocks: object) -> bytes:
            return super().encode(blocks)[::-1]  # type: ignore[arg-type]

        def decode(self, body: bytes) -> list[Block]:
            return super().decode(body[::-1])

    batch = sealed(Reversed(), Block("m", [T], [1]))
    assert batch.needs == {"reversed"}
    assert fitter().__class__(JSON, Reversed()).fitted(batch, NO_FEATURES).body == JSON.encode([Block("m", [T], [1])])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(), st.booleans(), st.integers(-9, 9), st.text("ab", max_size=2)), min_size=1, max_size=8
    ),
    st.sets(st.sampled_from(sorted(ALL - {COLUMNAR}))),
    st.sampled_from([JSON, COLUMNS]),
)
def test_what_is_fitted_needs_nothing_that_the_link_has_not(values: list[object], has: set[str], codec: Codec) -> None:
    block = Block("m", [T + i * 1_000 for i in range(len(values))], values)  # type: ignore[arg-type]
    fitted = fitter().fitted(sealed(codec, block), frozenset(has))
    blocks = JSON.decode(fitted.body)
    assert sealed_needs(blocks, JSON) <= has
    assert count_points(blocks) == fitted.count == len(values) - fitted.lost
