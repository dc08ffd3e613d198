"""What a live stream delivers."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from plexus.domain.values import Value


@attrs.frozen
class LivePoint:
    """A point as a live stream delivers it. `alert` is 0 when the value is inside its expected range."""

    source_id: str
    metric: str
    value: Value
    timestamp_ms: float
    alert: int = 0
    tags: Mapping[str, str] = attrs.field(factory=dict)
