"""What the gateway's handlers share: its ports, who is there, and the way into the store. One event loop owns it all.

Nothing here speaks HTTP or WebSocket, so that the bare handlers and the REST part build on it alike.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from plexus.gateway.commands import Devices
from plexus.gateway.committer import Committer
from plexus.gateway.intake import Intake
from plexus.gateway.judgements import Judgements
from plexus.gateway.metadata import Metadata
from plexus.gateway.meters import Meters
from plexus.gateway.pacing import Pace
from plexus.ports.audit import Audit
from plexus.ports.bus import Bus
from plexus.ports.keyring import Keyring
from plexus.ports.registry import Registry
from plexus.ports.store import Store
from plexus.ports.tallies import Tallies
from plexus.protocol.gateway import CLOSE_GOING_AWAY

if TYPE_CHECKING:
    from plexus.gateway.backup import Keeper
    from plexus.gateway.settings import Settings
    from plexus.gateway.streams.channels import Channels
    from plexus.gateway.video import VideoRelay

ONLINE_S = 30.0

SHUTTING_DOWN = "gateway is shutting down"

_Device = tuple[str, str]
"""`(org, source_id)`."""


class Presence:
    """Who is there: a source with an open device socket, or with data in the last `online_s` seconds.

    It knows what this process heard; `learn` adds what the store knows from before, so that a restart does not make
    everybody look absent. A greeting or a heartbeat is no data: it counts for when a source was last seen, and after a
    restart (`remember`) not for whether it is there. `wall_ns` is nanoseconds since 1970 UTC, as in the store.

    `strangers_came` is set when a source shows itself without data of which nothing was known; who writes them down
    clears it.
    """

    def __init__(self, wall_ns: Callable[[], int], online_s: float = ONLINE_S) -> None:
        self._wall_ns = wall_ns
        self._online_ns = int(online_s * 1e9)
        self._heard: dict[_Device, int] = {}
        self._learnt: dict[_Device, int] = {}
        self._seen: dict[_Device, int] = {}
        self._changed: set[_Device] = set()
        self._strangers: set[_Device] = set()
        self.strangers_came = asyncio.Event()
        self._sockets: dict[_Device, int] = {}

    def heard(self, org: str, source_id: str) -> None:
        """Data came from this source just now."""
        now = self._wall_ns()
        self._heard[org, source_id] = now
        self._see(org, source_id, now)

    def met(self, org: str, source_id: str) -> None:
        """The source showed itself without data just now: a greeting, a heartbeat. On the event loop."""
        if (org, source_id) not in self._seen:
            self._strangers.add((org, source_id))
            self.strangers_came.set()
        self._see(org, source_id, self._wall_ns())
        self._changed.add((org, source_id))

    def opened(self, org: str, source_id: str) -> None:
        """A device socket of this source is open now."""
        self._sockets[org, source_id] = self._sockets.get((org, source_id), 0) + 1
        self.met(org, source_id)

    def closed(self, org: str, source_id: str) -> None:
        """A device socket that `opened` told of is gone."""
        left = self._sockets.pop((org, source_id), 0) - 1
        if left > 0:
            self._sockets[org, source_id] = left

    def learn(self, org: str, arrivals: Mapping[str, int]) -> None:
        """Take over arrival times of data by source (ns since 1970 UTC) from `Store.sources`."""
        for source_id, arrival_ns in arrivals.items():
            self._learnt[org, source_id] = arrival_ns
            self._see(org, source_id, arrival_ns)

    def remember(self, seen: Mapping[_Device, float]) -> None:
        """Take over when sources were last seen, milliseconds since 1970 UTC."""
        for (org, source_id), seen_ms in seen.items():
            # By way of whole microseconds: a float holds no nanoseconds since 1970, and a millisecond could be lost.
            self._see(org, source_id, round(seen_ms * 1e3) * 1_000)

    def online(self, org: str, source_id: str) -> bool:
        """Whether the source has an open device socket, or sent data in the last `online_s` seconds."""
        place = (org, source_id)
        return (
            place in self._sockets or self._is_fresh(self._heard.get(place)) or self._is_fresh(self._learnt.get(place))
        )

    def last_seen_ms(self, org: str, source_id: str) -> float | None:
        """When it was last heard of, milliseconds since 1970 UTC; None if neither heard of nor learnt.

        It never goes back, also when the gateway's clock does.
        """
        seen = self._seen.get((org, source_id))
        return None if seen is None else seen // 1_000_000

    def heard_ns(self, org: str, source_id: str) -> int:
        """When data last came to this process, ns since 1970 UTC; 0 if never."""
        return self._heard.get((org, source_id), 0)

    def take_changed(self) -> Collection[_Device]:
        """The sources that showed themselves without data since the last call."""
        taken, self._changed = self._changed, set()
        self._strangers.clear()
        return taken

    def take_strangers(self) -> Collection[_Device]:
        """Those of them of which nothing was known before."""
        taken, self._strangers = self._strangers, set()
        self._changed -= taken
        return taken

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now."""
        for book in (self._heard, self._learnt, self._seen, self._sockets):
            if (known := book.pop((org, source_id), None)) is not None:
                book[org, new] = known
        for names in (self._changed, self._strangers):
            if (org, source_id) in names:
                names.remove((org, source_id))
                names.add((org, new))

    def remove(self, org: str, source_id: str) -> None:
        """Forget when a source was seen; a socket that is open stays so."""
        for book in (self._heard, self._learnt, self._seen):
            book.pop((org, source_id), None)
        self._changed.discard((org, source_id))
        self._strangers.discard((org, source_id))

    def _see(self, org: str, source_id: str, at_ns: int) -> None:
        if at_ns > self._seen.get((org, source_id), 0):
            self._seen[org, source_id] = at_ns

    def _is_fresh(self, at_ns: int | None) -> bool:
        # What is later than now was heard before the gateway's clock was set back: nobody knows how long ago.
        return at_ns is not None and 0 <= self._wall_ns() - at_ns < self._online_ns


