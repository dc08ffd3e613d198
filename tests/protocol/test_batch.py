"""Batch names: what a receiver takes for one, and how a sealed batch is named."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.protocol.batch import MAX_N, Batch, BatchName, digest_of, is_stream_name, parse_batch_name
from tests.protocol.strategies import batch_names, counters, json_values, streams

GOOD = {"stream": "a" * 32, "n": 5, "base": 2, "digest": "0f"}


@given(batch_names())
def test_a_name_is_read_back_as_it_was_written(name: BatchName) -> None:
    assert parse_batch_name(name.to_wire()) == name


@given(batch_names(), json_values)
def test_unknown_fields_are_ignored(name: BatchName, value: Any) -> None:
    assert parse_batch_name({**name.to_wire(), "newer": value}) == name


def test_no_batch_object_is_no_name() -> None:
    assert parse_batch_name(None) is None


@given(json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, json_values)))
def test_garbage_is_a_protocol_error_and_nothing_else(raw: Any) -> None:
    with contextlib.suppress(ProtocolError):
        parse_batch_name(raw)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"stream": "A" * 32}, "batch.stream"),
        ({"stream": "a" * 31}, "batch.stream"),
        ({"stream": "a" * 32 + "\n"}, "batch.stream"),
        ({"stream": None}, "batch.stream"),
        ({"digest": ""}, "batch.digest"),
        ({"digest": "XY"}, "batch.digest"),
        ({"n": 0}, "batch.n"),
        ({"n": True}, "batch.n"),
        ({"n": 5.0}, "batch.n"),
        ({"n": MAX_N + 1}, "batch.n"),
        ({"base": 0}, "batch.base"),
        ({"base": 6}, "batch.base"),
        ({"base": None}, "batch.base"),
    ],
)
def test_the_error_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse_batch_name({**GOOD, **change})
    assert refused.value.field == field


@given(streams, counters, counters)
def test_a_batch_never_names_a_base_above_itself(stream: str, n: int, base: int) -> None:
    name = Batch(stream, n, 1, b"[]", "0f").name(base)
    assert name.base <= name.n
    assert parse_batch_name(name.to_wire()) == name


def test_the_digest_is_of_the_content() -> None:
    assert digest_of(b"[1]") == digest_of(b"[1]")
    assert digest_of(b"[1]") != digest_of(b"[2]")
    assert len(digest_of(b"")) == 32
    assert is_stream_name(digest_of(b""))
