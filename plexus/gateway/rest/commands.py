"""Commands: a reader tells a device to do something."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import msgspec
from litestar import post
from litestar.params import FromPath, JSONBody

from plexus.gateway.rest.caller import COMMANDS, Asking
from plexus.gateway.rest.faults import REFUSALS

MAX_NAME_CHARS = 128


class Command(msgspec.Struct):
    """A command, and its parameters by name."""

    command: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    params: dict[str, Any] | None = None


@attrs.frozen
class Queued:
    """Whether the command is on its way; false when the device is offline, and then it is gone.

    `run_id` is what the device's answers carry; null when it is not queued.
    """

    queued: bool
    run_id: str | None


@post("/v1/sources/{source_id:str}/commands", opt=COMMANDS, status_code=200, responses=REFUSALS)
async def send_command(caller: Asking, source_id: FromPath[str], data: JSONBody[Command]) -> Queued:
    """Send a command to a source that is connected. Whether it knows the command is the device's to say."""
    await caller.source(source_id)
    sent = caller.core.devices.call(caller.org, source_id, data.command, data.params or {})
    return Queued(sent.queued, sent.run_id)
