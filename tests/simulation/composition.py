"""The device's parts put together as `plexus.client.assembly` does it, over the ports of this world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.adapters.codec.json import JsonCodec
from plexus.adapters.status.memory import MemoryStatus
from plexus.device.backlog import Backlog
from plexus.device.burial import Burial
from plexus.device.counters import Counters
from plexus.device.dispatch import Dispatch
from plexus.device.fitting import Fitter
from plexus.device.intake import Intake
from plexus.device.link import Link
from plexus.device.links import LinkKeeper
from plexus.device.outbox import Outbox
from plexus.device.retrying import RetryConfig
from plexus.device.rework import Rework
from plexus.device.sealer import Sealer
from plexus.device.status import StatusLine
from plexus.device.uplink import Hooks, Uplink
from plexus.device.video import VideoOutbox
from plexus.domain.errors import PlexusError
from plexus.domain.point import Point
from plexus.ports.buffer import Buffer
from plexus.ports.clock import Clock
from plexus.ports.transport import Transport
from plexus.protocol.device import DeviceSession, Hello
from plexus.protocol.messages import UplinkSession
from plexus.protocol.request import RequestSession

SPARE_POINTS = 10_000


class NoLetters:
    """Dead letters that nobody reads."""

    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        """Taken."""

    def close(self) -> None:
        """Nothing to let go of."""


@attrs.define(eq=False)
class Parts:
    """One client's parts."""

    uplink: Uplink
    dispatch: Dispatch
    intake: Intake
    links: LinkKeeper
    counters: Counters
    clock: Clock
    rework: Rework


def build(
    *,
    key: str,
    source_id: str,
    install_id: str,
    clock: Clock,
    buffer: Buffer,
    transports: Mapping[str, Transport],
    strict: bool,
    dial: Callable[[Callable[[], None]], None],
    ring: Callable[[], None],
    new_stream: Callable[[], str],
    dice: Callable[[], float],
    on_source_id: Callable[[str], None],
    on_error: Callable[[PlexusError], None],
    status: MemoryStatus,
) -> Parts:
    """One client's parts; `transports` are "ws", "http" or both, the first of which is preferred."""
    tally = Counters()
    intake = Intake(clock, tally)
    hello = Hello(key, source_id, install_id, "1.0", "python-sdk")
    parts: list[Uplink] = []

    def session_of(transport: Transport) -> Callable[[], UplinkSession]:
        if transport.dialect == "socket":
            return lambda: DeviceSession(hello, clock.tick)
        return lambda: RequestSession(key, source_id, "1.0", clock.tick)

    links = [
        Link(name, transport, session_of(transport), timeout_s=10.0, run=dial, rang=ring)
        for name, transport in transports.items()
    ]
    keeper = LinkKeeper(links[0], links[1] if len(links) > 1 else None, dice)

    def report(error: Any) -> None:
        parts[0].fault(error)

    wire = JsonCodec()
    compact = ColumnarCodec()
    rework = Rework(clock, wire, compact, new_stream)
    dispatch = Dispatch(
        intake,
        Sealer(wire, clock, tally, new_stream, compact),
        Fitter(wire, compact),
        Backlog(buffer, (), lambda: MemoryBuffer(SPARE_POINTS), tally, report),
        tally,
        rework=rework,
        burial=Burial(NoLetters(), rework, tally, lambda: source_id, report),
        strict=strict,
    )
    parts.append(
        Uplink(
            source_id=source_id,
            intake=intake,
            dispatch=dispatch,
            links=keeper,
            outbox=Outbox(),
            video=VideoOutbox(),
            tally=tally,
            clock=clock,
            retry=RetryConfig(),
            status=StatusLine(status),
            hooks=Hooks(lambda _call: None, on_source_id, on_error, ring),
        )
    )
    return Parts(parts[0], dispatch, intake, keeper, tally, clock, rework)
