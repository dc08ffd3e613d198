"""What a reader learns of commands: what a device can be told, what it was told, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import attrs


@attrs.frozen
class SentCommand:
    """What became of the sending. True in an `if` when the command is on its way.

    Attributes:
        queued: whether it is on its way; False when the device is offline, and then it is never sent.
        run_id: what the command is asked for by from then on; None from a server that keeps no commands.
    """

    queued: bool
    run_id: str | None = None

    def __bool__(self) -> bool:
        return self.queued


@attrs.frozen
class CommandStep:
    """A state that a command came to.

    Attributes:
        at_ms: when, milliseconds since 1970 UTC.
        state: see CommandStatus.
        attempt: in which sending, from 1 on.
        progress: 0 to 100, None where the device did not say.
        message: the device's words, None where it had none.
    """

    at_ms: float
    state: str
    attempt: int = 1
    progress: float | None = None
    message: str | None = None


@attrs.frozen
class CommandStatus:
    """One command that a device was told, and how far it is. A list of them leaves out params, result and steps.

    Attributes:
        run_id: the command's id.
        source_id, command: who was told, and what.
        kind: "run" (typed: the device reports under the run's id) or "call".
        state: "queued", "acknowledged", "running", "succeeded", "failed", "expired" or "offline".
        actor: the id of the key that asked for it.
        attempts: how often it was sent.
        asked_ms, expires_ms, changed_ms: when it was asked for, until when it may begin, and when it came to its
            state; milliseconds since 1970 UTC.
        error_code, error_message: why it failed, as the device says; None where it did not.
        params: what it was sent with.
        result: what the device answered, None for nothing.
        steps: the states that it came to, oldest first.
    """

    run_id: str
    source_id: str
    command: str
    kind: str
    state: str
    actor: str
    attempts: int
    asked_ms: float
    expires_ms: float
    changed_ms: float
    error_code: str | None = None
    error_message: str | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict)
    result: Any = None
    steps: Sequence[CommandStep] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected of it; a device that was late may still say how it ended."""
        return self.state in ("succeeded", "failed", "expired", "offline")


@attrs.frozen
class DeclaredCommand:
    """What a device says now that it can be told.

    Attributes:
        name: what to send.
        typed: whether `params` are checked by type: then they are an object by name, else an array for people to read.
        title, description: for people; None where the device gave none.
        danger: "normal", "dangerous" or "critical"; None where the device did not say.
        idempotent: whether it may be sent again after a lost connection.
        expires_in_s: seconds within which it has to begin.
        concurrency: "accept" or "reject" a second one while one runs.
    """

    name: str
    typed: bool
    params: Union[Mapping[str, Any], Sequence[Any]] = ()
    title: str | None = None
    description: str | None = None
    danger: str | None = None
    idempotent: bool | None = None
    expires_in_s: float | None = None
    concurrency: str | None = None


@attrs.frozen
class SourceCommands:
    """The commands of one source.

    Attributes:
        source_id: the source.
        online: whether it is there to be told anything.
        declared: what it can be told now; empty while it is offline.
        commands: what it was told, newest first.
        next: the `before` that the rest is asked for with; None when there is none.
    """

    source_id: str
    online: bool
    declared: Sequence[DeclaredCommand]
    commands: Sequence[CommandStatus]
    next: int | None = None
