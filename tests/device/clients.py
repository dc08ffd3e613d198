"""A client whose gateway, buffer, run registry and status are in memory."""

from __future__ import annotations

from typing import Any

from plexus import Plexus
from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.runs.memory import MemoryRunRegistry
from plexus.adapters.status.memory import MemoryStatus
from tests.support.peer import KEY, Gateway


def client(gateway: Gateway, **changes: Any) -> Plexus:
    """A client of `gateway`; `changes` are arguments of `Plexus` that are to be others."""
    told: dict[str, Any] = {
        "api_key": KEY,
        "source_id": "drone-01",
        "transport": gateway.socket,
        "buffer": MemoryBuffer(10_000),
        "runs": MemoryRunRegistry(),
        "status": MemoryStatus(),
        **changes,
    }
    return Plexus(**told)
