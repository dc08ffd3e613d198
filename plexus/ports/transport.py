"""The transport port: a two-way pipe for messages to one gateway. It knows nothing of what they mean."""

from __future__ import annotations

from typing import Literal, Protocol

from plexus.protocol.messages import Message

Dialect = Literal["socket", "request"]
"""Which session drives it: text and binary frames of `/ws/device`, or requests and answers of `POST /ingest`."""


class Transport(Protocol):
    """One link to a gateway. Used by one thread, except `wake`. May be opened again after it was closed or broke.

    Contract:
    - messages arrive in order and whole, or the link breaks: nothing is dropped in between silently;
    - every failure is a TransportError whose text says what to check (host, certificate, proxy, time-out);
    - after a TransportError the transport is closed and `open` may be called again;
    - what the gateway sent before it closed is still received before the TransportError.
    """

    @property
    def dialect(self) -> Dialect:
        """Which session drives this transport."""
        ...

    def open(self, timeout: float) -> None:
        """Connect within `timeout` seconds; raises TransportError."""
        ...

    def send(self, message: Message) -> None:
        """Hand one message over; may block as long as `open`'s time-out, never for an answer. Raises TransportError."""
        ...

    def receive(self, timeout: float) -> Message | None:
        """The next message, waiting at most `timeout` seconds; None if none came or `wake` was called.

        Raises TransportError when the link is broken; TransportClosed when the gateway closed it on purpose.
        """
        ...

    def wake(self) -> None:
        """Make a `receive` that waits return now. The only method that other threads may call; never blocks."""
        ...

    def close(self) -> None:
        """Let go of the link. Never raises; closing twice is fine."""
        ...
