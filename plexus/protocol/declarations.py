"""What a gateway makes of the commands in a `device_auth` of protocol 1: the good ones, and an error for each other.

Declarations of 0.5.2 are descriptions for people, and nothing is judged by them.
"""

from __future__ import annotations

from collections.abc import Mapping

from plexus.domain.declaration import Declaration, read_declaration
from plexus.domain.errors import CommandDeclarationError
from plexus.protocol import frames

INVALID_COMMAND = "invalid_command"
NOT_PERMITTED = "commands_not_permitted"
MAX_DECLARED = 256


def read_declarations(
    auth: frames.DeviceAuth, *, permitted: bool = True
) -> tuple[Mapping[str, Declaration], list[frames.ErrorFrame]]:
    """The typed commands of a device by name, and what it is to hear of those that it does not get to declare."""
    if not auth.protocol or not auth.commands:
        return {}, []
    if not permitted:
        return {}, [frames.ErrorFrame(NOT_PERMITTED, "this key may not declare commands: it needs the scope `write`")]
    declared: dict[str, Declaration] = {}
    faults: list[frames.ErrorFrame] = []
    for raw in auth.commands[:MAX_DECLARED]:
        try:
            declaration = read_declaration(raw)
        except CommandDeclarationError as exc:
            faults.append(frames.ErrorFrame(INVALID_COMMAND, str(exc)))
        else:
            declared[declaration.name] = declaration
    if len(auth.commands) > MAX_DECLARED:
        faults.append(frames.ErrorFrame(INVALID_COMMAND, f"a device may declare {MAX_DECLARED} commands"))
    return declared, faults
