"""Under which name, over which way and from where a request came, when a proxy may stand in front of the gateway.

X-Forwarded-For, -Proto, -Host and -Prefix are believed of peers that are named as proxies, and of nobody else. A Host
that is none of ours is refused, so that a page whose name was bent to this machine (DNS rebinding) gets nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

import attrs

from plexus.gateway.asgi import HttpError, Scope, header
from plexus.gateway.settings import Settings

PASSED_ON = frozenset({
    b"cf-connecting-ip",
    b"client-ip",
    b"fastly-client-ip",
    b"forwarded",
    b"true-client-ip",
    b"via",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-envoy-external-address",
    b"x-original-forwarded-for",
    b"x-original-host",
    b"x-real-ip",
})  # fmt: skip
"""Headers by which proxies say that they passed a request on, beside X-Forwarded-*."""

LOOPBACK_NAMES = frozenset({"localhost", "[::1]"})

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_prefix = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")


@attrs.frozen
class Seen:
    """How a request looks from outside: put into `scope["state"]["seen"]` by the gate.

    Attributes:
        client: the address it came from, "" where it is not known.
        host: the name and port it was sent to, None when it did not say.
        prefix: what stands before our own paths outside, as /plexus.
        forwarded: a proxy says that it passed the request on, whether it is believed or not.
    """

    client: str
    host: str | None
    prefix: str
    forwarded: bool


class Front:
    """Looks at every request before anything else does; `loopback` says that only this machine can connect."""

    def __init__(self, settings: Settings, *, loopback: bool = False) -> None:
        self._trusted = [ipaddress.ip_network(text) for text in settings.proxy.trusted]
        self._base = settings.proxy.base_path
        self._hosts: Collection[str] = frozenset(settings.hosts)
        self._loopback = loopback and not settings.hosts

    @property
    def base_path(self) -> str:
        """What is set to stand before our paths."""
        return self._base

    def look(self, scope: Scope) -> Seen:
        """How the request looks from outside; the scope gets our own path, and the scheme of the outside.

        Raises HttpError 421 for a Host that is none of ours, 400 for one that is no host at all.
        """
        peer = (scope.get("client") or ("", 0))[0]
        believed = bool(self._trusted) and self._is_trusted(_address(peer))
        host, prefix, client = header(scope, b"host"), self._base, peer
        if believed:
            client = self._client(scope, peer)
            host = _first(scope, b"x-forwarded-host") or host
            prefix = _known_prefix(_first(scope, b"x-forwarded-prefix")) or prefix
            self._set_scheme(scope)
        self._check(host, believed=believed)
        self._strip(scope, prefix)
        forwarded = any(name in PASSED_ON or name.startswith(b"x-forwarded") for name, _ in scope["headers"])
        return Seen(client, host, prefix, forwarded)

    def _is_trusted(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)

    def _client(self, scope: Scope, peer: str) -> str:
        """The nearest address in X-Forwarded-For that is no proxy of ours: what stands left of it anybody can write."""
        told = [part for name, value in scope["headers"] if name == b"x-forwarded-for" for part in _parts(value)]
        client = peer
        for part in reversed(told):
            address = _address(part)
            if address is None:
                break
            client = str(address)
            if not self._is_trusted(address):
                break
        return client

    def _set_scheme(self, scope: Scope) -> None:
        proto = _first(scope, b"x-forwarded-proto")
        if proto in ("http", "https", "ws", "wss"):
            secure = proto in ("https", "wss")
            plain = "ws" if scope["type"] == "websocket" else "http"
            scope["scheme"] = plain + ("s" if secure else "")

    def _check(self, host: str | None, *, believed: bool) -> None:
        if not self._hosts and (not self._loopback or believed):
            return
        name = _host_name(host)
        if name is None:
            raise HttpError(400, "the header Host must name the gateway")
        if name in self._hosts or _is_loopback(name):
            return
        raise HttpError(
            421, f"this gateway is not known as {name[:100]!r}; if it is to be, add the name to `hosts` in its settings"
        )

    def _strip(self, scope: Scope, prefix: str) -> None:
        """A proxy may pass the prefix on or take it away; both lead to the same place."""
        path: str = scope["path"]
        if prefix and (path == prefix or path.startswith(prefix + "/")):
            scope["path"] = path[len(prefix) :] or "/"
            raw: bytes = scope.get("raw_path") or b""
            if raw.startswith(prefix.encode()):
                scope["raw_path"] = raw[len(prefix) :] or b"/"


def is_local(seen: Seen) -> bool:
    """Whether somebody on this machine asks by itself: no proxy between, and no page of another name."""
    address, name = _address(seen.client), _host_name(seen.host)
    return (
        address is not None and address.is_loopback and not seen.forwarded and name is not None and _is_loopback(name)
    )


def _parts(value: bytes) -> Sequence[str]:
    return [part.strip() for part in value.decode("latin-1").split(",") if part.strip()]


def _first(scope: Scope, name: bytes) -> str | None:
    # The last header, and the last word in it, are those of the proxy that we know; the others came to it.
    found = [part for key, value in scope["headers"] if key == name for part in _parts(value)]
    return found[-1] if found else None


def _known_prefix(text: str | None) -> str | None:
    text = (text or "").rstrip("/")
    return text if _prefix.match(text) else None


def _address(text: str) -> _Address | None:
    """An address, without the port that some proxies write behind it."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _host_name(host: str | None) -> str | None:
    """The name in a Host header, in lower case, IPv6 in brackets; None when it is none."""
    if not host or any(char in host for char in "/?#@\\ "):
        return None
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - it raises when the port is no number
    except ValueError:
        return None
    name = parts.hostname
    if name is None:
        return None
    return f"[{name}]" if ":" in name else name.removesuffix(".")


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return name in LOOPBACK_NAMES or (address is not None and address.is_loopback)
