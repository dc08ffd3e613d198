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
from plexus.adapters.audit.sqlite import SqliteAudit
from plexus.adapters.bus.memory import MemoryBus
from plexus.adapters.commandbook.memory import MemoryCommandbook
from plexus.adapters.commandbook.sqlite import SqliteCommandbook
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.registry.sqlite import SqliteRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.adapters.tallies.memory import MemoryTallies
from plexus.adapters.tallies.sqlite import SqliteTallies
from plexus.gateway import bookkeeping, devices, ingest, moving, remotewrite
from plexus.gateway.asgi import ASGIApp
from plexus.gateway.commands import Devices
from plexus.gateway.committer import Committer
from plexus.gateway.core import Core, Presence
from plexus.gateway.fronting import Front
from plexus.gateway.gate import Gate
from plexus.gateway.intake import Intake
from plexus.gateway.keys import KeyDesk
from plexus.gateway.metadata import Metadata
from plexus.gateway.meters import Meters
from plexus.gateway.rest import build_rest
from plexus.gateway.settings import Settings
from plexus.gateway.streams import StreamHandler
from plexus.gateway.streams.channels import Channels
from plexus.gateway.video import VideoRelay
from plexus.gateway.wellknown import (
    AUDIT_FILE,
    COMMANDS_FILE,
    DEFAULT_ORG,
    KEYS_FILE,
    REGISTRY_FILE,
    TALLIES_FILE,
)
from plexus.ports.audit import LOCAL, Audit
from plexus.ports.bus import Bus
from plexus.ports.commandbook import Commandbook
from plexus.ports.keyring import SCOPES, Keyring
from plexus.ports.registry import Registry
from plexus.ports.store import Store
from plexus.ports.tallies import Tallies


@attrs.frozen
class Ports:
    """The adapters that a gateway runs on."""

    store: Store
    bus: Bus
    keyring: Keyring
    registry: Registry
    audit: Audit = attrs.field(factory=MemoryAudit)
    commandbook: Commandbook = attrs.field(factory=MemoryCommandbook)
    tallies: Tallies = attrs.field(factory=MemoryTallies)


def open_ports(
    data_dir: Path | None,
    stack: ExitStack,
    *,
    store: Store | None = None,
    bus: Bus | None = None,
    keyring: Keyring | None = None,
    registry: Registry | None = None,
    settings: Settings | None = None,
) -> Ports:
    """The given adapters, and for the others those over `data_dir` (in memory when it is None).

    What is opened here is closed by `stack`, what is given belongs to the caller. The store comes first: it finds out
    whether another gateway holds the directory. Raises StoreError.
    """
    if store is None:
        store = open_store(data_dir, settings)
        stack.callback(store.close)
    if keyring is None:
        keyring = MemoryKeyring() if data_dir is None else SqliteKeyring(data_dir / KEYS_FILE)
        stack.callback(keyring.close)
    if registry is None:
        registry = MemoryRegistry() if data_dir is None else SqliteRegistry(data_dir / REGISTRY_FILE)
        stack.callback(registry.close)
    audit = MemoryAudit() if data_dir is None else SqliteAudit(data_dir / AUDIT_FILE)
    stack.callback(audit.close)
    commandbook = MemoryCommandbook() if data_dir is None else SqliteCommandbook(data_dir / COMMANDS_FILE)
    stack.callback(commandbook.close)
    tallies = MemoryTallies() if data_dir is None else SqliteTallies(data_dir / TALLIES_FILE)
    stack.callback(tallies.close)
    bus = MemoryBus() if bus is None else bus
    return Ports(store, bus, keyring, registry, audit, commandbook=commandbook, tallies=tallies)


