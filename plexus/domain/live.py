"""What a live stream delivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from plexus.domain.values import Value

StreamState = Literal["connected", "lost", "gateway_reconnecting", "filled", "missed", "online"]


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
        state: "connected"; "lost": it is made again in `delay_s`, and what was stored meanwhile is delivered then;
            "gateway_reconnecting": the server has lost its own source for a moment and keeps this stream;
            "filled": after a loss `count` items came from the history; "missed": `count` items were dropped by the
            server because this reader was too slow; "online": of a video stream, which cameras send (`detail`).
        detail: why, in a sentence; "" when there is nothing to say.
        attempt: how many tries there were since the stream last worked.
        delay_s: seconds until the next try.
        count: how many items; 0 when the state has none.
        source_id: whose connection it is; "" when it is about all of them.
    """

    state: StreamState
    detail: str = ""
    attempt: int = 0
    delay_s: float = 0.0
    count: int = 0
    source_id: str = ""
