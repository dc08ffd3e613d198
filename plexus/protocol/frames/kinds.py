"""What a frame may be: small frozen values, one a message type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

import attrs

from plexus.domain import quick
from plexus.domain.loss import Loss
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Decoded, PointFault

UNAVAILABLE = "REDIS_UNAVAILABLE"
"""The gateway cannot store just now: nothing is released, a close with 1013 follows, all is to be sent again later."""

MALFORMED = "MALFORMED"
"""A frame, or points in one, that no gateway will ever take."""


@attrs.frozen
class DeviceAuth:
    """The first frame of a device. `acks`, `ext` and `protocol` (1: typed commands) offer what 0.5.2 has not.

    `no_commands` has a sentence for each entry of `commands` that is no object at all; `commands` are the others.
    """

    api_key: str = attrs.field(repr=False)
    source_id: str
    install_id: str = ""
    platform: str = ""
    agent_version: str = ""
    commands: tuple[Mapping[str, Any], ...] = ()
    acks: bool = False
    hears_goodbye: bool = False
    ext: Mapping[str, int] = attrs.field(factory=dict)
    protocol: int = 0
    no_commands: tuple[str, ...] = ()


@attrs.frozen
class Authenticated:
    """The first frame of a gateway: the name the device has from now on, and the gateway's clock if it told.

    `max_frame_bytes` bounds a message from the device; None where the gateway names no limit.
    """

    source_id: str
    server_time_ms: float | None
    acks: bool = False
    ext: Mapping[str, int] = attrs.field(factory=dict)
    protocol: int = 0
    max_frame_bytes: int | None = None


@quick.frozen
class Telemetry:
    """Points, as a receiver sees them; a sender writes one with `dump_telemetry`.

    `gaps` (extension `gaps`) declares what the device had to drop before.
    """

    decoded: Decoded
    seq: int | None = None
    batch: BatchName | None = None
    gaps: tuple[Loss, ...] = ()


@attrs.frozen
class ClockState:
    """What a device knows of its clock: the gateway's is `offset_ms` ahead of it, give or take `error_ms`."""

    offset_ms: float
    error_ms: float


@attrs.frozen
class Heartbeat:
    """Sent by a device every 30 s; with its `clock` where that extension is agreed."""

    source_id: str
    agent_version: str = ""
    clock: ClockState | None = None


@attrs.frozen
class TypedCommand:
    """A command on its way to a device (0.5.2)."""

    id: str
    command: str
    params: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class CommandResult:
    """What a device says of a command: `event` is "ack", "result" or "error"."""

    id: str
    command: str
    event: str
    result: Any = None
    error: str | None = None


@attrs.frozen
class ErrorFrame:
    """A refusal. With `seq`: that frame and all below it are handled and not to be sent again.

    `batch` is the name (`stream`, `n`) of the one batch that is refused for good, where batches have names.
    """

    code: str
    detail: str = ""
    seq: int | None = None
    batch: tuple[str, int] | None = None


@quick.frozen
class TelemetryAck:
    """Everything up to `seq` is stored (0.16.0)."""

    seq: int


@attrs.frozen
class BatchAck:
    """Everything of `stream` up to `upto` is stored; `faults` are points of batch `upto` that could not be."""

    stream: str
    upto: int
    faults: tuple[PointFault, ...] = ()


@attrs.frozen
class BatchNack:
    """A gap: `expected` is the `n` that the gateway waits for."""

    stream: str
    expected: int


@attrs.frozen
class BatchFork:
    """The name is taken by other content: seal it anew under a new stream."""

    stream: str


@attrs.frozen
class ClockPing:
    """Asks for the gateway's time (extension `clock`); `t0` is the device's own, microseconds, and comes back."""

    t0: int


@attrs.frozen
class ClockPong:
    """The answer: when the ping arrived (`t1`) and when this left (`t2`), microseconds since 1970 UTC."""

    t0: int
    t1: int
    t2: int


@attrs.frozen
class CommandRun:
    """A command on its way to a device (protocol 1). `ttl_ms` is what remained of its life when it was sent."""

    run_id: str
    command: str
    params: Mapping[str, Any] = attrs.field(factory=dict)
    ttl_ms: float | None = None
    attempt: int = 1


@attrs.frozen
class CommandStatus:
    """Where a run is (protocol 1); `seq` counts from 1 in its run. What does not belong to the state is left out."""

    run_id: str
    seq: int
    state: str
    result: Any = None
    error_code: str | None = None
    error_message: str | None = None
    progress: float | None = None
    message: str | None = None


@attrs.frozen
class CommandStatusAck:
    """The gateway has the run's statuses up to `seq`."""

    run_id: str
    seq: int


@attrs.frozen
class SyncedRun:
    """A run as the device knows it after a reconnect: its last state and the `seq` of that."""

    run_id: str
    state: str
    seq: int


@attrs.frozen
class CommandSync:
    """What the device knows of runs, said after a reconnect and before statuses are said again."""

    runs: tuple[SyncedRun, ...] = ()


@attrs.frozen
class VideoText:
    """A camera's frame as text (releases before 0.5.1, thermal cameras), as it came; `protocol.video` reads it."""

    fields: Mapping[str, Any]


@attrs.frozen
class Unknown:
    """A frame of a type that this release does not know; to be ignored."""

    type: str


Frame = Union[
    DeviceAuth,
    Authenticated,
    Telemetry,
    Heartbeat,
    TypedCommand,
    CommandResult,
    ErrorFrame,
    TelemetryAck,
    BatchAck,
    BatchNack,
    BatchFork,
    ClockPing,
    ClockPong,
    CommandRun,
    CommandStatus,
    CommandStatusAck,
    CommandSync,
    VideoText,
    Unknown,
]
