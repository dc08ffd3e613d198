"""An event: something that happened, as opposed to something measured."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from plexus.domain.values import Value

MAX_TEXT_BYTES = 256
MAX_JSON_BYTES = 4096


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
