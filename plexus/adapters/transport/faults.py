"""Why a link failed, said for the person who has to mend it: what happened, with which host, what to check next."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any

from plexus.adapters.transport.tlserrors import tls

_STATUS_HINTS: Mapping[int, str] = {
    401: "something in front of the gateway wants a login: check the address and any proxy's credentials",
    403: "the gateway or something in front of it refuses this client: check the address, the host name and the key",
    404: "there is no gateway at this path: check the address in PLEXUS_GATEWAY_WS_URL or PLEXUS_URL",
    407: "the proxy wants a login: put user and password into HTTPS_PROXY, or the host into NO_PROXY",
    426: "it speaks HTTP and no WebSocket here: check the address, and that the proxy in front passes upgrades on",
    429: "too many connections: it is tried again later",
}

_CLOCK = "check this machine's clock first: a wrong one makes a good certificate look like this"
_AUTHORITY = "name the file of the authority that signed it in SSL_CERT_FILE, or check what stands between"
_HOST = "check the host name in the address: the certificate is for another"
_CERTIFICATE_HINTS: Mapping[int, str] = {
    9: _CLOCK,
    10: f"{_CLOCK}; else the gateway needs a new certificate",
    18: _AUTHORITY,
    19: _AUTHORITY,
    20: _AUTHORITY,
    21: _AUTHORITY,
    62: _HOST,
    64: _HOST,
}
"""By OpenSSL's number for what is wrong (`X509_V_ERR_…`)."""


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
    if isinstance(exc, socket.gaierror):
        return f"the host of {peer} cannot be found: check the name, and this machine's network and DNS"
    if isinstance(exc, TimeoutError):
        return f"no answer from {peer} within {timeout:g} s: check the network, a firewall, and the address"
    if isinstance(exc, ConnectionRefusedError):
        return f"{peer} refuses connections: check that the gateway runs there, and the port"
    if isinstance(exc, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return f"the connection to {peer} was cut: check the network, and the gateway's log"
    return _known_to_tls(exc, peer)


def _known_to_tls(exc: Any, peer: str) -> str | None:
    ssl = tls()
    if ssl is None or not isinstance(exc, ssl.SSLError):
        return None
    if isinstance(exc, ssl.SSLCertVerificationError):
        hint = _CERTIFICATE_HINTS.get(exc.verify_code, "check the host name, and what stands between")
        return f"the certificate of {peer} is not accepted: {exc.verify_message}; {hint}"
    if isinstance(exc, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return f"the connection to {peer} was cut within TLS: check the network, and that this port speaks TLS"
    return f"TLS with {peer} failed: {exc.reason or exc}; check that this port speaks TLS (wss, https)"


def _causes(exc: BaseException) -> Iterator[BaseException]:
    # Innermost first: the foreign library's outer words say less than the system's.
    chain: list[BaseException] = []
    current: BaseException | None = exc
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or _wrapped(current)
    return reversed(chain)


def _wrapped(exc: BaseException) -> BaseException | None:
    """What httpcore was told, which it keeps as its own exception's argument and raises `from None`.

    Never `__context__`: what was being handled meanwhile may be of another connection.
    """
    first = exc.args[0] if exc.args else None
    return first if isinstance(first, BaseException) else None
