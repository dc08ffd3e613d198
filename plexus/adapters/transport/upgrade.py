"""From a connected socket to a WebSocket: the client's side of RFC 6455's opening handshake.

websocket-client would do it too, but hides the status of an answer whose page is long (a captive portal's), and that
status is what tells a person what to check.
"""

from __future__ import annotations

import base64
import os
import socket
from urllib.parse import quote, urlsplit, urlunsplit

from plexus.adapters.transport.addresses import USER_AGENT, Address
from plexus.adapters.transport.dialing import Bounded, Deadline
from plexus.adapters.transport.faults import explain, status_hint
from plexus.domain.errors import TransportError
from plexus.protocol.hashing import sha1

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_UNQUOTED = "/?&=%:@!$'()*+,;~"
"""What stands in a path and query as it is; `%` too, since what is quoted already stays quoted."""


def upgrade(sock: socket.socket, url: str, address: Address, deadline: Deadline, user_agent: str = USER_AGENT) -> None:
    """Ask for a WebSocket at `url`; nothing behind the answer's head is read. Raises TransportError when it is refused.

    Redirects are not followed, so that no key goes astray.
    """
    parts = urlsplit(url)
    nonce = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {quote(urlunsplit(('', '', parts.path, parts.query, '')), safe=_UNQUOTED)} HTTP/1.1",
        f"Host: {address.host_header}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {nonce}",
        "Sec-WebSocket-Version: 13",
        f"User-Agent: {user_agent}",
    ]
    pipe = Bounded(sock, deadline)
    try:
        pipe.send("\r\n".join([*lines, "", ""]).encode("ascii"))
        status, headers = pipe.read_head()
    except OSError as exc:
        raise TransportError(explain(exc, str(address), deadline.seconds)) from exc
    if status != 101 or headers.get("sec-websocket-accept") != _accepted(nonce):
        raise TransportError(
            f"{address} answered {status or 'no HTTP'} to the upgrade to a WebSocket: {status_hint(status)}"
        )


def _accepted(nonce: str) -> str:
    """What a WebSocket server answers to this nonce, and nothing else that speaks HTTP would."""
    return base64.b64encode(sha1((nonce + _GUID).encode()).digest()).decode()
