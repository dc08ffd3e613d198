"""A gateway's address, taken apart and checked. Loads nothing that a program needs only once it connects."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

import attrs

from plexus._version import __version__
from plexus.domain.errors import ConfigurationError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
USER_AGENT = f"plexus-python/{__version__}"


@attrs.frozen
class Address:
    """Where to connect. `secure` is TLS."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        return f"{self._bracketed()}:{self.port}"

    @property
    def host_header(self) -> str:
        """The host as an HTTP request names it: without the port where it is the usual one."""
        return self._bracketed() if self.port == (443 if self.secure else 80) else str(self)

    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def split_address(url: str, schemes: dict[str, str]) -> tuple[SplitResult, Address]:
    """Take an address apart. `schemes` maps what may be written to what is meant; raises ConfigurationError."""
    allowed = ", ".join(sorted(schemes))
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, _ascii_host(parts.hostname or "")
    except ValueError as exc:
        raise ConfigurationError(f"the gateway's address {without_user(url)!r} cannot be read: {exc}") from exc
    if parts.scheme not in schemes or not host:
        raise ConfigurationError(
            f"the gateway's address {without_user(url)!r} must be {allowed}, with a host, "
            "such as wss://gateway.plexus.company"
        )
    secure = schemes[parts.scheme] in ("wss", "https")
    return parts, Address(host, port or (443 if secure else 80), secure)


def without_user(url: str) -> str:
    """The address without a name and password in front of the host."""
    return url.rpartition("@")[2]


def is_loopback(host: str) -> bool:
    """Whether this names the machine itself, by the usual names."""
    return host.lower() in LOOPBACK or host.startswith("127.")


def _ascii_host(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode()
