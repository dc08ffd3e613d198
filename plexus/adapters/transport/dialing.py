"""From an address to a connected socket: names, proxies, TCP and TLS, within one time-out.

websocket-client would do this too, but bounds each step and not the whole, verifies against its own choice of
certificates, and waits for the whole of the page with which a captive portal answers.
"""

from __future__ import annotations

import base64
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

import attrs

from plexus.adapters.loading import loading
from plexus.adapters.transport.addresses import Address, is_loopback, without_user
from plexus.adapters.transport.faults import explain, status_hint
from plexus.domain.errors import TransportError

MAX_HEAD_BYTES = 65_536


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
        self._sock = sock
        self._deadline = deadline

    def send(self, data: bytes) -> None:
        """All of `data`; raises TimeoutError and OSError."""
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def read_head(self) -> tuple[int, Mapping[str, str]]:
        """The head of an HTTP answer: status, 0 when it is not HTTP, and headers with lower-case names.

        Raises TimeoutError and OSError. What follows the head is left in the socket.
        """
        head = bytearray()
        # Byte by byte: what follows belongs to TLS or to the WebSocket.
        while not head.endswith(b"\r\n\r\n") and len(head) < MAX_HEAD_BYTES:
            self._sock.settimeout(self._deadline.left())
            byte = self._sock.recv(1)
            if not byte:
                break
            head += byte
        return _read_head(head.decode("latin-1"))


def _read_head(head: str) -> tuple[int, Mapping[str, str]]:
    first, *lines = head.split("\r\n")
    words = first.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not (words[1].isascii() and words[1].isdigit()):
        return 0, {}
    pairs = (line.partition(":") for line in lines)
    return int(words[1][:3]), {name.strip().lower(): value.strip() for name, _colon, value in pairs}


def dial(address: Address, deadline: Deadline, began: Callable[[socket.socket], None]) -> socket.socket:
    """Connect: through the proxy that the environment names, with TLS where the address wants it.

    `began` is told each socket as soon as there is one, so that another thread can close it. Raises TransportError.
    Looking up a name takes as long as the system's resolver takes.
    """
    proxy = proxy_for(address)
    sock = _connect(proxy.address if proxy else address, deadline, began)
    try:
        if proxy is not None:
            _tunnel(sock, proxy, address, deadline)
        return _secured(sock, address, deadline, began) if address.secure else sock
    except (OSError, ValueError) as exc:
        sock.close()
        raise TransportError(explain(exc, str(address), deadline.seconds)) from exc
    except BaseException:
        sock.close()
        raise


def reach(address: Address, deadline: Deadline) -> None:
    """Find out whether anybody listens there, or at the proxy that leads there; raises TransportError if not."""
    proxy = proxy_for(address)
    _connect(proxy.address if proxy else address, deadline, lambda _sock: None).close()


def _connect(address: Address, deadline: Deadline, began: Callable[[socket.socket], None]) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise TransportError(explain(exc, str(address), deadline.seconds)) from exc
    failure: OSError = OSError(f"no address is known for {address.host}")
    for index, (family, kind, proto, _name, place) in enumerate(found):
        sock = socket.socket(family, kind, proto)
        try:
            began(sock)
            # One dead address (an IPv6 route that leads nowhere) must not use up the time of the others.
            sock.settimeout(deadline.left() / (len(found) - index))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(place)
        except OSError as exc:
            sock.close()
            failure = exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise TransportError(explain(failure, str(address), deadline.seconds)) from failure


def _secured(
    plain: socket.socket, address: Address, deadline: Deadline, began: Callable[[socket.socket], None]
) -> socket.socket:
    with loading():
        from plexus.adapters.transport.tls import trust

    plain.settimeout(deadline.left())
    # From here on the plain socket is an empty shell, so the other thread must know the new one before it can wait.
    sock = trust().wrap_socket(plain, server_hostname=address.host, do_handshake_on_connect=False)
    try:
        began(sock)
        sock.do_handshake()
    except BaseException:
        sock.close()
        raise
    return sock


# --- proxies ------------------------------------------------------------------------------------------------


@attrs.frozen
class Proxy:
    """An HTTP proxy. `login` is what Basic authentication sends, None where the proxy wants none."""

    address: Address
    login: str | None = attrs.field(repr=False)


def proxy_for(address: Address) -> Proxy | None:
    """The proxy that the environment names for this address, None to go there directly; raises TransportError."""
    # This machine is never reached through a proxy: at the proxy, "localhost" is another machine.
    if is_loopback(address.host) or not _may_name_proxies():
        return None
    with loading():
        from urllib.request import getproxies, proxy_bypass

    if proxy_bypass(address.host):
        return None
    proxies = getproxies()
    url = proxies.get("https" if address.secure else "http") or proxies.get("all")
    return _read_proxy(url) if url else None


def _may_name_proxies() -> bool:
    # Asked before what reads them is loaded, which brings an HTTP client and TLS. Windows and macOS have other places.
    return sys.platform in ("win32", "darwin") or any(name.lower().endswith("_proxy") for name in os.environ)


def _read_proxy(url: str) -> Proxy:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or 80
    except ValueError as exc:
        raise TransportError(f"the proxy {without_user(url)!r} of the environment cannot be read: {exc}") from exc
    if parts.scheme != "http" or not host:
        raise TransportError(
            f"the proxy {without_user(url)} of the environment cannot be used: the gateway is reached through http:// "
            "proxies only; set HTTPS_PROXY to one, or put the gateway's host into NO_PROXY"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    login = base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
    return Proxy(Address(host, port, secure=False), login)


def _tunnel(sock: socket.socket, proxy: Proxy, address: Address, deadline: Deadline) -> None:
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if proxy.login is not None:
        lines.append(f"Proxy-Authorization: Basic {proxy.login}")
    pipe = Bounded(sock, deadline)
    pipe.send("\r\n".join([*lines, "", ""]).encode("ascii"))
    status, _headers = pipe.read_head()
    if status != 200:
        raise TransportError(
            f"the proxy {proxy.address} does not connect to {address}: it answered {status or 'no HTTP'}; "
            f"{status_hint(status) if status == 407 else 'check HTTPS_PROXY, or put the host into NO_PROXY'}"
        )
