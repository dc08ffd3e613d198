"""A gateway's REST part on memory adapters, with a clock that stands still, asked as the gate would let requests in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from plexus.adapters.bus.memory import MemoryBus
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.command import CommandCall
from plexus.domain.declaration import Declaration
from plexus.domain.values import Value
from plexus.gateway.asgi import Receive, Scope, Send
from plexus.gateway.assembly import Ports, build_core
from plexus.gateway.commands import Described, Order, RunOrder
from plexus.gateway.core import Limits
from plexus.gateway.rest import build_rest
from plexus.gateway.settings import Settings
from plexus.ports.keyring import SCOPES, KeyInfo
from plexus.ports.store import Store, Submission
from plexus.protocol.columns import Columns

NOW_MS = 1_746_969_660_000
NS = 1_000_000
EVERYTHING = KeyInfo("k1", "acme", "all", frozenset(SCOPES))


def key(*scopes: str, org: str = "acme", source_id: str | None = None) -> KeyInfo:
    return KeyInfo("k2", org, "some", frozenset(scopes), source_id)


class Link:
    """A device socket that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[CommandCall] = []
        self.runs: list[RunOrder] = []

    def call(self, order: Order) -> bool:
        if isinstance(order, CommandCall):
            self.calls.append(order)
        else:
            self.runs.append(order)
        return True


class House:
    """`get("/v1/sources")` answers as the REST part does for `self.key`, or for the key that is passed."""

    def __init__(self, store: Store | None = None) -> None:
        self.now_ns = NOW_MS * NS
        self.key: KeyInfo | None = EVERYTHING
        self.store = MemoryStore() if store is None else store
        self.registry = MemoryRegistry()
        ports = Ports(self.store, MemoryBus(), MemoryKeyring(), self.registry)
        # Nothing is committed but by `stored`, which is done when it returns: nothing has to settle.
        settings = Settings(limits=Limits(settle_s=0.0))
        self.now_s = 0.0
        clocks: Any = {"wall_ns": lambda: self.now_ns, "monotonic": lambda: self.now_s}
        self.core = build_core(ports, settings=settings, **clocks)
        self.app = build_rest(self.core)
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        self._loop.close()

    def stored(
        self,
        source_id: str,
        metric: str,
        *values: Value,
        at_ms: float = NOW_MS - 1_000,
        step_ms: float = 1,
        org: str = "acme",
        event: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Commit values of one metric (or events), `step_ms` apart, that arrived at the clock's now."""
        columns = Columns()
        for index, value in enumerate(values):
            t_ns = round((at_ms + index * step_ms) * NS)
            columns.add(source_id, metric, t_ns, is_event=event, value=value, tags=tags, run_id=None)
        self.store.commit([Submission(org, source_id, columns, self.now_ns)])

    def connect(
        self,
        source_id: str,
        org: str = "acme",
        declared: Mapping[str, Declaration] | None = None,
        described: Described = (),
    ) -> Link:
        """A device is there."""
        link = Link()
        self.registry.claim(org, source_id, "install")
        self.core.presence.opened(org, source_id)
        self.core.devices.joined(org, source_id, link, declared or {}, described)
        return link

    def heard(self, source_id: str, said: Any) -> None:
        """A device said something of its commands."""
        self._loop.run_until_complete(self.core.devices.heard("acme", source_id, said, "device-key"))

    def request(self, method: str, path: str, *, by: KeyInfo | None = None, **arguments: Any) -> httpx.Response:
        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            allowed = by or self.key
            scope["state"] = {} if allowed is None else {"key": allowed}
            await self.app(scope, receive, send)

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=gate)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.request(method, path, **arguments)

        return self._loop.run_until_complete(ask())

    def get(self, path: str, *, by: KeyInfo | None = None, **params: Any) -> Any:
        """The body of a GET that succeeds."""
        answer = self.request("GET", path, by=by, params=params or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, method: str, path: str, *, by: KeyInfo | None = None, **arguments: Any) -> tuple[int, str]:
        """Status and `error` of a request that does not succeed."""
        answer = self.request(method, path, by=by, **arguments)
        assert answer.status_code >= 400, answer.text
        body = answer.json()
        assert list(body) == ["error"]
        return answer.status_code, body["error"]
