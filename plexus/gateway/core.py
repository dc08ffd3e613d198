"""What the gateway's handlers share: its ports, who is there, and the way into the store. One event loop owns it all.

Nothing here speaks HTTP or WebSocket, so that the bare handlers and the REST part build on it alike.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from plexus.gateway.commands import Devices
from plexus.gateway.committer import Committer
from plexus.gateway.meters import Meters
from plexus.ports.audit import Audit
from plexus.ports.bus import Bus
from plexus.ports.keyring import Keyring
from plexus.ports.registry import Registry
from plexus.ports.store import Store

ONLINE_S = 30.0

_Device = tuple[str, str]
"""`(org, source_id)`."""


class Presence:
    """Who is there: a source with an open device socket, or with data in the last 30 s.

    It knows what this process heard; `learn` adds what the store knows from before, so that a restart does not make
    everybody look absent. `wall_ns` is nanoseconds since 1970 UTC, as in the store's arrival times.
    """

    def __init__(self, wall_ns: Callable[[], int], online_s: float = ONLINE_S) -> None:
        self._wall_ns = wall_ns
        self._online_ns = int(online_s * 1e9)
        self._heard: dict[_Device, int] = {}
        self._sockets: dict[_Device, int] = {}

    def heard(self, org: str, source_id: str) -> None:
        """Something came from this source just now."""
        self._heard[org, source_id] = self._wall_ns()

    def opened(self, org: str, source_id: str) -> None:
        """A device socket of this source is open now."""
        self._sockets[org, source_id] = self._sockets.get((org, source_id), 0) + 1
        self.heard(org, source_id)

    def closed(self, org: str, source_id: str) -> None:
        """A device socket that `opened` told of is gone."""
        left = self._sockets.pop((org, source_id), 0) - 1
        if left > 0:
            self._sockets[org, source_id] = left

    def learn(self, org: str, arrivals: Mapping[str, int]) -> None:
        """Take over arrival times by source (ns since 1970 UTC) from `Store.sources`, where they are newer."""
        for source_id, arrival_ns in arrivals.items():
            if arrival_ns > self._heard.get((org, source_id), 0):
                self._heard[org, source_id] = arrival_ns

    def online(self, org: str, source_id: str) -> bool:
        """Whether the source has an open device socket, or was heard of in the last 30 s."""
        if (org, source_id) in self._sockets:
            return True
        heard = self._heard.get((org, source_id))
        return heard is not None and self._wall_ns() - heard < self._online_ns

    def last_seen_ms(self, org: str, source_id: str) -> float | None:
        """When it was last heard of, milliseconds since 1970 UTC; None if neither heard of nor learnt."""
        heard = self._heard.get((org, source_id))
        return None if heard is None else heard // 1_000_000


class OpenSocket(Protocol):
    """An authenticated WebSocket of any kind, as the gateway must be able to end it."""

    @property
    def key_id(self) -> str:
        """The key that it came in with."""
        ...

    def expel(self) -> None:
        """Its key is not valid any more: close."""
        ...

    def goodbye(self) -> None:
        """The gateway shuts down: finish what is begun, then close with 1001."""
        ...


class Sockets:
    """Every authenticated WebSocket, for what concerns all of them: revoked keys and the end of the gateway."""

    def __init__(self) -> None:
        self._open: set[OpenSocket] = set()
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def closing(self) -> bool:
        """Whether the gateway shuts down; no new socket is let in then."""
        return self._closing

    def add(self, socket: OpenSocket) -> None:
        """It is authenticated; when the gateway leaves already, it hears so at once."""
        self._open.add(socket)
        self._empty.clear()
        if self._closing:
            socket.goodbye()

    def discard(self, socket: OpenSocket) -> None:
        """It is gone."""
        self._open.discard(socket)
        if not self._open:
            self._empty.set()

    def expel(self, revoked_key_ids: frozenset[str]) -> None:
        """End every socket that came in with one of these keys."""
        for socket in list(self._open):
            if socket.key_id in revoked_key_ids:
                socket.expel()

    def goodbye(self) -> None:
        """Tell every socket that the gateway leaves."""
        self._closing = True
        for socket in list(self._open):
            socket.goodbye()

    async def gone(self, timeout_s: float) -> None:
        """Return when every socket is gone, or when that took too long."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._empty.wait(), timeout_s)


@attrs.frozen
class Limits:
    """How much one client may ask for. Bytes, points, seconds.

    Attributes:
        body_bytes: the body of an ingest, packed and unpacked.
        rest_body_bytes: the body of any other request.
        body_s: how long a client may take to send it.
        message_points: points in one message.
        message_bytes: a WebSocket message once its sender is authenticated.
        greeting_bytes: a WebSocket message before that.
        unsettled_frames, unsettled_points: telemetry of one socket that is not committed; above it the socket is not
            read.
        outbox_messages: messages that wait for one socket to take them; above it the socket is not read.
    """

    body_bytes: int = 16 * 1024 * 1024
    rest_body_bytes: int = 1024 * 1024
    body_s: float = 60.0
    message_points: int = 100_000
    message_bytes: int = 16 * 1024 * 1024
    greeting_bytes: int = 256 * 1024
    unsettled_frames: int = 64
    unsettled_points: int = 100_000
    outbox_messages: int = 256


@attrs.frozen
class Core:
    """The gateway's ports and state; what every handler is given."""

    store: Store
    bus: Bus
    keyring: Keyring
    registry: Registry
    audit: Audit
    presence: Presence
    devices: Devices
    committer: Committer
    wall_ns: Callable[[], int]
    monotonic: Callable[[], float]
    sockets: Sockets = attrs.field(factory=Sockets)
    limits: Limits = attrs.field(factory=Limits)
    meters: Meters = attrs.field(factory=Meters)
