"""The frames of `/ws/device` (protocol page, section 4): small frozen values, one a message type.

`dump` writes a frame as text, `parse` reads one. Unknown fields are ignored; an unknown type is an `Unknown` frame,
which both sides pass over. A known type with a field that breaks the contract raises ProtocolError naming the field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Union

import attrs

from plexus.domain.errors import ProtocolError
from plexus.protocol import extensions, fields, jsontext
from plexus.protocol.batch import BatchName, is_stream_name, parse_batch_name
from plexus.protocol.columns import Decoded, PointFault
from plexus.protocol.points import decode_points

UNAVAILABLE = "REDIS_UNAVAILABLE"
"""The gateway cannot store just now: nothing is released, a close with 1013 follows, all is to be sent again later."""

MALFORMED = "MALFORMED"
"""A frame, or points in one, that no gateway will ever take."""


@attrs.frozen
class DeviceAuth:
    """The first frame of a device. `acks` and `ext` offer what it can do beyond 0.5.2."""

    api_key: str = attrs.field(repr=False)
    source_id: str
    install_id: str = ""
    platform: str = ""
    agent_version: str = ""
    commands: tuple[Mapping[str, Any], ...] = ()
    acks: bool = False
    hears_goodbye: bool = False
    ext: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Authenticated:
    """The first frame of a gateway: the name the device has from now on, and the gateway's clock if it told."""

    source_id: str
    server_time_ms: float | None
    acks: bool = False
    ext: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Telemetry:
    """Points, as a receiver sees them; a sender writes one with `dump_telemetry`."""

    decoded: Decoded
    seq: int | None = None
    batch: BatchName | None = None


@attrs.frozen
class Heartbeat:
    """Sent by a device every 30 s."""

    source_id: str
    agent_version: str = ""


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


@attrs.frozen
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
    Unknown,
]


@attrs.frozen
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


def parse(message: str | bytes, envelope: Envelope = Envelope("", 0)) -> Frame:
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
    return Telemetry(decoded, fields.optional_whole(raw, "seq"), parse_batch_name(raw.get("batch")))


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
    return DeviceAuth(
        api_key=fields.text(raw, "api_key"),
        source_id=fields.text(raw, "source_id"),
        install_id=fields.text(raw, "install_id", ""),
        platform=fields.text(raw, "platform", ""),
        agent_version=fields.text(raw, "agent_version", ""),
        commands=fields.objects(raw, "commands"),
        acks=raw.get("acks") is True,
        hears_goodbye=raw.get("hears_goodbye") is True,
        ext=extensions.parse_map(raw.get("ext")),
    )


def _authenticated(raw: Mapping[str, Any]) -> Authenticated:
    return Authenticated(
        source_id=fields.text(raw, "source_id"),
        server_time_ms=fields.optional_number(raw, "server_time_ms"),
        acks=raw.get("acks") is True,
        ext=extensions.parse_map(raw.get("ext")),
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
    "heartbeat": lambda raw: Heartbeat(fields.text(raw, "source_id", ""), fields.text(raw, "agent_version", "")),
    "typed_command": lambda raw: TypedCommand(
        fields.text(raw, "id"), fields.text(raw, "command"), fields.mapping(raw, "params")
    ),
    "command_result": _command_result,
    "error": _error,
    "telemetry_ack": lambda raw: TelemetryAck(fields.whole(raw, "seq")),
    "batch_ack": lambda raw: BatchAck(_stream(raw), fields.whole(raw, "upto"), _faults(raw)),
    "batch_nack": lambda raw: BatchNack(_stream(raw), fields.whole(raw, "expected")),
    "batch_fork": lambda raw: BatchFork(_stream(raw)),
}


def dump(frame: Frame) -> str:
    """Write one frame as text. Telemetry has a writer of its own, since its body is encoded already."""
    return jsontext.dumps(_WRITERS[type(frame)](frame))


def dump_telemetry(body: bytes, *, seq: int | None = None, batch: BatchName | None = None) -> str:
    """A telemetry message around an encoded JSON array of points."""
    tail = "" if seq is None else f',"seq":{seq}'
    if batch is not None:
        tail += f',"batch":{jsontext.dumps(batch.to_wire())}'
    return f'{{"type":"telemetry","points":{body.decode()}{tail}}}'


def _write_device_auth(frame: DeviceAuth) -> dict[str, Any]:
    return {
        "type": "device_auth",
        "api_key": frame.api_key,
        "source_id": frame.source_id,
        "install_id": frame.install_id,
        "platform": frame.platform,
        "agent_version": frame.agent_version,
        "commands": [dict(command) for command in frame.commands],
        **({"acks": True} if frame.acks else {}),
        **({"hears_goodbye": True} if frame.hears_goodbye else {}),
        **({"ext": dict(frame.ext)} if frame.ext else {}),
    }


def _write_authenticated(frame: Authenticated) -> dict[str, Any]:
    return {
        "type": "authenticated",
        "source_id": frame.source_id,
        **({} if frame.server_time_ms is None else {"server_time_ms": frame.server_time_ms}),
        **({"acks": True} if frame.acks else {}),
        **({"ext": dict(frame.ext)} if frame.ext else {}),
    }


def _write_command_result(frame: CommandResult) -> dict[str, Any]:
    return {
        "type": "command_result",
        "id": frame.id,
        "command": frame.command,
        "event": frame.event,
        **({"result": frame.result} if frame.event == "result" else {}),
        **({} if frame.error is None else {"error": frame.error}),
    }


def _write_error(frame: ErrorFrame) -> dict[str, Any]:
    return {
        "type": "error",
        "code": frame.code,
        "detail": frame.detail,
        **({} if frame.seq is None else {"seq": frame.seq}),
        **({} if frame.batch is None else {"batch": {"stream": frame.batch[0], "n": frame.batch[1]}}),
    }


def _write_batch_ack(frame: BatchAck) -> dict[str, Any]:
    errors = [{"index": fault.index, "error": fault.error} for fault in frame.faults]
    return {
        "type": "batch_ack",
        "stream": frame.stream,
        "upto": frame.upto,
        **({"errors": errors} if errors else {}),
    }


def _plain(kind: str) -> Callable[[Any], dict[str, Any]]:
    def write(frame: Any) -> dict[str, Any]:
        return {"type": kind, **attrs.asdict(frame, recurse=False)}

    return write


_WRITERS: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    DeviceAuth: _write_device_auth,
    Authenticated: _write_authenticated,
    Heartbeat: _plain("heartbeat"),
    TypedCommand: _plain("typed_command"),
    CommandResult: _write_command_result,
    ErrorFrame: _write_error,
    TelemetryAck: _plain("telemetry_ack"),
    BatchAck: _write_batch_ack,
    BatchNack: _plain("batch_nack"),
    BatchFork: _plain("batch_fork"),
}
