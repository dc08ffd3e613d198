"""Commands: a reader tells a device to do something, and asks what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import attrs
import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from plexus.domain.declaration import Declaration
from plexus.domain.errors import QueryError
from plexus.gateway.asgi import HttpError
from plexus.gateway.commands import Described
from plexus.gateway.rest.caller import COMMANDS, READ, Asking
from plexus.gateway.rest.faults import REFUSALS
from plexus.gateway.rest.params import counting, whole_number
from plexus.ports.commandbook import STATES, CommandEntry, Step
from plexus.protocol import jsontext

MAX_NAME_CHARS = 128
LIMIT = 100
MAX_LIMIT = 1_000
MAX_DESCRIBED = 256
MAX_BEFORE = 2**53

StateName = Literal["queued", "acknowledged", "running", "succeeded", "failed", "expired", "offline"]
WantedState = Annotated[
    str | None,
    QueryParameter(name="state", description="Only commands in this state.", schema_extra={"enum": list(STATES)}),
]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many commands at most, newest first.")]
Before = Annotated[str | None, counting("Go on where an earlier answer ended: its `next`.", 0, MAX_BEFORE)]


class Command(msgspec.Struct):
    """A command, and its parameters by name."""

    command: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    params: dict[str, Any] | None = None


@attrs.frozen
class Queued:
    """Whether the command is on its way; false when the device is offline, and then it is never sent.

    `run_id` is what the device's answers carry, and what the command is asked for by.
    """

    queued: bool
    run_id: str


@attrs.frozen
class Declared:
    """A command that the device declares now. What it says without types (`typed` false) is for people to read."""

    name: str
    typed: bool
    params: dict[str, Any] | list[Any]
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    danger: Literal["normal", "dangerous", "critical"] | UnsetType = UNSET
    idempotent: bool | UnsetType = UNSET
    expires_in_s: float | UnsetType = UNSET
    concurrency: Literal["accept", "reject"] | UnsetType = UNSET


@attrs.frozen
class CommandItem:
    """A command that was asked for. Times are milliseconds since 1970 UTC.

    `actor` is the id of the key that asked for it; `attempts` how often it was sent.
    """

    run_id: str
    source_id: str
    command: str
    kind: Literal["run", "call"]
    state: StateName
    actor: str
    attempts: int
    asked_ms: float
    expires_ms: float
    changed_ms: float
    error_code: str | None
    error_message: str | None


@attrs.frozen
class SourceCommands:
    """What a source can be told to do now, and what it was told, newest first.

    `next` is the `before` of the rest; null when there is none.
    """

    source_id: str
    online: bool
    declared: list[Declared]
    commands: list[CommandItem]
    next: int | None


@attrs.frozen
class StepItem:
    """A state that a command came to, in which attempt, and with what its device said of it."""

    at_ms: float
    state: StateName
    attempt: int
    progress: float | None
    message: str | None


@attrs.frozen
class CommandDetail(CommandItem):
    """One command with all that is known of it; `steps` are the states it came to, oldest first."""

    params: dict[str, Any]
    result: Any
    steps: list[StepItem]


@attrs.frozen
class OneCommand:
    """One command."""

    command: CommandDetail


@post("/v1/sources/{source_id:str}/commands", opt=COMMANDS, status_code=200, responses=REFUSALS)
async def send_command(caller: Asking, source_id: FromPath[str], data: JSONBody[Command]) -> Queued:
    """Send a command to a source that is connected. Whether it knows the command is the device's to say."""
    await caller.source(source_id)
    params = data.params or {}
    limit = caller.core.limits.params_bytes
    if len(jsontext.dumps(params).encode()) > limit:
        caller.core.meters.reject("params_too_large")
        raise HttpError(413, f"params must be at most {limit} bytes of JSON")
    sent = await caller.core.devices.call(caller.org, source_id, data.command, params, caller.key.key_id)
    return Queued(sent.queued, sent.run_id)


@get("/v1/sources/{source_id:str}/commands", opt=READ, responses=REFUSALS)
async def list_commands(
    caller: Asking, source_id: FromPath[str], in_state: WantedState = None, limit: Limit = LIMIT, before: Before = None
) -> SourceCommands:
    """What a source declares that it can be told to do, and the commands that it was sent."""
    if in_state is not None and in_state not in STATES:
        raise QueryError(f"state={in_state[:64]!r} is not known; use one of {', '.join(STATES)}, or leave it out")
    going_on = whole_number(before, "before", 0, MAX_BEFORE)
    source = await caller.source(source_id)
    devices = caller.core.devices
    await devices.tick()
    wanted = None if in_state is None else STATES[in_state]
    found = await caller.ask(
        devices.book.entries, caller.org, source_id, state=wanted, before=going_on, limit=limit + 1
    )
    typed, described = devices.declared(caller.org, source_id)
    return SourceCommands(
        source_id=source_id,
        online=source.online,
        declared=[*map(_typed, typed), *_described(described)],
        commands=[CommandItem(**_fields(entry)) for _number, entry in found[:limit]],
        next=found[limit - 1][0] if len(found) > limit else None,
    )


@get("/v1/commands/{run_id:str}", opt=READ, responses=REFUSALS)
async def get_command(caller: Asking, run_id: FromPath[str]) -> OneCommand:
    """One command, by the id that its sending answered."""
    devices = caller.core.devices
    await devices.tick()
    entry = await caller.ask(devices.book.find, caller.org, run_id)
    if entry is None or not caller.sees(entry.source_id):
        raise HttpError(404, f"NOT_FOUND: there is no command {run_id[:64]!r}; GET /v1/sources/ID/commands lists them")
    steps = [_step(step) for step in entry.steps]
    return OneCommand(CommandDetail(**_fields(entry), params=dict(entry.params), result=entry.result, steps=steps))


def _fields(entry: CommandEntry) -> dict[str, Any]:
    return {
        "run_id": entry.run_id,
        "source_id": entry.source_id,
        "command": entry.command,
        "kind": entry.kind,
        "state": entry.state,
        "actor": entry.actor,
        "attempts": entry.attempts,
        "asked_ms": round(entry.asked_ms, 3),
        "expires_ms": round(entry.expires_ms, 3),
        "changed_ms": round(entry.changed_ms, 3),
        "error_code": entry.error_code,
        "error_message": entry.error_message,
    }


def _step(step: Step) -> StepItem:
    return StepItem(round(step.at_ms, 3), step.state, step.attempt, step.progress, step.message)


def _typed(declaration: Declaration) -> Declared:
    return Declared(typed=True, **declaration.to_wire())


def _described(described: Described) -> Sequence[Declared]:
    """Descriptions of 0.5.2, as far as they are of the form that it sends."""
    named = [item for item in described[:MAX_DESCRIBED] if isinstance(item.get("name"), str)]
    return [Declared(item["name"], typed=False, params=_listed(item), description=_told(item)) for item in named]


def _listed(item: Mapping[str, Any]) -> list[Any]:
    params = item.get("params")
    return params if isinstance(params, list) else []


def _told(item: Mapping[str, Any]) -> str | UnsetType:
    description = item.get("description")
    return description if isinstance(description, str) else UNSET
