"""Why a link failed, said for the person who has to mend it: what happened, with which host, what to check next."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping

_STATUS_HINTS: Mapping[int, str] = {
    401: "something in front of the gateway wants a login: check the address and any proxy's credentials",
    403: "the gateway or something in front of it refuses this client: check the address, the host name and the key",
    404: "there is no gateway at this path: check the address in PLEXUS_GATEWAY_WS_URL or PLEXUS_URL",
    407: "the proxy wants a login: put user and password into HTTPS_PROXY, or the host into NO_PROXY",
    426: "it speaks HTTP and no WebSocket here: check the address, and that the proxy in front passes upgrades on",
    429: "too many connections: it is tried again later",
}


def status_hint(status: int) -> str:
    """What to check when an upgrade to a WebSocket was answered with this HTTP status."""
    if status in _STATUS_HINTS:
        return _STATUS_HINTS[status]
    if 300 <= status < 400:
        return "redirects are not followed, so that no key goes astray: set the address to where it points"
    if status >= 500:
        return "the gateway is not up, or not reachable behind its proxy; it is tried again"
    return "no WebSocket gateway answers there: check the address, and for a captive portal or proxy in between"


def explain(exc: BaseException, peer: str, timeout: float) -> str:
    """One sentence for a failure of connecting to, or talking with, `peer` ("host:port"); `timeout` in seconds."""
    for cause in _causes(exc):
        sentence = _known(cause, peer, timeout)
        if sentence is not None:
            return sentence
    return f"the connection to {peer} failed: {str(exc) or type(exc).__name__}; check the network"


def _known(exc: BaseException, peer: str, timeout: float) -> str | None:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {peer} is not accepted: {exc.verify_message}; check this machine's clock and the "
            "host name, or name the authority's file in SSL_CERT_FILE"
        )
    if isinstance(exc, socket.gaierror):
        return f"the host of {peer} cannot be found: check the name, and this machine's network and DNS"
    if isinstance(exc, TimeoutError):
        return f"no answer from {peer} within {timeout:g} s: check the network, a firewall, and the address"
    if isinstance(exc, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return f"the connection to {peer} was cut within TLS: check the network, and that this port speaks TLS"
    if isinstance(exc, ssl.SSLError):
        return f"TLS with {peer} failed: {exc.reason or exc}; check that this port speaks TLS (wss, https)"
    if isinstance(exc, ConnectionRefusedError):
        return f"{peer} refuses connections: check that the gateway runs there, and the port"
    if isinstance(exc, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return f"the connection to {peer} was cut: check the network, and the gateway's log"
    return None


def _causes(exc: BaseException) -> Iterator[BaseException]:
    # Innermost first: the foreign library's outer words say less than the system's.
    chain: list[BaseException] = []
    current: BaseException | None = exc
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return reversed(chain)
