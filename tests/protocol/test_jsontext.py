"""JSON as the contract has it."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.protocol import jsontext
from tests.protocol.strategies import json_values


@given(json_values)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert jsontext.loads(jsontext.dumps(value)) == value


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_garbage_is_a_protocol_error_and_nothing_else(message: str | bytes) -> None:
    with contextlib.suppress(ProtocolError):
        jsontext.loads(message)


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, object(), b"bytes", "\ud800", {"\ud800": 1}])
def test_what_json_cannot_say_is_a_protocol_error(value: Any) -> None:
    with pytest.raises(ProtocolError, match="cannot be said in JSON"):
        jsontext.dumps(value)


def test_a_list_that_holds_itself_is_a_protocol_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ProtocolError):
        jsontext.dumps(endless)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert jsontext.loads('"\\ud83d\\ude80"') == "🚀"


def test_whole_numbers_keep_every_digit() -> None:
    assert jsontext.loads("18446744073709551616") == 2**64


def test_an_error_says_where_it_is_and_not_what_was_sent() -> None:
    with pytest.raises(ProtocolError) as refused:
        jsontext.loads('{"api_key":"plx_canary",}')
    assert "canary" not in str(refused.value)
    assert "line 1" in str(refused.value)
