"""Reading fields out of a JSON object: each reader names the field it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plexus.domain.errors import ProtocolError

Object = Mapping[str, Any]


def text(obj: Object, field: str, default: str | None = None) -> str:
    """A string; missing (or null) gives `default`, and without one is refused."""
    value = obj.get(field)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ProtocolError(f"{field} must be a string", field=field)
    return value


def optional_text(obj: Object, field: str) -> str | None:
    """A string or nothing."""
    return None if obj.get(field) is None else text(obj, field)


def whole(obj: Object, field: str) -> int:
    """A whole number that fits 64 bits."""
    value = obj.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ProtocolError(f"{field} must be a whole number", field=field)
    return value


def optional_whole(obj: Object, field: str) -> int | None:
    """A whole number or nothing."""
    return None if obj.get(field) is None else whole(obj, field)


def number(obj: Object, field: str) -> float:
    """A number, whole or not, that arithmetic with floats can take."""
    value = obj.get(field)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProtocolError(f"{field} must be a number", field=field)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ProtocolError(f"{field} must fit 64 bits", field=field)
    return value


def optional_number(obj: Object, field: str) -> float | None:
    """A number or nothing."""
    return None if obj.get(field) is None else number(obj, field)


def mapping(obj: Object, field: str) -> dict[str, Any]:
    """An object; missing (or null) is the empty one."""
    value = obj.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"{field} must be an object", field=field)
    return value


def objects(obj: Object, field: str) -> tuple[dict[str, Any], ...]:
    """An array of objects; missing (or null) is the empty one."""
    value = obj.get(field)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ProtocolError(f"{field} must be an array of objects", field=field)
    return tuple(value)
