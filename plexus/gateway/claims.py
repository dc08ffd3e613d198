"""How names of sources become known without their points: claimed by a device that greets, registered over REST.

Every name counts for the organisation's quota, so there has to be room for it before it is written down. Names are
claimed one after the other, and not while a move (a rename, a deletion) of theirs goes on: which suffix a device gets
depends on who was there before.
"""

from __future__ import annotations

import asyncio

from plexus.gateway.asgi import HttpError
from plexus.gateway.core import Core


class SourceLimitError(HttpError):
    """The organisation has as many sources as it may have: a 400, as for points of one more."""

    def __init__(self, source_id: str, told: str) -> None:
        super().__init__(400, f"the source {source_id} {told}; delete one, or raise the limit org_sources")


async def claim(core: Core, org: str, declared: str, install_id: str) -> str:
    """The name of a device whose key is for all sources: the declared one or a suffixed one, as the registry says.

    Raises HttpError 400 when it is one too many (SourceLimitError) and 503 while the name moves, and StoreError.
    """
    known = await _given(core, org, declared, install_id)
    if known is not None:
        return known
    async with core.moving.naming:
        name = await _foreseen(core, org, declared, install_id)
        await make_room(core, org, name)
        # Durable before it returns, so it may take as long as the disk does.
        return await asyncio.to_thread(core.registry.claim, org, declared, install_id)


async def prove(core: Core, org: str, source_id: str, install_id: str) -> None:
    """A device has this name, because its key is for this source alone. Raises as `claim` does."""
    if await _given(core, org, source_id, install_id) == source_id:
        return
    async with core.moving.naming:
        await make_room(core, org, source_id)
        await asyncio.to_thread(core.registry.prove, org, source_id, install_id)


async def make_room(core: Core, org: str, source_id: str) -> None:
    """See to it that the name may become known; it counts from now on. Raises as `claim` does."""
    await core.intake.quotas.learn(org)
    if (org, source_id) in core.moving.places:
        told = f"the source {source_id} is being renamed or deleted just now; try again"
        raise HttpError(503, told, [(b"retry-after", b"1")])
    if (full := core.intake.quotas.take(org, source_id)) is not None:
        raise SourceLimitError(source_id, full)


async def _foreseen(core: Core, org: str, declared: str, install_id: str) -> str:
    """The name that a claim will be answered, with a suffix that no source has, its points' alone included.

    The registry does not know a source that only has points, so it is told of one whose name it would give away.
    """
    given = await asyncio.to_thread(core.registry.given, org, declared, install_id)
    if given is not None:
        return given
    while True:
        name = await asyncio.to_thread(core.registry.foreseen, org, declared, install_id)
        # One that moves is left to make_room: noted here, a source that is being deleted would be back.
        moves = (org, name) in core.moving.places
        if name == declared or moves or not core.intake.quotas.knows(org, name):
            return name
        await asyncio.to_thread(core.registry.claim, org, name, "")


async def _given(core: Core, org: str, declared: str, install_id: str) -> str | None:
    """The name that a device that comes back has already, and that counts: such a one waits for nobody."""
    await core.intake.quotas.learn(org)
    known = await asyncio.to_thread(core.registry.given, org, declared, install_id)
    return known if known is not None and core.intake.quotas.knows(org, known) else None
