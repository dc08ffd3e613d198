"""From an address to a connected socket: names, proxies, TCP and TLS, within one time-out.

websocket-client would do this too, but bounds each step and not the whole, and verifies against its own choice of
certificates. It is handed the finished socket.
"""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from plexus.adapters.transport.faults import explain, status_hint
from plexus.adapters.transport.tls import trust
from plexus.domain.errors import ConfigurationError, TransportError

MAX_HEAD_BYTES = 65_536
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@attrs.frozen
class Address:
    """Where to connect. `secure` is TLS."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def split_address(url: str, schemes: dict[str, str]) -> tuple[SplitResult, Address]:
    """Take an address apart. `schemes` maps what may be written to what is meant; raises ConfigurationError."""
    allowed = ", ".join(sorted(schemes))
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, parts.hostname
    except ValueError as exc:
        raise ConfigurationError(f"the gateway's address {_without_user(url)!r} cannot be read: {exc}") from exc
    if parts.scheme not in schemes or not host:
        raise ConfigurationError(
            f"the gateway's address {_without_user(url)!r} must be {allowed}, with a host, "
            "such as wss://gateway.plexus.company"
        )
    secure = schemes[parts.scheme] in ("wss", "https")
    return parts, Address(host, port or (443 if secure else 80), secure)


def _without_user(url: str) -> str:
    return url.rpartition("@")[2]


def is_loopback(host: str) -> bool:
    """Whether this names the machine itself, by the usual names."""
    return host.lower() in LOOPBACK or host.startswith("127.")


class Deadline:
    """One time-out over several steps, in seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left, more than 0; raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class Bounded:
    """A socket for the length of a handshake: no step outlives the deadline, and no answer is endless."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self.raw = sock
        self._deadline = deadline
        self._room = MAX_HEAD_BYTES

    def recv(self, count: int) -> bytes:
        """Up to `count` bytes; raises TimeoutError, or OSError when the answer is far longer than a handshake."""
        if self._room <= 0:
            raise OSError(f"the answer is longer than {MAX_HEAD_BYTES} bytes")
        self.raw.settimeout(self._deadline.left())
        data = self.raw.recv(min(count, self._room))
        self._room -= len(data)
        return data

    def send(self, data: bytes) -> int:
        """All of `data`."""
        self.raw.settimeout(self._deadline.left())
        self.raw.sendall(data)
        return len(data)

    def gettimeout(self) -> float:
        """Seconds that are left."""
        return self._deadline.left()

    def settimeout(self, _seconds: float | None) -> None:
        """The deadline is set already."""

    def fileno(self) -> int:
        """The socket's number."""
        return self.raw.fileno()

    def close(self) -> None:
        """Close the socket."""
        self.raw.close()


def dial(address: Address, deadline: Deadline, began: Callable[[socket.socket], None]) -> socket.socket:
    """Connect: through the proxy that the environment names, with TLS where the address wants it.

    `began` is told each socket as soon as there is one, so that another thread can close it. Raises TransportError.
    Looking up a name takes as long as the system's resolver takes.
    """
    proxy = _proxy_for(address)
    sock = _connect(proxy.address if proxy else address, deadline, began)
    try:
        if proxy is not None:
            _tunnel(sock, proxy, address, deadline)
        return _secured(sock, address, deadline) if address.secure else sock
    except (OSError, ValueError) as exc:
        sock.close()
        raise TransportError(explain(exc, str(address), deadline.seconds)) from exc
    except TransportError:
        sock.close()
        raise


def _connect(address: Address, deadline: Deadline, began: Callable[[socket.socket], None]) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise TransportError(explain(exc, str(address), deadline.seconds)) from exc
    failure: OSError = OSError(f"no address is known for {address.host}")
    for index, (family, kind, proto, _name, place) in enumerate(found):
        sock = socket.socket(family, kind, proto)
        began(sock)
        try:
            # One dead address (an IPv6 route that leads nowhere) must not use up the time of the others.
            sock.settimeout(deadline.left() / (len(found) - index))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(place)
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            return sock
    raise TransportError(explain(failure, str(address), deadline.seconds)) from failure


def _secured(sock: socket.socket, address: Address, deadline: Deadline) -> socket.socket:
    sock.settimeout(deadline.left())
    return trust().wrap_socket(sock, server_hostname=address.host)


# --- proxies ------------------------------------------------------------------------------------------------


@attrs.frozen
class _Proxy:
    address: Address
    login: str | None = attrs.field(repr=False)


def _proxy_for(address: Address) -> _Proxy | None:
    # This machine is never reached through a proxy: at the proxy, "localhost" is another machine.
    if is_loopback(address.host) or proxy_bypass(address.host):
        return None
    proxies = getproxies()
    url = proxies.get("https" if address.secure else "http") or proxies.get("all")
    return _read_proxy(url) if url else None


def _read_proxy(url: str) -> _Proxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise TransportError(
            f"the proxy {_without_user(url)} of the environment cannot be used: a WebSocket goes through http:// "
            "proxies only; set HTTPS_PROXY to one, or put the gateway's host into NO_PROXY"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    login = base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
    return _Proxy(Address(parts.hostname, parts.port or 80, secure=False), login)


def _tunnel(sock: socket.socket, proxy: _Proxy, address: Address, deadline: Deadline) -> None:
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if proxy.login is not None:
        lines.append(f"Proxy-Authorization: Basic {proxy.login}")
    pipe = Bounded(sock, deadline)
    pipe.send("\r\n".join([*lines, "", ""]).encode("ascii"))
    status = _read_status(pipe)
    if status != 200:
        raise TransportError(
            f"the proxy {proxy.address} does not connect to {address}: it answered {status or 'no HTTP'}; "
            f"{status_hint(status) if status == 407 else 'check HTTPS_PROXY, or put the host into NO_PROXY'}"
        )


def _read_status(pipe: Bounded) -> int:
    head = b""
    # Byte by byte: what follows the head belongs to TLS.
    while not head.endswith(b"\r\n\r\n"):
        data = pipe.recv(1)
        if not data:
            break
        head += data
    words = head.split(b"\r\n", 1)[0].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
