"""What a live stream delivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from plexus.domain.values import Value

StreamState = Literal["connected", "lost", "gateway_reconnecting"]


@attrs.frozen
class LivePoint:
    """A point as a live stream delivers it. `alert` is 0 when the value is inside its expected range."""

    source_id: str
    metric: str
    value: Value
    timestamp_ms: float
    alert: int = 0
    tags: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class StreamNotice:
    """How a live stream's connection is doing, for whoever shows it.

    Attributes:
        state: "connected"; "lost": it is made again in `delay_s`, and what is sent meanwhile is in the history only;
            "gateway_reconnecting": the server has lost its own source for a moment and keeps this stream.
        detail: why, in a sentence; "" when there is nothing to say.
        attempt: how many tries there were since the stream last worked.
        delay_s: seconds until the next try.
    """

    state: StreamState
    detail: str = ""
    attempt: int = 0
    delay_s: float = 0.0
