"""What can be set about a gateway, as values. Where they come from is `configuration`'s business.

Every field is a key of the configuration file: those of `Settings` at its top, those of the others in their section.
A new field needs no more than a type, a default and its line in a docstring.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from plexus.gateway.core import ONLINE_S, Limits

_base_path = re.compile(r"(/[A-Za-z0-9._~-]+)*\Z")
_host = re.compile(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]\Z")


def _origins(_instance: Any, _attribute: Any, value: tuple[str, ...]) -> None:
    for origin in value:
        parts = urlsplit(origin)
        if (
            parts.scheme not in ("http", "https")
            or f"{parts.scheme}://{parts.netloc.lower()}" != origin
            or not parts.netloc
        ):
            raise ValueError(f"{origin!r} is not an origin: write https://HOST or https://HOST:PORT, in lower case")


def _networks(_instance: Any, _attribute: Any, value: tuple[str, ...]) -> None:
    for network in value:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(f"{network!r} is no address or network: write 127.0.0.1, ::1 or 10.0.0.0/8") from None


def _path(_instance: Any, _attribute: Any, value: str) -> None:
    if not _base_path.match(value):
        raise ValueError(f"{value!r} is not a base path: write /plexus, without a slash at its end")


def _names(_instance: Any, _attribute: Any, value: tuple[str, ...]) -> None:
    for name in value:
        if not _host.fullmatch(name):
            raise ValueError(f"{name!r} is not a host name: write plexus.example.org, in lower case and without a port")


def _above_zero(_instance: Any, _attribute: Any, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError("write a number above 0")


@attrs.frozen
class Retention:
    """How long points and the audit trail are kept.

    Attributes:
        days: whole days (UTC) that are kept beside today, by the points' times; what is older goes; None keeps all.
        bytes: when the history's files are larger than this, the oldest go; None lets them grow.
        audit_days: days that an entry of the audit trail is kept; 0 keeps all.
    """

    days: int | None = attrs.field(default=None, validator=_above_zero)
    bytes: int | None = attrs.field(default=None, validator=_above_zero)
    audit_days: int = attrs.field(default=400, validator=attrs.validators.ge(0))


@attrs.frozen
class Sealing:
    """When points go from the journal into files of the history.

    Attributes:
        points: as soon as there are so many that are in no file.
        after_s: when they have waited for so long, though there are fewer, seconds.
    """

    points: int = attrs.field(default=1_000_000, validator=_above_zero)
    after_s: float = attrs.field(default=600.0, validator=_above_zero)


@attrs.frozen
class Cors:
    """Pages of other origins.

    Attributes:
        origins: those whose scripts may ask and connect, exactly as browsers write them; nobody by default.
    """

    origins: tuple[str, ...] = attrs.field(default=(), validator=_origins)


@attrs.frozen
class Proxy:
    """What stands in front.

    Attributes:
        trusted: addresses and networks whose X-Forwarded-For, -Proto, -Host and -Prefix are believed.
        base_path: the path under which the gateway is reached, as /plexus; empty for the root.
    """

    trusted: tuple[str, ...] = attrs.field(default=(), validator=_networks)
    base_path: str = attrs.field(default="", validator=_path)


@attrs.frozen
class Tls:
    """The certificate to serve with; both or neither.

    Attributes:
        cert: PEM file with the certificate and those between it and its authority.
        key: PEM file with its private key.
    """

    cert: Path | None = None
    key: Path | None = None

    def __attrs_post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("tls.cert and tls.key go together: set both or neither")


@attrs.frozen
class Log:
    """What is written to stderr.

    Attributes:
        format: text for a person, json for a machine.
        level: the least that is written.
    """

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


@attrs.frozen
class Settings:
    """All that can be set about a gateway beside where it listens and where it keeps its data.

    Attributes:
        hosts: names under which it may be asked for (the header Host). Empty: those of this machine itself where it
            listens on loopback only, else any.
        online_s: a source is online this many seconds after its last data.
    """

    hosts: tuple[str, ...] = attrs.field(default=(), validator=_names)
    online_s: float = attrs.field(default=ONLINE_S, validator=_above_zero)
    limits: Limits = attrs.field(factory=Limits)
    retention: Retention = attrs.field(factory=Retention)
    sealing: Sealing = attrs.field(factory=Sealing)
    cors: Cors = attrs.field(factory=Cors)
    proxy: Proxy = attrs.field(factory=Proxy)
    tls: Tls = attrs.field(factory=Tls)
    log: Log = attrs.field(factory=Log)
