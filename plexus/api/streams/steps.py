"""What a stream's core wants done, one step at a time. The core is a generator: it yields a step and is sent what came
of it, or is thrown the error. It connects to nothing and reads no clock, so that both clients run the same one.

    message = yield Receive(timeout_s=5.0)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar, Union

import attrs

from plexus.api.calls import Call
from plexus.api.requests import Request
from plexus.domain.errors import ProtocolError
from plexus.domain.live import StreamNotice

R = TypeVar("R")


@attrs.frozen
class Connect:
    """Open a WebSocket and say the key. TransportError."""

    request: Request


@attrs.frozen
class Receive:
    """The next message of the socket; None when none came within `timeout_s` (None: wait for it). TransportError."""

    timeout_s: float | None = None


@attrs.frozen
class HangUp:
    """Close the socket, if there is one. Never fails."""


@attrs.frozen
class Ask:
    """Send a call and read its answer. Any PlexusError."""

    call: Call[Any]


@attrs.frozen
class Pause:
    """Let so many seconds pass."""

    seconds: float


@attrs.frozen(eq=False)
class Deliver:
    """Hand these over. With `keep` none of them may be dropped: wait for room."""

    items: Sequence[Any]
    keep: bool


@attrs.frozen
class Tell:
    """Say how the connection is doing."""

    notice: StreamNotice


@attrs.frozen
class Complain:
    """One frame broke the contract; the stream goes on after it."""

    error: ProtocolError


@attrs.frozen
class Follow:
    """Begin to follow a source, from `since_ms` on (milliseconds since 1970 UTC; None: from now on)."""

    source_id: str
    since_ms: float | None


@attrs.frozen
class Leave:
    """Follow a source no longer."""

    source_id: str


Step = Union[Connect, Receive, HangUp, Ask, Pause, Deliver, Tell, Complain, Follow, Leave]
Steps = Generator[Step, Any, R]
