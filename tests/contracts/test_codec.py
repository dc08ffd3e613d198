"""The JSON codec keeps the contract with and without orjson, and the contract catches codecs that do not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.codec.json import JsonCodec
from plexus.domain.errors import ProtocolError
from plexus.domain.point import Row
from plexus.domain.values import MAX_INT, MIN_INT
from plexus.ports.codec import Codec
from plexus.protocol.points import decode_points, fit, needs
from plexus.testing.contracts import failures
from plexus.testing.contracts.codec import CodecContract, same

T = 1_746_969_660_000

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_scalars = st.one_of(
    st.booleans(), st.integers(MIN_INT, MAX_INT), st.floats(allow_nan=False, allow_infinity=False), _text
)
_values = st.one_of(
    st.floats(),
    st.recursive(_scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4)),
)
_rows = st.lists(
    st.tuples(
        _text.filter(bool),
        _values,
        st.integers(-(10**12), 9 * 10**12) | st.floats(-1e12, 9e12).map(lambda ms: round(ms, 3)),
        st.none() | st.dictionaries(_text, _text, min_size=1, max_size=16),
        st.sampled_from(["metric", "event"]),
        st.none() | _text,
    ),
    max_size=8,
)


class TestJsonCodec(CodecContract):
    def make(self) -> Codec:
        return JsonCodec()


class TestJsonCodecWithoutOrjson(CodecContract):
    def make(self) -> Codec:
        return JsonCodec(fast=False)


@settings(max_examples=60, deadline=None)
@given(_rows)
def test_any_rows_come_back_from_either_writer(rows: list[Row]) -> None:
    for codec in (JsonCodec(), JsonCodec(fast=False)):
        assert same(codec.decode(codec.encode(rows)), rows)


@settings(max_examples=40, deadline=None)
@given(_rows)
def test_both_writers_say_the_same(rows: list[Row]) -> None:
    assert json.loads(JsonCodec().encode(rows)) == json.loads(JsonCodec(fast=False).encode(rows))


@settings(max_examples=40, deadline=None)
@given(_rows)
def test_a_gateway_reads_what_the_codec_wrote(rows: list[Row]) -> None:
    decoded = decode_points(json.loads(JsonCodec().encode(rows)), source_id="s", arrival_ns=0)
    assert not decoded.faults
    assert same(decoded.columns.value, [row[1] for row in rows])
    assert all(abs(ns - row[2] * 1e6) < 1e6 for ns, row in zip(decoded.columns.t_ns, rows, strict=True))
    assert decoded.columns.is_event == [row[4] == "event" for row in rows]


@settings(max_examples=40, deadline=None)
@given(_rows)
def test_fitted_rows_need_nothing_and_fitting_again_changes_nothing(rows: list[Row]) -> None:
    fitted, lost = fit(rows, frozenset())
    assert needs(fitted) == frozenset()
    assert len(fitted) + lost == len(rows)
    assert fit(fitted, frozenset()) == (fitted, 0)


@settings(max_examples=40, deadline=None)
@given(_rows)
def test_rows_fitted_to_what_they_need_stay_as_they_are(rows: list[Row]) -> None:
    fitted, lost = fit(rows, needs(rows))
    assert lost == 0
    assert same(fitted, rows)


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
        JsonCodec(fast=fast).encode([("lidar.ranges", value, T, None, "metric", None)])


@pytest.mark.parametrize("fast", [True, False])
def test_text_that_utf8_cannot_carry_is_a_protocol_error(fast: bool) -> None:
    with pytest.raises(ProtocolError):
        JsonCodec(fast=fast).encode([("a", "\ud800", T, None, "metric", None)])


class Rounding(JsonCodec):
    """Takes every time for whole milliseconds."""

    def encode(self, rows: Sequence[Row]) -> bytes:
        return super().encode([(*row[:2], round(row[2]), *row[3:]) for row in rows])


class NullForNan(JsonCodec):
    """Does with NaN what JavaScript does."""

    def encode(self, rows: Sequence[Row]) -> bytes:
        return super().encode(rows).replace(b'"NaN","timestamp"', b'null,"timestamp"')


class Tagless(JsonCodec):
    """Forgets tags."""

    def decode(self, body: bytes) -> list[Row]:
        return [(*row[:3], None, *row[4:]) for row in super().decode(body)]


class Credulous(JsonCodec):
    """Takes anything for no rows."""

    def decode(self, body: bytes) -> list[Row]:
        try:
            return super().decode(body)
        except ProtocolError:
            return []


class Sorting(JsonCodec):
    """Puts rows into an order of its own."""

    def encode(self, rows: Sequence[Row]) -> bytes:
        return super().encode(sorted(rows, key=lambda row: row[0]))


class Widening(JsonCodec):
    """Makes every number a float."""

    def decode(self, body: bytes) -> list[Row]:
        return [(row[0], float(row[1]) if type(row[1]) is int else row[1], *row[2:]) for row in super().decode(body)]


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (Rounding, {"test_times_come_back_to_the_microsecond", "test_rows_at_random_come_back"}),
        (NullForNan, {"test_numbers_that_are_not_finite_come_back", "test_text_comes_back_whatever_is_in_it"}),
        (Tagless, {"test_tags_class_and_run_come_back", "test_rows_at_random_come_back"}),
        (
            Credulous,
            {
                "test_bytes_that_are_no_rows_are_refused_with_a_protocol_error",
                "test_a_body_that_was_cut_is_refused_with_a_protocol_error",
            },
        ),
        (Sorting, {"test_the_order_and_the_number_of_rows_stay", "test_rows_at_random_come_back"}),
        (Widening, {"test_numbers_come_back_exactly", "test_rows_at_random_come_back"}),
    ],
)
def test_the_contract_catches_a_broken_codec(broken: type[Codec], caught_by: set[str]) -> None:
    class Suite(CodecContract):
        def make(self) -> Codec:
            return broken()

    assert failures(Suite).keys() == caught_by
