"""Who asks, and what of the gateway they may see. Handlers get one `Caller` and reach everything through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import attrs
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation

from plexus.domain.source import Source
from plexus.gateway.access import require
from plexus.gateway.asgi import HttpError
from plexus.gateway.core import Core
from plexus.ports.keyring import KeyInfo

QUESTIONS_AT_ONCE = 8
"""Blocking questions that run beside each other; more wait their turn, and the event loop waits for none."""

PUBLIC: Mapping[str, Any] = {"scope": "public"}
"""For a handler that needs no key."""
ANY_KEY: Mapping[str, Any] = {"scope": "any"}
"""For a handler that any live key may use."""
READ: Mapping[str, Any] = {"scope": "read"}
WRITE: Mapping[str, Any] = {"scope": "write"}
COMMANDS: Mapping[str, Any] = {"scope": "commands"}

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
class Caller:
    """One request's key beside the gateway's core."""

    core: Core
    key: KeyInfo
    _limiter: anyio.CapacityLimiter

    @property
    def org(self) -> str:
        """The only organisation that this request is about."""
        return self.key.org

    def sees(self, source_id: str | None) -> bool:
        """Whether the key is for this source, or for all of them; None stands for the whole organisation."""
        return self.key.source_id is None or self.key.source_id == source_id

    async def ask(self, question: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call what blocks (the store, the registry) in a thread."""
        return await anyio.to_thread.run_sync(partial(question, *arguments, **named), limiter=self._limiter)

    async def sources(self) -> list[Source]:
        """Every source that sent, was claimed or was registered, as far as the key sees it, by name."""
        arrivals = await self.ask(self.core.store.sources, self.org)
        registered = await self.ask(self.core.registry.registered, self.org)
        self.core.presence.learn(self.org, arrivals)
        return [self._source(name) for name in sorted({*arrivals, *registered}) if self.sees(name)]

    async def source(self, source_id: str) -> Source:
        """One source; raises HttpError 404 when there is none, or none that the key sees."""
        if self.sees(source_id):
            arrivals = await self.ask(self.core.store.sources, self.org)
            if source_id in arrivals:
                self.core.presence.learn(self.org, {source_id: arrivals[source_id]})
                return self._source(source_id)
            if source_id in await self.ask(self.core.registry.registered, self.org):
                return self._source(source_id)
        raise HttpError(404, f"NOT_FOUND: there is no source {source_id[:256]!r}; GET /v1/sources lists all")

    def _source(self, source_id: str) -> Source:
        presence = self.core.presence
        return Source(source_id, presence.online(self.org, source_id), presence.last_seen_ms(self.org, source_id))


Asking = NamedDependency[SkipValidation[Caller]]
"""The type of a handler's `caller`."""
