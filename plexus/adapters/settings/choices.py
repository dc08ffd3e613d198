"""One setting said in several places: who says it first wins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Choice = tuple[Any, str]
"""A value and where it came from, in words; the value is None where that place says nothing."""


def first(choices: Iterable[Choice]) -> Choice:
    """The first that says something; empty text says nothing."""
    for value, origin in choices:
        stripped = value.strip() if isinstance(value, str) else value
        if stripped not in (None, ""):
            return stripped, origin
    return None, "not set"
