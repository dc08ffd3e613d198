"""What crosses a transport, and what the device's two sessions have in common.

A socket carries text and binary frames; plain HTTP carries requests and answers. Both are messages to a session,
so the uplink drives either in the same way: `opened`, `submit`, `receive`, `tick`, then `take_messages` and
`take_events`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Union

import attrs

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.protocol import frames
from plexus.protocol.batch import Batch
from plexus.protocol.columns import PointFault
from plexus.protocol.extensions import Features


@attrs.frozen
class HttpRequest:
    """One request, relative to the host that the transport was given."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@attrs.frozen
class HttpAnswer:
    """One answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Message = Union[str, bytes, HttpRequest, HttpAnswer]
"""`str` is a text frame, `bytes` a binary one."""


@attrs.frozen
class ClockSample:
    """The gateway's time once: at `tick` (ns, the device's monotonic clock) it was `wall_ms`, give or take `error_ms`.

    `error_ms` is half the round trip that measured it.
    """

    tick: int
    wall_ms: float
    error_ms: float


@attrs.frozen
class Ready:
    """The link can carry batches. `clock` is None when the gateway told no time.

    `confirms` says whether deliveries are acknowledged.
    """

    source_id: str
    features: Features
    confirms: bool
    clock: ClockSample | None = None


@attrs.frozen
class ClockSampled:
    """The gateway's time was asked for once more (extension `clock`)."""

    sample: ClockSample


@attrs.frozen
class Delivered:
    """These batches are stored (or, where the gateway has no acknowledgements, written to the socket).

    `dropped` points of the last one are not, for `reason`; those that the gateway named are in `faults`.
    """

    batches: tuple[Batch, ...]
    dropped: int = 0
    reason: str = ""
    faults: tuple[PointFault, ...] = ()


@attrs.frozen
class Refused:
    """These batches are not stored and must not be sent again; `code` is the gateway's word for it."""

    batches: tuple[Batch, ...]
    code: str
    detail: str = ""


@attrs.frozen
class Rewound:
    """These batches are to be sent again, in order: the gateway expects a lower `n`, or asked to wait."""

    batches: tuple[Batch, ...]
    detail: str = ""
    retry_after_s: float | None = None


@attrs.frozen
class Oversized:
    """These batches are more than the gateway takes in one message; nothing of them is stored."""

    batches: tuple[Batch, ...]
    detail: str = ""


@attrs.frozen
class Forked:
    """The stream's names are taken by other content; these batches need a new stream."""

    stream: str
    batches: tuple[Batch, ...]


@attrs.frozen
class AuthRefused:
    """The gateway refused the device. `key_at_fault` is False when only this kind of link is refused."""

    code: str
    detail: str
    key_at_fault: bool


CommandWord = Union[CommandCall, frames.CommandRun, frames.CommandStatusAck, frames.ErrorFrame]
"""What a gateway says of commands: a call (0.5.2), a run, what it heard of one, or that a declaration is refused."""


@attrs.frozen
class CommandArrived:
    """Something for whoever does this device's commands."""

    call: CommandWord


@attrs.frozen
class Notice:
    """Something the gateway said that changes no batch; for the log."""

    code: str
    detail: str


@attrs.frozen
class Ended:
    """The link is over; `batches` were in flight and are to be sent again. `goodbye`: the gateway leaves on purpose."""

    batches: tuple[Batch, ...]
    reason: str
    goodbye: bool = False


DeviceEvent = Union[
    Ready, ClockSampled, Delivered, Refused, Rewound, Oversized, Forked, AuthRefused, CommandArrived, Notice, Ended
]


class UplinkSession(Protocol):
    """The device's end of one connection, without I/O. `now` is monotonic seconds."""

    def opened(self, now: float) -> None:
        """The transport is open: say hello."""
        ...

    def has_room(self, count: int) -> bool:
        """Whether a batch of `count` points may be submitted now."""
        ...

    def submit(self, batch: Batch, base: int, body: bytes, now: float) -> None:
        """Send `batch`; `body` is its content fitted to this link, `base` the stream's lowest unacknowledged `n`."""
        ...

    def written(self) -> None:
        """What `take_messages` handed out is written to the transport; all that an older gateway ever confirms."""
        ...

    def receive(self, message: Message, now: float) -> None:
        """A message came from the gateway."""
        ...

    def answer(self, outcome: CommandOutcome) -> None:
        """Say what became of a command; ignored where the link has no commands.

        Raises ProtocolError when the outcome's `result` cannot be said in JSON; nothing is sent then.
        """
        ...

    def tick(self, now: float) -> None:
        """The time went on."""
        ...

    def ended(self, reason: str, *, goodbye: bool = False) -> None:
        """The transport is gone."""
        ...

    def in_flight(self) -> int:
        """How many points are submitted and not settled."""
        ...

    def next_deadline(self) -> float | None:
        """When `tick` wants to be called next, monotonic seconds."""
        ...

    def take_messages(self) -> list[Message]:
        """Messages to send, in order; each is handed out once."""
        ...

    def take_events(self) -> list[DeviceEvent]:
        """What happened since the last call, in order."""
        ...
