"""What is seen over the network, by the same ways as a device takes: its proxies, its trust, its time-outs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from plexus.adapters.transport.addresses import USER_AGENT, Address
from plexus.adapters.transport.dialing import Bounded, Deadline, dial
from plexus.adapters.transport.faults import explain
from plexus.adapters.transport.upgrade import upgrade
from plexus.api.doctor.seen import Heard, Secured, Trust
from plexus.domain.errors import TransportError


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, without repeats; raises TransportError. As slow as the system's resolver is."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise TransportError(explain(exc, f"{host}:{port}", 0.0)) from exc
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def connect(address: Address, timeout: float) -> None:
    """Connect, through the proxy where there is one, and leave; raises TransportError."""
    dial(address, Deadline(timeout), _nobody).close()


def trusted() -> Trust:
    """Whom this machine trusts; raises OSError where that cannot be read."""
    import ssl

    from plexus.adapters.transport.tls import trust

    named = os.environ.get("SSL_CERT_FILE", "")
    # On a system that has the directory, it is read beside the file.
    directory = ssl.get_default_verify_paths().capath or ""
    holds = bool(directory) and any(Path(directory).iterdir())
    return Trust(named, Path(named).is_file(), trust().cert_store_stats()["x509"], directory if holds else "")


def secure(address: Address, timeout: float) -> Secured:
    """Connect and shake hands; raises TransportError."""
    with dial(address, Deadline(timeout), _nobody) as sock:
        spoken: Any = sock  # an ssl.SSLSocket, since the address is secure
        return Secured(spoken.version() or "TLS", spoken.getpeercert() or {})


def head(url: str, address: Address, timeout: float, wall_s: Callable[[], float] = time.time) -> Heard:
    """GET this, without a key; what follows the head is not read. Raises TransportError."""
    deadline = Deadline(timeout)
    with dial(address, deadline, _nobody) as sock:
        pipe = Bounded(sock, deadline)
        lines = [
            f"GET {urlsplit(url).path or '/'} HTTP/1.1",
            f"Host: {address.host_header}",
            f"User-Agent: {USER_AGENT}",
            "Accept: application/json",
            "Connection: close",
        ]
        began_s = wall_s()
        try:
            pipe.send("\r\n".join([*lines, "", ""]).encode("ascii"))
            status, headers = pipe.read_head()
        except OSError as exc:
            raise TransportError(explain(exc, str(address), timeout)) from exc
        return Heard(status, headers, began_s, wall_s())


def open_websocket(url: str, address: Address, timeout: float) -> None:
    """Open a WebSocket and leave again without a word; raises TransportError when it is refused."""
    deadline = Deadline(timeout)
    with dial(address, deadline, _nobody) as sock:
        upgrade(sock, url, address, deadline)


def proxies_named() -> list[str]:
    """The names of the environment's variables that name proxies, or what is to go without one."""
    return sorted(name for name, value in os.environ.items() if name.lower().endswith("_proxy") and value)


def _nobody(_sock: socket.socket) -> None:
    """No other thread has to be able to close it."""
