"""The gateway's composition root: a data directory becomes adapters, adapters become a Core, a Core becomes an app.

DATA/journal.db …   the embedded store      DATA/keys.db   the keyring      DATA/registry.db   names and runs
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import attrs

from plexus.adapters.audit.memory import MemoryAudit
from plexus.adapters.bus.memory import MemoryBus
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.registry.sqlite import SqliteRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.gateway import devices, ingest
from plexus.gateway.asgi import ASGIApp
from plexus.gateway.commands import Devices
from plexus.gateway.committer import Committer
from plexus.gateway.core import Core, Presence
from plexus.gateway.gate import Gate
from plexus.gateway.rest import build_rest
from plexus.gateway.streams import StreamHandler
from plexus.ports.audit import Audit
from plexus.ports.bus import Bus
from plexus.ports.keyring import SCOPES, Keyring
from plexus.ports.registry import Registry
from plexus.ports.store import Store

DEFAULT_ORG = "default"
"""The organisation of keys that name none."""

KEYS_FILE = "keys.db"
REGISTRY_FILE = "registry.db"


@attrs.frozen
class Ports:
    """The adapters that a gateway runs on."""

    store: Store
    bus: Bus
    keyring: Keyring
    registry: Registry
    audit: Audit = attrs.field(factory=MemoryAudit)


def open_ports(
    data_dir: Path | None,
    stack: ExitStack,
    *,
    store: Store | None = None,
    bus: Bus | None = None,
    keyring: Keyring | None = None,
    registry: Registry | None = None,
) -> Ports:
    """The given adapters, and for the others those over `data_dir` (in memory when it is None).

    What is opened here is closed by `stack`, what is given belongs to the caller. The store comes first: it finds out
    whether another gateway holds the directory. Raises StoreError.
    """
    if store is None:
        store = open_store(data_dir)
        stack.callback(store.close)
    if keyring is None:
        keyring = MemoryKeyring() if data_dir is None else SqliteKeyring(data_dir / KEYS_FILE)
        stack.callback(keyring.close)
    if registry is None:
        registry = MemoryRegistry() if data_dir is None else SqliteRegistry(data_dir / REGISTRY_FILE)
        stack.callback(registry.close)
    return Ports(store, MemoryBus() if bus is None else bus, keyring, registry)


def open_store(data_dir: Path | None) -> Store:
    """The embedded store over `data_dir`, or one in memory."""
    if data_dir is None:
        return MemoryStore()
    # Here, because a gateway over another store needs no DuckDB.
    from plexus.adapters.store.embedded import EmbeddedStore

    return EmbeddedStore(data_dir)


def first_key(keyring: Keyring, bootstrap_key: str | None) -> str | None:
    """See to it that somebody can come in: the text of the key that was made or handed over, None when there is one.

    Raises ConfigurationError for a bootstrap key that cannot be one or was revoked.
    """
    if bootstrap_key is not None:
        text, _ = keyring.create(DEFAULT_ORG, "bootstrap", SCOPES, secret=bootstrap_key)
        return text
    if keyring.list():
        return None
    text, _ = keyring.create(DEFAULT_ORG, "first key", SCOPES)
    return text


def build_core(
    ports: Ports,
    *,
    wall_ns: Callable[[], int] = time.time_ns,
    monotonic: Callable[[], float] = time.monotonic,
) -> Core:
    """The state that all handlers share, on these clocks: nanoseconds since 1970 UTC, and seconds."""
    return Core(
        store=ports.store,
        bus=ports.bus,
        keyring=ports.keyring,
        registry=ports.registry,
        audit=ports.audit,
        presence=Presence(wall_ns),
        devices=Devices(monotonic),
        committer=Committer(ports.store, ports.bus, monotonic),
        wall_ns=wall_ns,
        monotonic=monotonic,
    )


def build_app(core: Core) -> ASGIApp:
    """Every route of the gateway behind its gate."""
    streams = StreamHandler(core)
    device = devices.DeviceHandler(core)
    take = ingest.IngestHandler(core)

    def socket(path: str) -> ASGIApp | None:
        return device if path == devices.PATH else streams.route(path)

    return Gate(core, dict.fromkeys(ingest.PATHS, take), socket, build_rest(core))
