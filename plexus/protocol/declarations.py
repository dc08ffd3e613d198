"""What a gateway makes of the commands in a `device_auth` of protocol 1: the good ones, and an error for each other.

An entry that is no object is one of the others. The connection goes on in any case.

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
    """The typed commands of a device by name, and what it is to hear of those that it does not get to declare.

    Whoever lets devices in says whether this one may declare. Our gateway asks for the scope `write` before it lets one
    in, so that it always may there; `permitted=False` is for a gateway that lets devices in by another rule.
    """
    if not auth.protocol or not (auth.commands or auth.no_commands):
        return {}, []
    if not permitted:
        return {}, [frames.ErrorFrame(NOT_PERMITTED, "this key may not declare commands: it needs the scope `write`")]
    declared: dict[str, Declaration] = {}
    faults = [frames.ErrorFrame(INVALID_COMMAND, sentence) for sentence in auth.no_commands]
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
