"""A command: what a device says it can be told to do, and one such telling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from plexus.domain.errors import CommandDeclarationError

_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}\Z")


@attrs.frozen
class Command:
    """A declaration, as `on_command` makes it (0.5.2).

    Attributes:
        name: up to 128 letters, digits and `_.:-`.
        description: one line for the person who will press the button.
        params: descriptions of the parameters, passed on as they are.
    """

    name: str
    description: str = ""
    params: Sequence[Mapping[str, Any]] = ()

    def __attrs_post_init__(self) -> None:
        """Refuse a name that cannot be addressed; raises CommandDeclarationError."""
        if not isinstance(self.name, str) or not _name.match(self.name):
            raise CommandDeclarationError(
                f"command name {self.name!r} is not valid: use 1 to 128 letters, digits, '_', '.', ':' or '-'"
            )


@attrs.frozen
class CommandCall:
    """One call of a command, on its way to a device."""

    call_id: str
    command: str
    params: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class CommandOutcome:
    """What the device said of a call: `event` is "ack", "result" or "error"."""

    call_id: str
    command: str
    event: str
    result: Any = None
    error: str | None = None
