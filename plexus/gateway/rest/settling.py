"""When a run's data is in, as far as the gateway can see, so that the run can be judged.

What was read of any socket or request is in the committer's queue: an empty submission behind it is stored after it.
What a device has still to send nobody knows; while its data keeps coming it is waited for, until nothing came for
`QUIET_S`. What comes later (a spool after an outage) is judged when the run is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from plexus.domain.errors import StoreError
from plexus.gateway.core import Core
from plexus.ports.store import Submission
from plexus.protocol.columns import Columns

QUIET_S = 0.25
"""Longer than a frame is on its way over a healthy link, and than our own client gathers."""

Sleep = Callable[[float], Awaitable[object]]


async def settled(core: Core, org: str, source_id: str | None, sleep: Sleep = asyncio.sleep) -> bool:
    """Wait until a run's data is in, `Limits.settle_s` at most; whether it is. None is all of the organisation."""
    give_up_at = core.monotonic() + core.limits.settle_s
    if not await _stored(core, org, source_id, give_up_at):
        return False
    if source_id is None or not core.devices.connected(org, source_id):
        return True
    while (left := give_up_at - core.monotonic()) > 0:
        before = core.presence.heard_ns(org, source_id)
        await sleep(min(QUIET_S, left))
        if core.presence.heard_ns(org, source_id) == before:
            return await _stored(core, org, source_id, give_up_at)
    return False


async def _stored(core: Core, org: str, source_id: str | None, give_up_at: float) -> bool:
    """Return when all that was taken in before is stored, or when it could not be, or took too long."""
    left = give_up_at - core.monotonic()
    if left <= 0:
        return False
    barrier = core.committer.enqueue(Submission(org, source_id or "", Columns(), core.wall_ns()))
    try:
        await asyncio.wait_for(barrier, left)
    except (asyncio.TimeoutError, StoreError):
        return False
    return True
