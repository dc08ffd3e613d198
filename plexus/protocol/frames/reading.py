"""Text into frames. Unknown fields are ignored; a field that breaks the contract is a ProtocolError naming it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from plexus.domain import quick
from plexus.domain.errors import ProtocolError
from plexus.domain.loss import Loss
from plexus.protocol import extensions, fields, jsontext
from plexus.protocol.batch import BatchName, is_stream_name, parse_batch_name
from plexus.protocol.columns import PointFault
from plexus.protocol.frames.kinds import (
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
from plexus.protocol.points import decode_points

MAX_GAPS = 256
"""Losses that one frame may declare: a handful of reasons is usual."""

MAX_NAMED_ENTRIES = 256
"""Entries of `commands` that are no objects, of which so many are named one by one."""


@quick.frozen
class Envelope:
    """What a decoder must know to read telemetry: the source it is from and when it arrived (ns since 1970 UTC)."""

    source_id: str
    arrival_ns: int


@attrs.frozen
class Salvaged:
    """What can still be read of a telemetry frame that breaks the contract: the names under which it is refused."""

    seq: int | None
    batch: BatchName | None


Decoder = Callable[[str, Envelope], Frame]
"""Text of one message in, one frame out; raises ProtocolError. `parse` is the reference."""


NO_ENVELOPE = Envelope("", 0)


def parse(message: str | bytes, envelope: Envelope = NO_ENVELOPE) -> Frame:
    """Read one text message. Raises ProtocolError; never anything else, whatever the bytes are."""
    raw = jsontext.loads(message)
    if not isinstance(raw, dict):
        raise ProtocolError("a frame must be a JSON object")
    kind = fields.text(raw, "type")
    if kind == "telemetry":
        return _telemetry(raw, envelope)
    reader = _READERS.get(kind)
    return reader(raw) if reader else Unknown(kind)


def _telemetry(raw: Mapping[str, Any], envelope: Envelope) -> Telemetry:
    decoded = decode_points(raw.get("points"), source_id=envelope.source_id or None, arrival_ns=envelope.arrival_ns)
    seq, batch = fields.optional_whole(raw, "seq"), parse_batch_name(raw.get("batch"))
    return Telemetry(decoded, seq, batch, parse_gaps(raw))


def parse_gaps(raw: Mapping[str, Any]) -> tuple[Loss, ...]:
    """The losses that a message declares in `gaps` (extension `gaps`); raises ProtocolError naming the field."""
    items = fields.objects(raw, "gaps")
    if len(items) > MAX_GAPS:
        raise ProtocolError(f"gaps must be at most {MAX_GAPS}, not {len(items)}", field="gaps")
    return tuple(_gap(item) for item in items)


def _gap(item: Mapping[str, Any]) -> Loss:
    count = fields.whole(item, "count")
    if count < 1:
        raise ProtocolError("gaps[].count must be at least 1", field="gaps")
    first_ms, last_ms = fields.optional_number(item, "first_ms"), fields.optional_number(item, "last_ms")
    return Loss(fields.text(item, "reason"), count, first_ms, last_ms)


def salvage(message: str | bytes) -> Salvaged | None:
    """The names of a telemetry frame that `parse` refused; None when it is no telemetry, or cannot be read at all.

    It is as lenient as can be, with NaN and the like, because 0.16.0 waits 30 s for a frame that is refused namelessly.
    """
    try:
        raw = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or raw.get("type") != "telemetry":
        return None
    return Salvaged(_or_none(fields.optional_whole, raw, "seq"), _or_none(parse_batch_name, raw.get("batch")))


def _or_none(read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except ProtocolError:
        return None


def _device_auth(raw: Mapping[str, Any]) -> DeviceAuth:
    commands, no_commands = _commands(raw.get("commands"))
    return DeviceAuth(
        api_key=fields.text(raw, "api_key"),
        source_id=fields.text(raw, "source_id"),
        install_id=fields.text(raw, "install_id", ""),
        platform=fields.text(raw, "platform", ""),
        agent_version=fields.text(raw, "agent_version", ""),
        commands=commands,
        acks=raw.get("acks") is True,
        hears_goodbye=raw.get("hears_goodbye") is True,
        ext=extensions.parse_map(raw.get("ext")),
        protocol=_protocol(raw),
        no_commands=no_commands,
    )


def _commands(raw: object) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """The entries that are objects, and a sentence for each that is none: no device is shut out for one of them."""
    if raw is None:
        return (), ()
    if not isinstance(raw, list):
        return (), ("commands must be an array of objects",)
    odd = [place for place, entry in enumerate(raw) if not isinstance(entry, dict)]
    named = tuple(f"commands[{place}] must be an object" for place in odd[:MAX_NAMED_ENTRIES])
    return tuple(entry for entry in raw if isinstance(entry, dict)), named


def _authenticated(raw: Mapping[str, Any]) -> Authenticated:
    return Authenticated(
        source_id=fields.text(raw, "source_id"),
        server_time_ms=fields.optional_number(raw, "server_time_ms"),
        acks=raw.get("acks") is True,
        ext=extensions.parse_map(raw.get("ext")),
        protocol=_protocol(raw),
        max_frame_bytes=fields.optional_whole(raw, "max_frame_bytes"),
    )


def _protocol(raw: Mapping[str, Any]) -> int:
    version = raw.get("protocol")
    return version if isinstance(version, int) and not isinstance(version, bool) and version > 0 else 0


def _command_run(raw: Mapping[str, Any]) -> CommandRun:
    return CommandRun(
        run_id=fields.text(raw, "run_id"),
        command=fields.text(raw, "command"),
        params=fields.mapping(raw, "params"),
        ttl_ms=fields.optional_number(raw, "ttl_ms"),
        attempt=1 if raw.get("attempt") is None else fields.whole(raw, "attempt"),
    )


def _command_status(raw: Mapping[str, Any]) -> CommandStatus:
    return CommandStatus(
        run_id=fields.text(raw, "run_id"),
        seq=fields.whole(raw, "seq"),
        state=fields.text(raw, "state"),
        result=raw.get("result"),
        error_code=fields.optional_text(raw, "error_code"),
        error_message=fields.optional_text(raw, "error_message"),
        progress=fields.optional_number(raw, "progress"),
        message=fields.optional_text(raw, "message"),
    )


def _command_sync(raw: Mapping[str, Any]) -> CommandSync:
    return CommandSync(
        tuple(
            SyncedRun(fields.text(item, "run_id"), fields.text(item, "state"), fields.whole(item, "seq"))
            for item in fields.objects(raw, "runs")
        )
    )


def _command_result(raw: Mapping[str, Any]) -> CommandResult:
    return CommandResult(
        id=fields.text(raw, "id"),
        command=fields.text(raw, "command", ""),
        event=fields.text(raw, "event"),
        result=raw.get("result"),
        error=fields.optional_text(raw, "error"),
    )


def _error(raw: Mapping[str, Any]) -> ErrorFrame:
    named = raw.get("batch")
    batch = None
    if isinstance(named, dict) and is_stream_name(named.get("stream")):
        batch = (str(named["stream"]), fields.whole(named, "n"))
    return ErrorFrame(
        fields.text(raw, "code", ""), fields.text(raw, "detail", ""), fields.optional_whole(raw, "seq"), batch
    )


def _heartbeat(raw: Mapping[str, Any]) -> Heartbeat:
    # Whatever else `clock` may be, is somebody else's: a heartbeat is never refused for it.
    clock = _or_none(_clock_state, raw, "clock")
    return Heartbeat(fields.text(raw, "source_id", ""), fields.text(raw, "agent_version", ""), clock)


def _clock_state(raw: Mapping[str, Any], field: str) -> ClockState:
    said = fields.mapping(raw, field)
    return ClockState(float(fields.number(said, "offset_ms")), float(fields.number(said, "error_ms")))


def _stream(raw: Mapping[str, Any]) -> str:
    if not is_stream_name(raw.get("stream")):
        raise ProtocolError("stream must be 32 lower-case hex digits", field="stream")
    return str(raw["stream"])


def _faults(raw: Mapping[str, Any]) -> tuple[PointFault, ...]:
    return tuple(
        PointFault(fields.whole(item, "index"), fields.text(item, "error")) for item in fields.objects(raw, "errors")
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Frame]] = {
    "device_auth": _device_auth,
    "authenticated": _authenticated,
    "heartbeat": _heartbeat,
    "typed_command": lambda raw: TypedCommand(
        fields.text(raw, "id"), fields.text(raw, "command"), fields.mapping(raw, "params")
    ),
    "command_result": _command_result,
    "error": _error,
    "telemetry_ack": lambda raw: TelemetryAck(fields.whole(raw, "seq")),
    "batch_ack": lambda raw: BatchAck(_stream(raw), fields.whole(raw, "upto"), _faults(raw)),
    "batch_nack": lambda raw: BatchNack(_stream(raw), fields.whole(raw, "expected")),
    "batch_fork": lambda raw: BatchFork(_stream(raw)),
    "clock_ping": lambda raw: ClockPing(fields.whole(raw, "t0")),
    "clock_pong": lambda raw: ClockPong(fields.whole(raw, "t0"), fields.whole(raw, "t1"), fields.whole(raw, "t2")),
    "command_run": _command_run,
    "command_status": _command_status,
    "command_status_ack": lambda raw: CommandStatusAck(fields.text(raw, "run_id"), fields.whole(raw, "seq")),
    "command_sync": _command_sync,
    "video_frame": lambda raw: VideoText({name: value for name, value in raw.items() if name != "type"}),
}
