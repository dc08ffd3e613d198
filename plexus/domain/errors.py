"""The error tree. Its classes say whose fault it is, and so who has to act.

PlexusError
├── ConfigurationError        yours, before anything ran (also a ValueError)
├── UnsupportedValueError     yours, at the call: no wire carries this value (also a TypeError)
├── CommandDeclarationError   yours: the command's declaration breaks a rule (also a ValueError)
├── CommandParamError         the sender's: a command arrived with bad parameters
├── RefusalError              a server's answer that is not a success; one of these three
│   ├── AuthenticationError   the key's: unknown, revoked, or without the scope
│   ├── RateLimitedError      refused for rate; a device's points are counted as dropped
│   └── ApiError              any other of a data API; `status` says which
│       └── NotFoundError     404: the source, run or route is not there
├── DataLossError             points had to be dropped; `loss` says how many, from when, and why
├── DeliveryError             delivery could not be completed; the message says where the points are
│   └── TransportError        the network's: no connection, broken connection, time-out
│       └── TransportClosed   the gateway closed the link on purpose; `code` says why
├── BufferFault               the disk's: the spool cannot be read or written
├── ExportError               the disk's: an export's file is there already, or cannot be written
├── ProtocolError             the peer's: a frame that breaks the contract (also a ValueError)
└── StoreError                the gateway's disk or database
    └── QueryError            the reader's: a window, interval or name that cannot be answered (also a ValueError)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plexus.domain.loss import Loss


class PlexusError(Exception):
    """Every error that Plexus raises by intent is one of these."""


class RefusalError(PlexusError):
    """What a server's refusal carries, whichever class says whose fault it is.

    Attributes:
        status: HTTP status code; 0 when it was not over HTTP, or no answer came at all.
        body: the answer's body as text, at most 4,096 characters.
        request_id: the server's id for the request ("" if it gave none); quote it when you ask for help.
        retry_after_s: seconds that the server asks to wait; None when it asks for none.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        body: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class ConfigurationError(PlexusError, ValueError):
    """A setting is missing or cannot be right; the message names it and where it came from."""


class UnsupportedValueError(PlexusError, TypeError):
    """A value that no wire carries was passed to `send`; nothing else is lost."""


class CommandDeclarationError(PlexusError, ValueError):
    """A command was declared in a way the protocol does not allow."""


class CommandParamError(PlexusError):
    """A command arrived with parameters that its declaration refuses."""


class AuthenticationError(RefusalError):
    """The gateway does not accept this key. Data stays on the device; a new key lets it go on.

    A reader's has `status` (401), `body` and `request_id` as ApiError has them.
    """


class RateLimitedError(RefusalError):
    """The gateway refused for rate. A device's points are counted under `dropped` and not sent again.

    A reader's has `status` (429), `body` and `request_id` as ApiError has them, and `retry_after_s`: the seconds that
    the server asks to wait, None when it asks for none.
    """


class DataLossError(PlexusError):
    """Points had to be dropped; told to `on_error`, never raised. `loss` has the reason, the count and the time range.

    They are counted in `stats().dropped`, and the gateway is told where it takes such records.
    """

    def __init__(self, message: str, *, loss: Loss) -> None:
        super().__init__(message)
        self.loss = loss


class DeliveryError(PlexusError):
    """Points could not be handed over now; the message says where they are kept."""


class TransportError(DeliveryError):
    """No connection, or one that broke. Retried by the uplink; never raised out of `send`."""


class TransportClosed(TransportError):  # noqa: N818 - it is how a link ends in good order, not a fault
    """The gateway closed the link on purpose. `code` is the WebSocket close code (1001 going away, 1013 later)."""

    def __init__(self, message: str, *, code: int = 1000) -> None:
        super().__init__(message)
        self.code = code


class BufferFault(PlexusError):  # noqa: N818 - `BufferError` is a builtin; a second name for it would mislead
    """The spool cannot be read or written; the message names the file."""


class ExportError(PlexusError):
    """An export's file is there already or cannot be written; the message names it. What was fetched is kept."""


class ProtocolError(PlexusError, ValueError):
    """A frame breaks the wire contract. `field` names the part at fault ("" when it is the whole frame)."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class StoreError(PlexusError):
    """The gateway's store cannot do what was asked; nothing was acknowledged."""


class QueryError(StoreError, ValueError):
    """A window, interval, metric or source that cannot be answered; the message says what is allowed."""


class ApiError(RefusalError):
    """The data API answered, and not with success.

    Attributes:
        status: HTTP status code; 0 when no answer came at all.
        body: the answer's body as text, at most 4,096 characters.
        request_id: the server's id for the request ("" if it gave none); quote it when you ask for help.
        retry_after_s: seconds that the server asks to wait; None when it asks for none.
    """


class NotFoundError(ApiError):
    """404: there is no such source, run, metric or route for this key's organisation."""
