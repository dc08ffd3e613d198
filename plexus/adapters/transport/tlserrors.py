"""What a socket under TLS says in its own way, told without loading TLS: only who has loaded it can be told so.

A link without TLS, to a gateway on this machine or network, never needs it: 5 MiB.
"""

from __future__ import annotations

import sys
from typing import Any


def tls() -> Any:
    """The module `ssl` where somebody has loaded it, else None."""
    return sys.modules.get("ssl")


def not_now() -> tuple[type[OSError], ...]:
    """What a socket that never blocks raises when it would have to."""
    ssl = tls()
    return (BlockingIOError,) if ssl is None else (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def wants_to_read(exc: OSError) -> bool:
    """Whether TLS must read before it can go on."""
    ssl = tls()
    return ssl is not None and isinstance(exc, ssl.SSLWantReadError)


def wants_to_write(exc: OSError) -> bool:
    """Whether TLS must write before it can go on."""
    ssl = tls()
    return ssl is not None and isinstance(exc, ssl.SSLWantWriteError)


def is_secured(sock: object) -> bool:
    """Whether this socket speaks TLS."""
    ssl = tls()
    return ssl is not None and isinstance(sock, ssl.SSLSocket)
