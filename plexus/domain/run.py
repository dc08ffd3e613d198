"""A run: a named stretch of time of one source (a flight, a test, a thermal cycle)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

RunStatus = Literal["running", "completed", "aborted"]


@attrs.frozen
class Run:
    """One run.

    Attributes:
        run_id: unique within the organisation.
        name: what people call it; 0.5.2 devices use the id as the name.
        source_id: the source it was recorded on; None for a run of the whole organisation.
        status: "running", "completed" or "aborted".
        started_ms / ended_ms: milliseconds since 1970 UTC; `ended_ms` is None while it runs.
        tags, metadata: as the device gave them.
    """

    run_id: str
    name: str
    source_id: str | None
    status: RunStatus
    started_ms: float
    ended_ms: float | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