def open_store(data_dir: Path | None, settings: Settings | None = None) -> Store:
    """The embedded store over `data_dir`, which seals and keeps as `settings` say, or one in memory."""
    if data_dir is None:
        return MemoryStore()
    # Here, because a gateway over another store needs no DuckDB.
    from plexus.adapters.store.embedded import EmbeddedStore
    from plexus.adapters.store.embedded.inside import Upkeep

    wanted = settings or Settings()
    upkeep = Upkeep(
        stretch_points=wanted.sealing.points,
        # What waits in the queue is in no stretch: it must be little beside one.
        absorb_points=min(Upkeep().absorb_points, max(1, wanted.sealing.points // 20)),
        seal_after_ns=round(wanted.sealing.after_s * 1e9),
        retention_days=wanted.retention.days,
        retention_bytes=wanted.retention.bytes,
    )
    return EmbeddedStore(data_dir, upkeep=upkeep)


def first_key(keyring: Keyring, audit: Audit, bootstrap_key: str | None) -> str | None:
    """See to it that somebody can come in: the text of the key that was made or handed over, None when there is one.

    Raises ConfigurationError for a bootstrap key that cannot be one or was revoked.
    """
    desk = KeyDesk(keyring, audit)
    if bootstrap_key is not None:
        desk.hand_over(LOCAL, DEFAULT_ORG, "bootstrap", SCOPES, bootstrap_key)
        return bootstrap_key
    if keyring.list():
        return None
    text, _ = desk.create(LOCAL, DEFAULT_ORG, "first key", SCOPES)
    return text


def build_core(
    ports: Ports,
    *,
    settings: Settings | None = None,
    data_dir: Path | None = None,
    wall_ns: Callable[[], int] = time.time_ns,
    monotonic: Callable[[], float] = time.monotonic,
) -> Core:
    """The state that all handlers share, on these clocks: nanoseconds since 1970 UTC, and seconds."""
    settings = settings or Settings()
    meters = Meters()
    moving.finish(moving.Keepers(ports.registry, ports.store, ports.keyring, ports.commandbook, ports.tallies))
    metadata = Metadata(ports.registry)
    core = Core(
        store=ports.store,
        bus=ports.bus,
        keyring=ports.keyring,
        registry=ports.registry,
        audit=ports.audit,
        tallies=ports.tallies,
        metadata=metadata,
        settings=settings,
        data_dir=data_dir,
        keepers=(ports.store, ports.registry, ports.keyring, ports.audit, ports.commandbook, ports.tallies),
        limits=settings.limits,
        presence=Presence(wall_ns, settings.online_s),
        devices=Devices(ports.commandbook, ports.audit, wall_ns=wall_ns, monotonic=monotonic),
        committer=Committer(ports.store, ports.bus, monotonic, meters=meters),
        channels=Channels(
            ports.store,
            ports.bus,
            keep_bytes=settings.limits.stream_keep_bytes,
            keep_s=settings.limits.stream_keep_s,
            alert=metadata.alert,
            meters=meters,
        ),
        video=VideoRelay(meters, monotonic, settings.limits.video_frame_bytes),
        intake=Intake(ports.store, ports.registry, settings.limits, meters, monotonic),
        meters=meters,
        wall_ns=wall_ns,
        monotonic=monotonic,
    )
    bookkeeping.restore(core)
    return core


def bare_posts(core: Core) -> dict[str, ASGIApp]:
    """What takes points over HTTP, by path: POST only, for keys with `write`.

    Bare ASGI and no part of the REST framework, so they are not in its OpenAPI document: their bodies are read by our
    own decoders. docs/reference/http.md describes them.
    """
    posts: dict[str, ASGIApp] = dict.fromkeys(ingest.PATHS, ingest.IngestHandler(core))
    posts[remotewrite.PATH] = remotewrite.RemoteWriteHandler(core)
    return posts


def build_app(core: Core, *, loopback: bool = False) -> ASGIApp:
    """Every route of the gateway behind its gate; `loopback` says that only this machine can connect."""
    streams = StreamHandler(core)
    device = devices.DeviceHandler(core)

    def socket(path: str) -> ASGIApp | None:
        return device if path == devices.PATH else streams.route(path)

    return Gate(core, bare_posts(core), socket, build_rest(core), Front(core.settings, loopback=loopback))
