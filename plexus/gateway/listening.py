"""A listening socket, its certificate, and room for as many connections as are wanted."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import sys

from plexus.domain.errors import ConfigurationError
from plexus.gateway.settings import Tls

BACKLOG = 4096
OWN_DESCRIPTORS = 512
"""What the gateway opens itself: databases, history, its own threads' pipes."""

logger = logging.getLogger("plexus.gateway")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises ConfigurationError when the address cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise ConfigurationError(f"the host {host!r} cannot be resolved: {exc.strerror or exc}") from exc
    sock = socket.socket(family, kind, proto)
    try:
        if sys.platform != "win32":  # there it would let two gateways share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as exc:
        sock.close()
        raise ConfigurationError(f"port {port} on {host} cannot be used: {_why_not(exc)}") from exc
    sock.setblocking(False)  # noqa: FBT003 - the only way to call it
    return sock


def tls_context(tls: Tls) -> ssl.SSLContext | None:
    """TLS 1.2 and later with this certificate, None when there is none. Raises ConfigurationError."""
    if tls.cert is None or tls.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, tls)
    return context


def load_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    """Serve new connections with what the files hold now. Raises ConfigurationError; what was loaded stays then."""
    assert tls.cert is not None
    assert tls.key is not None
    for file in (tls.cert, tls.key):
        try:
            file.open("rb").close()
        except OSError as exc:
            raise ConfigurationError(f"tls: {file} cannot be read: {exc.strerror or exc}") from exc
    try:
        # Into a context of its own first: a certificate without its key would leave half of the two in ours.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password=_no_password)
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except ssl.SSLError as exc:
        raise ConfigurationError(
            f"tls: {tls.cert} and {tls.key} are no certificate and its key in PEM: {exc.reason or exc}"
        ) from exc


def make_room(connections: int) -> int:
    """Raise this process's limit of open files so that `connections` fit; returns how many do.

    Fewer when the system does not let it, which is said in the log.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections
    wanted = connections + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    reach = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reach, hard))
    if reach == wanted:
        return connections
    fitting = max(1, reach - OWN_DESCRIPTORS)
    logger.warning(
        "the system lets this process open %d files, so %d connections and not the %d of limits.connections; "
        "raise LimitNOFILE= of the service, or `ulimit -n`",
        reach,
        fitting,
        connections,
    )
    return fitting


def _no_password() -> str:
    # Without this OpenSSL would ask at the terminal, and a service would wait for ever.
    raise ConfigurationError("tls: the private key is encrypted; the gateway takes keys without a passphrase")


def _why_not(exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return "another program, perhaps another gateway, holds it; stop that one or choose another with --port"
    if exc.errno == errno.EACCES:
        return "ports under 1024 are the system's; choose another with --port, and a proxy in front of it"
    if exc.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; choose one of its own with --host, or 0.0.0.0 for all of them"
    return f"{exc.strerror or exc}; choose another with --host and --port"
