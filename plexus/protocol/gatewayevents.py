"""What the gateway's session asks of whoever runs it, and what it is told of telemetry."""

from __future__ import annotations

from typing import Union

import attrs

from plexus.domain import quick
from plexus.domain.command import CommandOutcome
from plexus.domain.loss import Loss
from plexus.protocol import frames
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Decoded
from plexus.protocol.ledger import Verdict


@quick.frozen
class Settlement:
    """What became of one telemetry frame.

    `refused` is the error's code when the frame is neither stored nor a repeat of what is: it releases the frame, but
    for `frames.UNAVAILABLE`, which releases nothing and ends the connection. `upto` is the watermark, for a gap.
    """

    verdict: Verdict
    upto: int = 0
    refused: str = ""
    detail: str = ""


@attrs.frozen
class AuthRequested:
    """A device asks in: answer with `accept` or `refuse`."""

    auth: frames.DeviceAuth


@quick.frozen
class TelemetryReceived:
    """Points to store: answer with `settle(ticket, …)`. A frame of faults only is to be settled too.

    `batch` is set only where batch names are agreed. `gaps` are losses to be kept with the points.
    """

    ticket: int
    decoded: Decoded
    batch: BatchName | None
    gaps: tuple[Loss, ...] = ()


@attrs.frozen
class HeartbeatReceived:
    """The device is there; with what it says of its clock, where that extension is agreed."""

    clock: frames.ClockState | None = None


@attrs.frozen
class CommandAnswered:
    """The device said something of a command: an answer to a call (0.5.2), or where runs are (protocol 1)."""

    outcome: Union[CommandOutcome, frames.CommandStatus, frames.CommandSync]


@attrs.frozen
class BinaryReceived:
    """A binary frame (video); READY only."""

    payload: bytes


@attrs.frozen
class FrameRefused:
    """A frame that broke the contract was answered with an error; for the gateway's counters."""

    detail: str


GatewayEvent = Union[
    AuthRequested, TelemetryReceived, HeartbeatReceived, CommandAnswered, BinaryReceived, frames.VideoText, FrameRefused
]
