"""Who asks, and what of the gateway they may see. Handlers get one `Caller` and reach everything through it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import attrs
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation

from plexus.domain.source import Source
from plexus.gateway.access import require
from plexus.gateway.asgi import HttpError, Receive
from plexus.gateway.core import Core
from plexus.gateway.rest.changes import Changes
from plexus.gateway.rest.download import Exports
from plexus.gateway.rest.questions import Questions
from plexus.gateway.rest.quick import Quick
from plexus.ports.audit import AuditEntry
from plexus.ports.keyring import KeyInfo
from plexus.ports.store import Question

PUBLIC: Mapping[str, Any] = {"scope": "public"}
"""For a handler that needs no key."""
ANY_KEY: Mapping[str, Any] = {"scope": "any"}
"""For a handler that any live key may use."""
READ: Mapping[str, Any] = {"scope": "read"}
WRITE: Mapping[str, Any] = {"scope": "write"}
COMMANDS: Mapping[str, Any] = {"scope": "commands"}
ADMIN: Mapping[str, Any] = {"scope": "admin"}

T = TypeVar("T")


def check_scope(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every handler: without a scope in its `opt` nobody may use it."""
    wanted = handler.opt.get("scope")
    if wanted == "public":
        return
    key = key_of(connection)
    if wanted is None:
        raise HttpError(403, "no key may do this")
    if wanted != "any":
        require(key, wanted)


def key_of(connection: ASGIConnection[Any, Any, Any, Any]) -> KeyInfo:
    """The key that the gate found; without one the gate was passed by, which is refused."""
    key = connection.scope.get("state", {}).get("key")
    if isinstance(key, KeyInfo):
        return key
    raise HttpError(401, "an API key is required, in the header x-api-key")


@attrs.frozen
class Desk:
    """Where the requests of one gateway are worked on: what is short, what may be large, what changes much."""

    quick: Quick
    questions: Questions
    changes: Changes
    exports: Exports


def build_desk(core: Core) -> Desk:
    """The desk for this core."""
    limits, meters = core.limits, core.meters
    return Desk(Quick(limits, meters), Questions(limits, meters), Changes(limits, meters), Exports(limits, meters))


@attrs.frozen
class Caller:
    """One request's key beside the gateway's core."""

    core: Core
    key: KeyInfo
    _desk: Desk
    _receive: Receive

    @property
    def org(self) -> str:
        """The only organisation that this request is about."""
        return self.key.org

    def sees(self, source_id: str | None) -> bool:
        """Whether the key is for this source, or for all of them; None stands for the whole organisation."""
        return self.key.source_id is None or self.key.source_id == source_id

    @property
    def exports(self) -> Exports:
        """The exports that run."""
        return self._desk.exports

    async def ask(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call what blocks for a moment (the registry, the names of a source) in a thread; see Quick."""
        return await self._desk.quick.ask(self.org, partial(call, *arguments, **named))

    async def note(self, action: str, subject: str, **detail: Any) -> None:
        """Write into the audit trail what this request did to something of its organisation; however many wait."""
        entry = AuditEntry(self.core.wall_ns() / 1e6, self.org, self.key.key_id, action, subject, detail)
        await self._desk.quick.ask(self.org, partial(self.core.audit.record, entry), always=True)

    async def question(self, ask: Callable[[Question], T]) -> T:
        """Call what may read much of the store in a thread, in its turn; see Questions."""
        return await self._desk.questions.ask(self.org, self._receive, ask)

    async def change(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what rewrites much of the store, in its turn and to its end; see Changes."""
        return await self._desk.changes.make(self.org, self._receive, work)

    async def sources(self) -> list[Source]:
        """Every source that sent, was claimed or was registered, as far as the key sees it, by name."""
        arrivals, names = await self.ask(self._known)
        self.core.presence.learn(self.org, arrivals)
        return await self.ask(lambda: [self._source(name) for name in names])

    async def source(self, source_id: str) -> Source:
        """One source; raises HttpError 404 when there is none, or none that the key sees."""
        arrivals = await self.ask(self._find, source_id)
        self.core.presence.learn(self.org, arrivals)
        return self._source(source_id)

    async def known(self, source_ids: Sequence[str] | None) -> list[str]:
        """These sources, or all that the key sees, sorted; raises HttpError 404 when one of these is not among them."""
        _arrivals, names = await self.ask(self._known)
        if source_ids is None:
            return names
        seen = frozenset(names)
        for source_id in source_ids:
            if source_id not in seen:
                raise _no_source(source_id)
        return sorted(source_ids)

    def _known(self) -> tuple[Mapping[str, int], list[str]]:
        arrivals = self.core.store.sources(self.org)
        registered = self.core.registry.registered(self.org)
        return arrivals, [name for name in sorted({*arrivals, *registered}) if self.sees(name)]

    def _find(self, source_id: str) -> Mapping[str, int]:
        """When the source's data last arrived, by its name; empty for one that is registered and never sent."""
        if self.sees(source_id):
            arrivals = self.core.store.sources(self.org)
            if source_id in arrivals:
                return {source_id: arrivals[source_id]}
            if source_id in self.core.registry.registered(self.org):
                return {}
        raise _no_source(source_id)

    def _source(self, source_id: str) -> Source:
        presence = self.core.presence
        return Source(source_id, presence.online(self.org, source_id), presence.last_seen_ms(self.org, source_id))


def _no_source(source_id: str) -> HttpError:
    return HttpError(404, f"NOT_FOUND: there is no source {source_id[:256]!r}; GET /v1/sources lists all")


Asking = NamedDependency[SkipValidation[Caller]]
"""The type of a handler's `caller`."""
