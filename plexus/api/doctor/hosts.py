"""The addresses of the settings, taken together by host, so that each is looked at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from plexus.adapters.transport.addresses import Address, split_address
from plexus.config import Settings

NAMES: Mapping[str, str] = {
    "gateway_url": "/ingest",
    "gateway_ws_url": "/ws/device",
    "app_url": "/api/auth/verify-key",
    "api_url": "/v1/fleet/health",
}
"""The settings that are addresses, each with a path that answers without a key and changes nothing."""

_SCHEMES = {"http": "http", "https": "https", "ws": "ws", "wss": "wss"}


@attrs.frozen
class Door:
    """One address of the settings: its setting's name, and the whole address of the path that is asked."""

    name: str
    url: str


@attrs.frozen
class Host:
    """A host and port, with every address of the settings that is there."""

    address: Address
    doors: Sequence[Door]


def hosts_of(settings: Settings) -> list[Host]:
    """Every host, in the order of NAMES; raises ConfigurationError for an address that is none."""
    found: dict[Address, list[Door]] = {}
    for name, path in NAMES.items():
        url = str(getattr(settings, name)).rstrip("/").removesuffix("/ws/device")
        _, address = split_address(url, _SCHEMES)
        found.setdefault(address, []).append(Door(name, url + path))
    return [Host(address, doors) for address, doors in found.items()]
