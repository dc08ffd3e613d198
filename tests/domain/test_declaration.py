"""Declarations of typed commands: what is taken, what is refused and by which words, and what a value must be."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.domain.declaration import Declaration, Parameter, read_declaration, read_parameter
from plexus.domain.errors import CommandDeclarationError, CommandParamError

PAGE = {
    "name": "power_off",
    "title": "Power off",
    "description": "Cut an outlet",
    "danger": "critical",
    "idempotent": True,
    "expires_in_s": 30.0,
    "concurrency": "accept",
    "params": {"outlet": {"type": "integer", "minimum": 1, "maximum": 8, "required": True}},
}


def test_the_declaration_of_the_protocol_page_comes_back_as_it_went() -> None:
    assert read_declaration(PAGE).to_wire() == PAGE


def test_what_is_left_out_is_as_the_page_says() -> None:
    assert read_declaration({"name": "stop"}) == Declaration("stop", expires_in_s=30.0)


def test_fields_that_are_not_known_are_passed_over() -> None:
    read_declaration({**PAGE, "colour": "red", "params": {"outlet": {"type": "integer", "hint": "left"}}})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "Power"}, r"command name 'Power' is not valid: the rule is \^\[a-z\]"),
        ({"name": None}, "command name None is not valid"),
        ({"title": 7}, "command 'power_off': title must be text, not int"),
        ({"danger": "high"}, "danger must be one of normal, dangerous, critical, not 'high'"),
        ({"danger": []}, "danger must be one of"),
        ({"idempotent": 1}, "idempotent must be true or false, not 1"),
        ({"expires_in_s": 4.9}, "expires_in_s must be 5 to 3600 seconds, not 4.9"),
        ({"expires_in_s": 3601}, "expires_in_s must be 5 to 3600"),
        ({"expires_in_s": True}, "expires_in_s must be 5 to 3600"),
        ({"expires_in_s": float("nan")}, "expires_in_s must be 5 to 3600"),
        ({"concurrency": "queue"}, "concurrency must be one of accept, reject"),
        ({"params": []}, "params must be an object such as"),
        ({"params": {f"p{n}": {"type": "boolean"} for n in range(17)}}, "at most 16 params can be declared, not 17"),
        ({"params": {"Outlet": {"type": "integer"}}}, "parameter name 'Outlet' is not valid"),
        ({"params": {"a": 7}}, "parameter 'a': it must be an object such as"),
        ({"params": {"a": {"type": "array"}}}, "parameter 'a': type must be one of string, integer, number, boolean"),
        ({"params": {"a": {}}}, "parameter 'a': type must be one of"),
        ({"params": {"a": {"type": "string", "minimum": 1}}}, "minimum does not belong to the type string"),
        ({"params": {"a": {"type": "boolean", "enum": ["x"]}}}, "enum does not belong to the type boolean"),
        ({"params": {"a": {"type": "integer", "minimum": 1.5}}}, "minimum of an integer must be a whole number"),
        ({"params": {"a": {"type": "number", "maximum": float("inf")}}}, "maximum must be a number"),
        ({"params": {"a": {"type": "number", "minimum": 2, "maximum": 1}}}, "minimum 2.0 is above maximum 1.0"),
        ({"params": {"a": {"type": "string", "maxLength": 0}}}, "maxLength must be a whole number of at least 1"),
        ({"params": {"a": {"type": "string", "enum": []}}}, "enum must be 1 to 64 different texts"),
        ({"params": {"a": {"type": "string", "enum": ["x", "x"]}}}, "enum must be 1 to 64 different texts"),
        ({"params": {"a": {"type": "string", "enum": [str(n) for n in range(65)]}}}, "there are 65"),
        ({"params": {"a": {"type": "string", "enum": [1]}}}, "enum must be a list of texts"),
        ({"params": {"a": {"type": "integer", "default": True}}}, "parameter 'a': a must be an integer, not True"),
        ({"params": {"a": {"type": "string", "enum": ["x"], "default": "y"}}}, "a must be one of x, not 'y'"),
        ({"params": {"a": {"type": "integer", "required": "yes"}}}, "required must be true or false"),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_refused_by_name(change: dict[str, Any], why: str) -> None:
    with pytest.raises(CommandDeclarationError, match=why):
        read_declaration({**PAGE, **change})


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "integer"}, 3.0, 3),
        ({"type": "integer", "minimum": -2, "maximum": 8}, -2, -2),
        ({"type": "number", "maximum": 8}, 8, 8.0),
        ({"type": "boolean"}, False, False),
        ({"type": "string", "maxLength": 3}, "abc", "abc"),
        ({"type": "string", "enum": ["fast", "slow"]}, "slow", "slow"),
    ],
)
def test_a_value_that_fits_is_taken_as_its_type(schema: dict[str, Any], value: object, expected: object) -> None:
    checked = read_parameter("a", schema).check(value)
    assert (checked, type(checked)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("schema", "value", "why"),
    [
        ({"type": "integer"}, True, "a must be an integer, not True"),
        ({"type": "integer"}, 3.5, "a must be an integer, not 3.5"),
        ({"type": "integer"}, "3", "a must be an integer, not '3'"),
        ({"type": "integer"}, float("inf"), "a must be an integer, not inf"),
        ({"type": "integer", "minimum": 1}, 0, "a must be at least 1, not 0"),
        ({"type": "integer", "maximum": 8}, 9, "a must be at most 8, not 9"),
        ({"type": "number"}, True, "a must be a number, not True"),
        ({"type": "number"}, float("nan"), "a must be a number, not nan"),
        ({"type": "number"}, 10**400, "a must be a number, not 1000"),
        ({"type": "boolean"}, 1, "a must be true or false, not 1"),
        ({"type": "boolean"}, "true", "a must be true or false, not 'true'"),
        ({"type": "string"}, 7, "a must be a string, not 7"),
        ({"type": "string", "maxLength": 3}, "abcd", "a must be at most 3 characters, not 'abcd'"),
        ({"type": "string", "enum": ["fast", "slow"]}, "Fast", "a must be one of fast, slow, not 'Fast'"),
        ({"type": "string", "maxLength": 3}, "x" * 500, "…"),
    ],
)
def test_a_value_that_does_not_is_refused_and_the_parameter_named(
    schema: dict[str, Any], value: object, why: str
) -> None:
    with pytest.raises(CommandParamError, match=why) as caught:
        read_parameter("a", schema).check(value)
    assert len(str(caught.value)) < 200


def test_a_parameter_with_a_default_is_not_required_and_null_is_as_good_as_missing() -> None:
    declaration = read_declaration({"name": "dose", "params": {"ml": {"type": "integer", "default": 5}}})
    assert declaration.check({}) == declaration.check({"ml": None}) == {"ml": 5}


def test_what_is_neither_required_nor_given_is_left_to_the_handler() -> None:
    declaration = Declaration("dose", params={"ml": Parameter("ml", "integer", required=False)})
    assert declaration.check({}) == {}


SCHEMAS = st.one_of(
    st.fixed_dictionaries({"type": st.just("boolean")}, optional={"default": st.booleans()}),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={"enum": st.lists(st.text(max_size=5), min_size=1, max_size=5, unique=True)},
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(-9, 0), "maximum": st.integers(1, 9), "unit": st.text(max_size=4)},
    ),
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), SCHEMAS, max_size=5))
def test_what_was_read_is_read_again_from_its_own_words(params: dict[str, Any]) -> None:
    declaration = read_declaration({"name": "dose", "params": params})
    assert read_declaration(declaration.to_wire()) == declaration


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "params", "type", "enum", "minimum", "a"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_whatever_comes_is_a_declaration_or_a_named_fault(raw: Any) -> None:
    with contextlib.suppress(CommandDeclarationError):
        read_declaration({"name": "dose", "params": {"a": raw}})
    with contextlib.suppress(CommandDeclarationError):
        read_declaration({"name": "dose", "params": raw, "danger": raw, "expires_in_s": raw})
