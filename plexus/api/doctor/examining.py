"""All examinations in the order in which a person would go through them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from plexus.api.doctor import access, disk, software, verdicts
from plexus.api.doctor.findings import Finding, failed, ok
from plexus.api.doctor.hosts import NAMES, Host, hosts_of
from plexus.api.doctor.network import Network
from plexus.config import Settings, load_settings
from plexus.domain.errors import ConfigurationError, PlexusError

TIMEOUT_S = 5.0


def examine(
    *,
    timeout: float = TIMEOUT_S,
    environ: Mapping[str, str] | None = None,
    wall_s: Callable[[], float] = time.time,
    free_bytes: disk.Free = disk.free_bytes,
) -> Iterator[Finding]:
    """Look at everything, and give each finding as soon as there is one. Raises nothing of ours.

    `timeout`: seconds for each step over the network. `environ` takes the place of the environment for settings;
    `wall_s` (seconds since 1970 UTC) and `free_bytes` are for tests.
    """
    settings, hosts, fault = _settings(environ)
    if fault is not None:
        yield fault
    if settings is not None:
        yield from _of_settings(settings, hosts, Network(timeout, wall_s), timeout, free_bytes)
    yield from software.findings()


def _settings(environ: Mapping[str, str] | None) -> tuple[Settings | None, list[Host], Finding | None]:
    try:
        settings = load_settings(environ=environ)
        return settings, hosts_of(settings), None
    except ConfigurationError as exc:
        return None, [], failed("settings", "", exc)


def _of_settings(
    settings: Settings, hosts: list[Host], network: Network, timeout: float, free: disk.Free
) -> Iterator[Finding]:
    for name in NAMES:
        yield ok("settings", name, f"{getattr(settings, name)}, from {settings.origins.get(name, 'the program')}")
    yield access.key_here(settings)
    if any(host.address.secure for host in hosts):
        yield network.trust()
    for host in hosts:
        yield from network.findings(host)
    if settings.api_key is not None:
        yield from access.accepted(settings, network.reached, timeout)
    if network.heard:
        yield verdicts.clock(network.heard)
    try:
        yield from disk.findings(settings, free)
    except (OSError, PlexusError) as exc:
        yield failed("spool", str(settings.home), exc)