class OpenSocket(Protocol):
    """An authenticated WebSocket of any kind, as the gateway must be able to end it."""

    @property
    def key_id(self) -> str:
        """The key that it came in with."""
        ...

    def expel(self) -> None:
        """Its key is not valid any more: close."""
        ...

    @property
    def place(self) -> _Device:
        """Organisation and source that it is about."""
        ...

    def goodbye(self, code: int = CLOSE_GOING_AWAY, reason: str = SHUTTING_DOWN) -> None:
        """The peer is to leave: finish what is begun, then close."""
        ...


class Sockets:
    """Every authenticated WebSocket, for what concerns all of them: revoked keys and the end of the gateway."""

    def __init__(self) -> None:
        self._open: set[OpenSocket] = set()
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._left = asyncio.Event()

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
        self._left.set()
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

    async def clear(self, place: _Device, code: int, reason: str, timeout_s: float) -> bool:
        """Tell every socket about this organisation's source to leave; whether all of them are gone in time."""
        for socket in list(self._open):
            if socket.place == place:
                socket.goodbye(code, reason)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._gone_from(place), timeout_s)
        return not self._any(place)

    def _any(self, place: _Device) -> bool:
        return any(socket.place == place for socket in self._open)

    async def _gone_from(self, place: _Device) -> None:
        while self._any(place):
            self._left.clear()
            await self._left.wait()

    async def gone(self, timeout_s: float) -> None:
        """Return when every socket is gone, or when that took too long."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._empty.wait(), timeout_s)


@attrs.define
class Moving:
    """Sources that are being renamed or deleted: nobody is let in under these names. One after the other, in turn.

    Whoever claims a name, and a move for as long as it changes names, has `naming`.
    """

    places: set[_Device] = attrs.field(factory=set)
    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    naming: asyncio.Lock = attrs.field(factory=asyncio.Lock)


@attrs.frozen
class Limits:
    """How much one client may ask for. Bytes, points, seconds.

    Attributes:
        connections: open connections of all kinds; one more is answered with 503.
        head_bytes, head_s: a request's first line and headers, a TLS handshake too, and how long they may take.
        keep_alive_s: how long a connection without a request stays open (whole seconds).
        body_bytes: the body of an ingest, packed and unpacked.
        rest_body_bytes: the body of any other request.
        body_s: how long a client may take to send it, in any case.
        body_grace_s: how long it may take however little comes; the same of a WebSocket message that has begun.
        body_bytes_s: after that, so many bytes a second on average; 0 asks for no rate.
        message_points: points in one message.
        message_bytes: a WebSocket message once its sender is authenticated.
        greeting_bytes: a WebSocket message before that.
        message_fragments: fragments of one WebSocket message.
        connection_messages_s, source_messages_s: messages with points a second, on a device's socket and for a source;
            0 is no limit. The hosted service has 2,000 for both.
        burst_messages: how many of them may come at once after a pause.
        org_sources, source_metrics, org_series: names that one organisation may have: sources, metrics and events of a
            source, and these over all sources.
        unsettled_frames, unsettled_points: telemetry of one socket that is not committed; above it the socket is not
            read.
        outbox_messages: messages that wait for one socket to take them; above it the socket is not read.
        question_s: how long a question to the data API may take, its wait for a turn included.
        question_rows: rows that one question may look at in the store.
        answer_rows: rows or buckets in one answer.
        questions_at_once: questions that run beside each other.
        questions_waiting: questions of one organisation that wait for their turn.
        quick_s: how long the short calls of a request (the registry, the names of a source, its latest values) may
            take, the wait for a turn included.
        quick_waiting: short calls of one organisation that wait for their turn.
        exports_at_once: exports of one organisation beside each other.
        export_stall_s: how long an export waits for its reader to take the next part.
        params_bytes: the parameters of one command, as JSON.
        stream_queue_bytes: frames that wait for one reader of a live stream; of more the oldest go, and it is told.
        stream_keep_bytes: committed points that are kept for readers who come back with a cursor, of all sources.
        stream_keep_s: how long they are kept of a source that nobody reads any more.
        video_frame_bytes: a video frame as viewers get it; a larger one is dropped.
        settle_s: how long the end of a run that has criteria waits for the run's data before it is judged.
    """

    connections: int = 16_000
    head_bytes: int = 64 * 1024
    head_s: float = 10.0
    keep_alive_s: int = 15
    body_bytes: int = 16 * 1024 * 1024
    rest_body_bytes: int = 1024 * 1024
    body_s: float = 60.0
    body_grace_s: float = 10.0
    body_bytes_s: float = 500.0
    message_points: int = 100_000
    message_bytes: int = 16 * 1024 * 1024
    greeting_bytes: int = 256 * 1024
    message_fragments: int = 4_096
    connection_messages_s: float = 0.0
    source_messages_s: float = 0.0
    burst_messages: int = 500
    org_sources: int = 100_000
    source_metrics: int = 10_000
    org_series: int = 1_000_000
    unsettled_frames: int = 64
    unsettled_points: int = 100_000
    outbox_messages: int = 256
    question_s: float = 30.0
    question_rows: int = 100_000_000
    answer_rows: int = 1_000_000
    questions_at_once: int = 4
    questions_waiting: int = 32
    quick_s: float = 10.0
    quick_waiting: int = 256
    exports_at_once: int = 4
    export_stall_s: float = 30.0
    params_bytes: int = 64 * 1024
    settle_s: float = 2.0
    stream_queue_bytes: int = 4 * 1024 * 1024
    stream_keep_bytes: int = 64 * 1024 * 1024
    stream_keep_s: float = 600.0
    video_frame_bytes: int = 1024 * 1024


@attrs.frozen
class Core:
    """The gateway's ports and state; what every handler is given."""

    store: Store
    bus: Bus
    keyring: Keyring
    registry: Registry
    audit: Audit
    tallies: Tallies
    metadata: Metadata
    presence: Presence
    devices: Devices
    committer: Committer
    intake: Intake
    channels: Channels
    video: VideoRelay
    wall_ns: Callable[[], int]
    monotonic: Callable[[], float]
    settings: Settings
    data_dir: Path | None = None
    keepers: Sequence[Keeper] = ()
    sockets: Sockets = attrs.field(factory=Sockets)
    moving: Moving = attrs.field(factory=Moving)
    limits: Limits = attrs.field(factory=Limits)
    meters: Meters = attrs.field(factory=Meters)
    judgements: Judgements = attrs.field(factory=Judgements)

    @property
    def pace(self) -> Pace:
        """How fast a body must come."""
        limits = self.limits
        return Pace(limits.body_grace_s, limits.body_bytes_s, limits.body_s, self.monotonic)
