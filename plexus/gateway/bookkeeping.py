"""What is written down beside the data now and then, off the event loop: counts, presence, expired commands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection

from plexus.domain.errors import StoreError
from plexus.gateway.core import Core
from plexus.ports.tallies import Place, Tally

LOOK_EVERY_S = 1.0
SAVE_EVERY_S = 10.0
"""What a gateway forgets at most of its counts when it is killed; one that ends in good order forgets nothing."""
GATHER_S = 0.1
"""A source that nobody knew is written down when it comes, so that no reader is told of it and then of nobody; a fleet
that comes at once is written down together, so long after the one before."""
FORGET_EVERY_S = 3_600.0
COMMANDS_KEPT_S = 365 * 86_400.0
"""How long a command is kept, unless more recent ones take its place before."""
DAY_MS = 86_400_000.0

logger = logging.getLogger("plexus.gateway")


def restore(core: Core) -> None:
    """Go on from what was written down; before the event loop runs. Raises StoreError."""
    tallies = core.tallies.load()
    core.committer.deliveries.restore(tallies)
    core.presence.remember({place: tally.seen_ms for place, tally in tallies.items() if tally.seen_ms})


async def keep_books(core: Core) -> None:
    """Look after the books for as long as the gateway runs."""
    now = core.monotonic()
    save_at, forget_at = now + SAVE_EVERY_S, now
    while True:
        await _look_out(core)
        now = core.monotonic()
        await core.devices.tick()
        if now >= save_at:
            save_at = now + SAVE_EVERY_S
            await save(core)
        if now >= forget_at:
            forget_at = now + FORGET_EVERY_S
            await _forget(core)


async def _look_out(core: Core) -> None:
    """Return when it is time to look after the books; whoever came of whom nothing was known is written down then."""
    presence = core.presence
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(presence.strangers_came.wait(), LOOK_EVERY_S)
    presence.strangers_came.clear()
    if strangers := presence.take_strangers():
        await _write_down(core, strangers)
        await asyncio.sleep(GATHER_S)


async def save(core: Core) -> None:
    """Write down what was counted since the last time; what cannot be written now is written the next time."""
    await _write_down(core, {*core.committer.deliveries.take_changed(), *core.presence.take_changed()})


async def _write_down(core: Core, places: Collection[Place]) -> None:
    if not places:
        return
    try:
        await asyncio.to_thread(core.tallies.save, {place: _tally(core, *place) for place in places})
    except StoreError as exc:
        core.committer.deliveries.changed(places)
        logger.warning("what was counted of %d sources is not written down yet: %s", len(places), exc)


async def close(core: Core) -> None:
    """The last entries, once every socket is gone and every commit done."""
    await core.devices.settle()
    await save(core)


def _tally(core: Core, org: str, source_id: str) -> Tally:
    counted = core.committer.deliveries.of(org, source_id)
    return Tally(
        counted.batches,
        counted.duplicates,
        counted.gaps_refused,
        counted.forks,
        core.presence.last_seen_ms(org, source_id) or 0.0,
        counted.clock,
    )


async def _forget(core: Core) -> None:
    now_ms = core.wall_ns() / 1e6
    try:
        await asyncio.to_thread(core.devices.book.forget, now_ms - COMMANDS_KEPT_S * 1e3)
        await _forget_entries(core, now_ms)
    except StoreError as exc:
        logger.warning("old commands and old entries of the audit trail cannot be let go of: %s", exc)


async def _forget_entries(core: Core, now_ms: float) -> None:
    days = core.settings.retention.audit_days
    if not days:
        return
    total = 0
    while gone := await asyncio.to_thread(core.audit.forget, now_ms - days * DAY_MS):
        total += gone
    if total:
        logger.info("let go of %d entries of the audit trail that are older than %d days", total, days)
