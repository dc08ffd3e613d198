"""An event: something that happened, as opposed to something measured."""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

from plexus.domain.values import Value

MAX_TEXT_BYTES = 256
MAX_JSON_BYTES = 4096


def event_fault(value: Value) -> str | None:
    """Why an event cannot have this value, None if it can: its size (protocol page, section 2)."""
    if isinstance(value, str):
        if len(value.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
            return f"value must be at most {MAX_TEXT_BYTES} bytes of text in an event"
    elif isinstance(value, (dict, list)):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode("utf-8", "surrogatepass")) > MAX_JSON_BYTES:
            return f"value must be at most {MAX_JSON_BYTES} bytes of JSON in an event"
    return None


@attrs.frozen
class Event:
    """One event of one source.

    Attributes:
        name: the event's name (the wire calls it `metric`).
        value: what happened: text up to 256 bytes, or an object or array up to 4,096 bytes of JSON.
        timestamp_ms: milliseconds since 1970 UTC.
        tags: at most 16 pairs of text.
        source_id: where it happened.
    """

    name: str
    value: Value
    timestamp_ms: float
    tags: Mapping[str, str] = attrs.field(factory=dict)
    source_id: str | None = None
