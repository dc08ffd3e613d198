"""Frames into text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from plexus.domain.loss import Loss
from plexus.protocol import jsontext
from plexus.protocol.batch import BatchName
from plexus.protocol.frames.kinds import (
    Authenticated,
    BatchAck,
    BatchFork,
    BatchNack,
    ClockPing,
    ClockPong,
    CommandResult,
    CommandRun,
    CommandStatus,
    CommandStatusAck,
    CommandSync,
    DeviceAuth,
    ErrorFrame,
    Frame,
    Heartbeat,
    TelemetryAck,
    TypedCommand,
    VideoText,
)


def dump(frame: Frame) -> str:
    """Write one frame as text. Telemetry has a writer of its own, since its body is encoded already."""
    if type(frame) is TelemetryAck:
        return f'{{"type":"telemetry_ack","seq":{frame.seq}}}'  # one for each frame of a device: 10 µs less
    return jsontext.dumps(_WRITERS[type(frame)](frame))


def dump_telemetry(
    body: bytes, *, seq: int | None = None, batch: BatchName | None = None, gaps: Sequence[Loss] = ()
) -> str:
    """A telemetry message around an encoded JSON array of points."""
    tail = "" if seq is None else f',"seq":{seq}'
    if batch is not None:
        tail += f',"batch":{jsontext.dumps(batch.to_wire())}'
    if gaps:
        tail += f',"gaps":{jsontext.dumps(write_gaps(gaps))}'
    return f'{{"type":"telemetry","points":{body.decode()}{tail}}}'


def write_gaps(gaps: Sequence[Loss]) -> list[dict[str, Any]]:
    """Losses as a message carries them."""
    return [_without_none(attrs.asdict(loss)) for loss in gaps]


def _without_none(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


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
        **({"protocol": frame.protocol} if frame.protocol else {}),
    }


def _write_authenticated(frame: Authenticated) -> dict[str, Any]:
    return {
        "type": "authenticated",
        "source_id": frame.source_id,
        **({} if frame.server_time_ms is None else {"server_time_ms": frame.server_time_ms}),
        **({"acks": True} if frame.acks else {}),
        **({"ext": dict(frame.ext)} if frame.ext else {}),
        **({"protocol": frame.protocol} if frame.protocol else {}),
        **({} if frame.max_frame_bytes is None else {"max_frame_bytes": frame.max_frame_bytes}),
    }


def _write_heartbeat(frame: Heartbeat) -> dict[str, Any]:
    return {"type": "heartbeat", **_without_none(attrs.asdict(frame))}


def _write_command_result(frame: CommandResult) -> dict[str, Any]:
    return {
        "type": "command_result",
        "id": frame.id,
        "command": frame.command,
        "event": frame.event,
        **({"result": frame.result} if frame.event == "result" else {}),
        **({} if frame.error is None else {"error": frame.error}),
    }


def _write_command_run(frame: CommandRun) -> dict[str, Any]:
    return {"type": "command_run", **_without_none(attrs.asdict(frame, recurse=False))}


def _write_command_status(frame: CommandStatus) -> dict[str, Any]:
    return {"type": "command_status", **_without_none(attrs.asdict(frame, recurse=False))}


def _write_command_sync(frame: CommandSync) -> dict[str, Any]:
    return {"type": "command_sync", "runs": [attrs.asdict(run) for run in frame.runs]}


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
    Heartbeat: _write_heartbeat,
    TypedCommand: _plain("typed_command"),
    CommandResult: _write_command_result,
    ErrorFrame: _write_error,
    TelemetryAck: _plain("telemetry_ack"),
    BatchAck: _write_batch_ack,
    BatchNack: _plain("batch_nack"),
    BatchFork: _plain("batch_fork"),
    ClockPing: _plain("clock_ping"),
    ClockPong: _plain("clock_pong"),
    CommandRun: _write_command_run,
    CommandStatus: _write_command_status,
    CommandStatusAck: _plain("command_status_ack"),
    CommandSync: _write_command_sync,
    VideoText: lambda frame: {**frame.fields, "type": "video_frame"},
}
