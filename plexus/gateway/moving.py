"""Renaming a source, and deleting it with all that is kept of it.

What is known of a source is in several files, which no transaction spans. The registry goes first and notes the move in
the transaction in which it makes its own part; everybody else follows, each step harmless when it is done twice; then
the note is removed. A gateway that is killed in between goes on with the rest when it starts, before anybody is let in.

A device that is connected is told to come back (1012). It gets the new name for the one that it declares, by its
install id, and its key follows too when it was limited to the source. So do its streams of batches: what the device
sends again is known, and what comes next goes on.
"""

from __future__ import annotations

import asyncio

import attrs

from plexus.gateway.asgi import HttpError
from plexus.gateway.core import Core
from plexus.gateway.judgements import Judgements
from plexus.ports.audit import LOCAL, AuditEntry
from plexus.ports.commandbook import Commandbook
from plexus.ports.keyring import Keyring
from plexus.ports.registry import Move, Registry
from plexus.ports.store import Selection, Store, Submission
from plexus.ports.tallies import Tallies
from plexus.protocol.columns import Columns

CLOSE_SERVICE_RESTART = 1012
LEAVE_S = 5.0
"""How long open sockets of the source may take to go."""


@attrs.frozen
class Keepers:
    """Everybody who keeps something of sources; how runs were judged is in memory only, and a start begins without."""

    registry: Registry
    store: Store
    keyring: Keyring
    commandbook: Commandbook
    tallies: Tallies
    judgements: Judgements = attrs.field(factory=Judgements)


def follow(keepers: Keepers, move: Move) -> None:
    """Do what the registry did with everybody else, then strike its note out. Blocks; doing it twice is harmless.

    Raises StoreError; the note stays.
    """
    org, source_id, new = move.org, move.source_id, move.new
    if new is None:
        keepers.store.remove(org, Selection([source_id]))
        keepers.judgements.forget(org)  # runs of the whole organisation were judged on its points too
        keepers.commandbook.remove(org, source_id)
        keepers.tallies.remove(org, source_id)
    else:
        if source_id in keepers.store.sources(org):
            keepers.store.rename(org, source_id, new)
        keepers.keyring.rename(org, source_id, new)
        keepers.commandbook.rename(org, source_id, new)
        if (org, source_id) in keepers.tallies.load():
            keepers.tallies.rename(org, source_id, new)
    keepers.registry.end_move(move)


def finish(keepers: Keepers) -> None:
    """Go on with what a gateway that was killed had begun; before anybody is let in. Raises StoreError."""
    for move in keepers.registry.moves():
        follow(keepers, move)


async def move(core: Core, org: str, source_id: str, new: str | None, actor: str = LOCAL) -> None:
    """Rename a source (the new name is free), or delete it (None); returns when everything has followed.

    `actor` is the id of the key that asks, for the audit trail, which has it before it is done.

    Raises HttpError 503 when somebody who is connected as this source does not go, ConfigurationError when the name is
    known or the source is moving already, and StoreError when files cannot be written: what has begun is finished by
    the next move, or by the next start.
    """
    # To its end also when whoever asked goes away.
    await asyncio.shield(asyncio.get_running_loop().create_task(_move(core, Move(org, source_id, new), actor)))


async def _move(core: Core, wanted: Move, actor: str) -> None:
    places = {(wanted.org, wanted.source_id), (wanted.org, wanted.new or wanted.source_id)}
    async with core.moving.turn:
        core.moving.places |= places
        try:
            keepers = Keepers(core.registry, core.store, core.keyring, core.devices.book, core.tallies, core.judgements)
            await asyncio.to_thread(finish, keepers)
            await _clear(core, wanted)
            await asyncio.to_thread(core.audit.record, _entry(wanted, actor, core.wall_ns()))
            await core.intake.quotas.learn(wanted.org)  # else it could read the names before and count them after
            async with core.moving.naming:
                await asyncio.to_thread(core.registry.begin_move, wanted)
            await asyncio.to_thread(core.metadata.moved, wanted.org, wanted.source_id, wanted.new)
            _in_memory(core, wanted)
            await asyncio.to_thread(follow, keepers, wanted)
            if wanted.new is not None:
                core.committer.deliveries.changed([(wanted.org, wanted.new)])
        finally:
            core.moving.places -= places


async def _clear(core: Core, wanted: Move) -> None:
    """Nobody is connected as this source any more, and what was read of it is stored."""
    place = (wanted.org, wanted.source_id)
    reason = "the source was deleted" if wanted.new is None else "the source has another name now; connect again"
    if not await core.sockets.clear(place, CLOSE_SERVICE_RESTART, reason, LEAVE_S):
        raise HttpError(
            503,
            f"a connection of {wanted.source_id} does not end; nothing is changed, try again",
            [(b"retry-after", b"5")],
        )
    await core.committer.submit(Submission(*place, Columns(), core.wall_ns()))
    await core.devices.settle()


def _entry(wanted: Move, actor: str, now_ns: int) -> AuditEntry:
    action, detail = ("source.delete", {}) if wanted.new is None else ("source.rename", {"source_id": wanted.new})
    return AuditEntry(now_ns / 1e6, wanted.org, actor, action, wanted.source_id, detail)


def _in_memory(core: Core, move: Move) -> None:
    """What the event loop knows of the source."""
    org, source_id, new = move.org, move.source_id, move.new
    core.devices.moved(org, source_id, new)
    core.channels.moved(org, source_id, new or source_id)
    if new is None:
        for book in (core.presence, core.committer.deliveries, core.intake.quotas):
            book.remove(org, source_id)
    else:
        for book in (core.presence, core.committer.deliveries, core.intake.quotas):
            book.rename(org, source_id, new)
