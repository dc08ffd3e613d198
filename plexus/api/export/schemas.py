"""The schemas of an MCAP export's messages, as JSON Schema, and what of ours goes into Foxglove's log messages."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import attrs

from plexus.domain.values import Value
from plexus.protocol.points import non_finite_name

LEVELS: Mapping[str, int] = {
    "DEBUG": 1,
    "INFO": 2,
    "WARNING": 3,
    "WARN": 3,
    "ERROR": 4,
    "CRITICAL": 5,
    "FATAL": 5,
}
"""Foxglove's number for a level by the name that log records have, which `plexus.LogHandler` puts into a tag."""

INFO = 2

_TIME = {
    "type": "object",
    "title": "time",
    "properties": {
        "sec": {"type": "integer", "minimum": 0},
        "nsec": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    },
    "required": ["sec", "nsec"],
}
_NUMBER = {"type": "number"}
_TEXT = {"type": "string"}


@attrs.frozen
class Schema:
    """A schema's name and its text."""

    name: str
    data: bytes


def _schema(name: str, /, **properties: Any) -> Schema:
    described = {"title": name, "type": "object", "properties": {"timestamp": _TIME, **properties}}
    return Schema(name, json.dumps(described).encode())


POINT = _schema("plexus.Point", value=_NUMBER, text=_TEXT, tags={"type": "object"}, run_id=_TEXT)
"""One value: in `value` a finite number, in `text` what is none."""

BUCKET = _schema(
    "plexus.Bucket",
    min=_NUMBER,
    max=_NUMBER,
    avg=_NUMBER,
    count={"type": "integer"},
    last=_NUMBER,
    last_text=_TEXT,
)
"""The aggregates of a bucket that begins at the message's time."""

LOG = _schema(
    "foxglove.Log",
    level={"type": "integer"},
    message=_TEXT,
    name=_TEXT,
    file=_TEXT,
    line={"type": "integer"},
    tags={"type": "object"},
)
"""Foxglove's own, for events, and their tags."""


def text_of(value: Value) -> str:
    """A value as text: text as it is, NaN and the infinities by their names, else JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return non_finite_name(value) or ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def log_fields(name: str, text: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """An event as a log message."""
    level = LEVELS.get(tags.get("level", "").upper(), INFO)
    fields = {"level": level, "message": f"{name}: {text}", "name": name, "file": "", "line": 0}
    return {**fields, "tags": tags} if tags else fields
