"""Extensions: offered as a map or a header, agreed by name with the lower version, garbage passed over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.protocol import extensions
from tests.protocol.strategies import json_values, offers


@given(offers)
def test_a_header_says_what_the_map_says(offered: dict[str, int]) -> None:
    assert extensions.parse_header(extensions.format_header(offered)) == offered


@given(offers)
def test_a_map_of_offers_is_read_as_it_is(offered: dict[str, int]) -> None:
    assert extensions.parse_map(offered) == offered


@given(json_values)
def test_any_other_map_is_passed_over(raw: Any) -> None:
    read = extensions.parse_map(raw)
    assert all(isinstance(name, str) and version > 0 for name, version in read.items())


@given(st.text(max_size=40))
def test_any_header_is_read_or_passed_over(raw: str) -> None:
    assert all(version > 0 for version in extensions.parse_header(raw).values())


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (None, {}),
        ("", {}),
        ("batch=1", {"batch": 1}),
        (" batch=1 , columnar=2 ", {"batch": 1, "columnar": 2}),
        ("batch", {}),
        ("batch=", {}),
        ("batch=0", {}),
        ("batch=-1", {}),
        ("batch=1.5", {}),
        ("batch=\u0661", {}),
        ("=1", {}),
        ("batch=9999999", {}),
        ("batch=1,,junk;,x=2", {"batch": 1, "x": 2}),
    ],
)
def test_headers_of_all_kinds(raw: str | None, read: dict[str, int]) -> None:
    assert extensions.parse_header(raw) == read


def test_versions_that_are_no_numbers_are_passed_over() -> None:
    assert extensions.parse_map({"a": True, "b": "1", "c": 0, "d": 2, "e": None}) == {"d": 2}


@given(offers, offers)
def test_both_ends_come_to_the_same_agreement(device: dict[str, int], gateway: dict[str, int]) -> None:
    answered = extensions.agree(device, gateway)
    assert set(answered) == set(device) & set(gateway)
    assert all(version == min(device[name], gateway[name]) for name, version in answered.items())
    assert extensions.agree(answered, device) == answered


def test_a_device_does_not_take_what_it_did_not_offer() -> None:
    assert extensions.agree({"batch": 1, "teleport": 1}, {"batch": 1}) == {"batch": 1}
