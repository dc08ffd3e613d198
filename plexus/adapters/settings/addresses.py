"""The four addresses that get the key: the gateway over HTTP and over WebSocket, the app, and the data API.

The rules, strongest first:
1. Arguments before the environment before the config file before the defaults.
2. Within one place an address by its own name wins over PLEXUS_URL, which names all four.
3. Whoever names a gateway names the other three with it, unless the same place names them too; and where only an app
   or a data API is named, it stands for the rest. So a key never goes to a host that nobody named.
4. Only the hosted service has its parts on different hosts: its own addresses imply nothing but its defaults.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit, urlunsplit

from plexus.adapters.settings.choices import Choice, first
from plexus.domain.errors import ConfigurationError

HOSTS: Mapping[str, str] = {
    "gateway_url": "https://gateway.plexus.company",
    "gateway_ws_url": "wss://gateway.plexus.company",
    "app_url": "https://app.plexus.company",
    "api_url": "https://api.plexus.company",
}
"""The settings that are addresses, with their defaults."""

_HOSTED = frozenset({*(urlsplit(url).hostname for url in HOSTS.values()), "plexus-gateway.fly.dev"})
"""The hosted service's hosts; the last is what 0.5.2 calls it by."""

_GATEWAY = ("gateway_url", "gateway_ws_url")
_SOCKET_PATH = "/ws/device"
_TO_SOCKET: Mapping[str, str] = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_TO_HTTP: Mapping[str, str] = {"ws": "http", "wss": "https", "http": "http", "https": "https"}

Place = Mapping[str, Choice]
"""What one place says of the addresses, by the names of HOSTS."""


def resolve(arguments: Place, environment: Place, everything: Choice, file: Place) -> dict[str, Choice]:
    """The four addresses in force; `everything` is PLEXUS_URL. Raises ConfigurationError for one that is none."""
    places = [_place(arguments), _place(environment, everything), _place(file)]
    chosen = {name: first(place[name] for place in places if name in place) for name in HOSTS}
    named = [choice for choice in chosen.values() if choice[0] is not None and not _is_hosted(choice[0])]
    for name, (value, _origin) in chosen.items():
        if value is None:
            chosen[name] = _derived(named[0], name) if named else (HOSTS[name], "the default")
    return chosen


def shows_the_key(url: str) -> bool:
    """Whether a key sent to this address could be read on the way to another machine."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "ws") and not _is_loopback(parts.hostname or "")


def _place(own: Place, everything: Choice = (None, "")) -> dict[str, Choice]:
    said = {name: first([choice]) for name, choice in own.items()}
    given = {name: _checked(choice, name) for name, choice in said.items() if choice[0] is not None}
    whole = first([everything])
    if whole[0] is not None:
        implied, names = _checked(whole, "gateway_url"), tuple(HOSTS)
    elif gateway := given.get("gateway_url") or given.get("gateway_ws_url"):
        implied, names = gateway, _GATEWAY if _is_hosted(gateway[0]) else tuple(HOSTS)
    else:
        return given
    return {**{name: _derived(implied, name) for name in names}, **given}


def _derived(choice: Choice, name: str) -> Choice:
    """The address of `name` on the host that `choice` names."""
    url, origin = choice
    parts = urlsplit(url)
    path = parts.path.removesuffix(_SOCKET_PATH)
    return urlunsplit((_schemes(name)[parts.scheme], parts.netloc, path, "", "")), origin


def _checked(choice: Choice, name: str) -> Choice:
    """The address as it is used: no trailing slash, ws for the socket and http for the rest."""
    url, origin = choice
    parts = _split(url, name, origin)
    if parts.scheme not in _schemes(name) or not parts.hostname:
        raise ConfigurationError(f"{name} {url!r} (from {origin}) must be an address such as {HOSTS[name]}")
    path = parts.path.rstrip("/")
    if name != "gateway_ws_url":
        path = path.removesuffix(_SOCKET_PATH)
    return urlunsplit((_schemes(name)[parts.scheme], parts.netloc, path, parts.query, "")), origin


def _split(url: object, name: str, origin: str) -> SplitResult:
    if not isinstance(url, str):
        raise ConfigurationError(f"{name} from {origin} must be text, not {type(url).__name__}")
    if "@" in url:
        # Said without the address: what stands before the @ may be a password.
        raise ConfigurationError(
            f"{name} from {origin} holds a user name or password; take it out: the API key says who you are"
        )
    try:
        parts = urlsplit(url)
        # Read for its check alone: a port that is no number shows only here.
        _port = parts.port
    except ValueError as exc:
        raise ConfigurationError(f"{name} {url!r} (from {origin}) cannot be read: {exc}") from exc
    return parts


def _schemes(name: str) -> Mapping[str, str]:
    return _TO_SOCKET if name == "gateway_ws_url" else _TO_HTTP


def _is_hosted(url: str) -> bool:
    return urlsplit(url).hostname in _HOSTED


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name is not looked up: who answers for it may change between now and the request.
        return False
