"""The frames of `/ws/device` (protocol page, section 4): small frozen values, one a message type.

`dump` writes a frame as text, `parse` reads one. Unknown fields are ignored; an unknown type is an `Unknown` frame,
which both sides pass over. A known type with a field that breaks the contract raises ProtocolError naming the field.
"""

from __future__ import annotations

from plexus.protocol.frames.kinds import (
    MALFORMED,
    UNAVAILABLE,
    Authenticated,
    BatchAck,
    BatchFork,
    BatchNack,
    ClockPing,
    ClockPong,
    ClockState,
    CommandResult,
    CommandRun,
    CommandStatus,
    CommandStatusAck,
    CommandSync,
    DeviceAuth,
    ErrorFrame,
    Frame,
    Heartbeat,
    SyncedRun,
    Telemetry,
    TelemetryAck,
    TypedCommand,
    Unknown,
    VideoText,
)
from plexus.protocol.frames.reading import Decoder, Envelope, Salvaged, parse, parse_gaps, salvage
from plexus.protocol.frames.writing import dump, dump_telemetry, write_gaps

__all__ = [
    "MALFORMED",
    "UNAVAILABLE",
    "Authenticated",
    "BatchAck",
    "BatchFork",
    "BatchNack",
    "ClockPing",
    "ClockPong",
    "ClockState",
    "CommandResult",
    "CommandRun",
    "CommandStatus",
    "CommandStatusAck",
    "CommandSync",
    "Decoder",
    "DeviceAuth",
    "Envelope",
    "ErrorFrame",
    "Frame",
    "Heartbeat",
    "Salvaged",
    "SyncedRun",
    "Telemetry",
    "TelemetryAck",
    "TypedCommand",
    "Unknown",
    "VideoText",
    "dump",
    "dump_telemetry",
    "parse",
    "parse_gaps",
    "salvage",
    "write_gaps",
]
