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
    - every failure is a TransportError whose text says what to check (host, certificate, proxy, time-out) and holds
      nothing of a message, so no key;
    - after a TransportError the link is over: `receive` still gives what had come before the end, then raises the same
      error again and again, until `close` or `open`;
    - so a `send` that fails says nothing about what came before it: whoever wants those messages (acknowledgements,
      and whether the gateway said goodbye) calls `receive(0.0)` until it raises, then `close`;
    - a request is answered by one answer, in the order of the requests.
    """

    @property
    def dialect(self) -> Dialect:
        """Which session drives this transport."""
        ...

    def open(self, timeout: float) -> None:
        """Connect within `timeout` seconds; raises TransportError.

        A transport of requests may have nothing to connect: a host that is not there is then found out by the first
        request, and told by `receive`.
        """
        ...

    def send(self, message: Message) -> None:
        """Hand one message over; never waits, neither for an answer nor for the network. Raises TransportError.

        What the network does not take at once is written by later calls of `send` and `receive`. When it takes nothing
        for `open`'s time-out, the link breaks.
        """
        ...

    @property
    def pending(self) -> int:
        """Bytes that were handed over and that the network has not taken yet; 0 where that is not known."""
        ...

    def receive(self, timeout: float) -> Message | None:
        """The next message, waiting at most `timeout` seconds; None if none came or `wake` was called.

        Raises TransportError when the link is broken; TransportClosed when the gateway closed it on purpose.
        """
        ...

    def wake(self) -> None:
        """Make a `receive` that waits, or the next one that would, return now.

        The only method that other threads may call; never blocks. Without an open link it does nothing.
        """
        ...

    def close(self) -> None:
        """Let go of the link. Never raises; closing twice is fine."""
        ...
