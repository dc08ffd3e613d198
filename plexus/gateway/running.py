"""The gateway as something to start and stop: in a thread of its own, or as the process's only work."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import attrs

from plexus.domain.errors import ConfigurationError, StoreError
from plexus.gateway import assembly, backup, bookkeeping, heap, logs, turns
from plexus.gateway.core import Core
from plexus.gateway.listening import listen, load_certificate, make_room, tls_context
from plexus.gateway.server import Server
from plexus.gateway.settings import Settings
from plexus.gateway.systemd import Notifier
from plexus.gateway.tending import Tending
from plexus.ports.bus import Bus
from plexus.ports.keyring import Keyring
from plexus.ports.registry import Registry
from plexus.ports.store import Store

KEYS_WATCHED_S = 1.0
"""How often the keys are looked at again for the sake of open sockets."""

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - not bound here: shown as loopback

logger = logging.getLogger("plexus.gateway")


class Gateway:
    """The self-hosted gateway over one data directory.

        with Gateway(data_dir="data") as gw:
            print(gw.url, gw.api_key)

    Arguments:
        data_dir: where everything is kept; None keeps it in memory, for as long as the gateway lives.
        host, port: where it listens; port 0 picks a free one.
        bootstrap_key: a key to let in, at least 32 characters that start with `plx_`. Without one, a key is made when
            there is none yet.
        settings: limits, retention, TLS and all else that can be set; None for the defaults.
        store, bus, keyring, registry: adapters in place of the built-in ones; the caller closes them.

    Raises ConfigurationError (a port in use, a key that cannot be one) and StoreError (a directory that another gateway
    holds, files that cannot be read) when it starts.
    """

    def __init__(
        self,
        data_dir: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        bootstrap_key: str | None = None,
        settings: Settings | None = None,
        store: Store | None = None,
        bus: Bus | None = None,
        keyring: Keyring | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.data_dir = None if data_dir is None else Path(data_dir)
        self.host = host
        self.port = port
        self.settings = settings or Settings()
        self.first_key: str | None = None
        """The key that was made because there was none; shown once, in this start only."""
        self._bootstrap_key = bootstrap_key
        self._given = {"store": store, "bus": bus, "keyring": keyring, "registry": registry}
        self._stack = ExitStack()
        self._core: Core | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._tls: ssl.SSLContext | None = None
        self._notifier = Notifier({})
        self._read_settings: Callable[[], Settings] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._reload_wanted = False

    @property
    def url(self) -> str:
        """The address for HTTP, of a running gateway."""
        return f"{'http' if self._tls is None else 'https'}://{self._authority}"

    @property
    def ws_url(self) -> str:
        """The address for WebSockets."""
        return f"{'ws' if self._tls is None else 'wss'}://{self._authority}"

    @property
    def api_key(self) -> str:
        """The bootstrap key, or the one that was just made.

        Raises ConfigurationError when there is neither: of older keys only a digest is kept.
        """
        key = self._bootstrap_key or self.first_key
        if key is None:
            raise ConfigurationError(
                "the keys of this data directory were made before and are not kept as text; "
                "pass bootstrap_key=, or make another with `plexus keys create`"
            )
        return key

    @property
    def core(self) -> Core:
        """The inside of a running gateway."""
        if self._core is None:
            raise ConfigurationError("the gateway is not running")
        return self._core

    @property
    def _authority(self) -> str:
        host = _ANY_ADDRESS.get(self.host, self.host)
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    # --- in a thread -----------------------------------------------------------------------------------------

    def start(self) -> Gateway:
        """Serve in a thread of its own; returns when the gateway answers."""
        self._open()
        self._thread = threading.Thread(target=self._run, name="plexus-gateway", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def close(self) -> None:
        """Commit and acknowledge what was received, say goodbye, close; within 5 s. Closing twice is fine."""
        if self._thread is not None and self._server is not None:
            self._server.leave()
            self._thread.join()
            self._thread = None
        self._stack.close()

    def __enter__(self) -> Gateway:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- as the process's only work ----------------------------------------------------------------------------

    def open(self) -> Gateway:
        """Open the data directory and the port without serving yet, so that `url` and `first_key` can be shown."""
        if self._server is None:
            self._open()
        return self

    def serve_forever(self, read_settings: Callable[[], Settings] | None = None) -> int | None:
        """Serve in this (the main) thread until SIGINT or SIGTERM; returns the signal that ended it.

        systemd is told how it goes. SIGHUP is `reload`, with the settings that `read_settings` gives.
        """
        self._read_settings = read_settings
        self._notifier = Notifier()
        heap.use_few_arenas()
        self._fit()
        self.open()
        received: list[int] = []

        def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the handler's shape
            received.append(number)
            assert self._server is not None
            self._server.leave()

        def reload(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the handler's shape
            self.reload()

        handlers = {signal.SIGINT: leave, signal.SIGTERM: leave}
        if sys.platform == "win32":
            handlers[signal.SIGBREAK] = leave
        else:
            handlers[signal.SIGHUP] = reload
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            with heap.own_pace(), turns.short_turns():
                self._run(heap.collect)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._stack.close()
        if self._failure is not None:
            raise self._failure
        return received[0] if received else None

    def reload(self) -> None:
        """Look at keys, certificate and log level again, soon; from any thread. Other settings need another start."""
        self._reload_wanted = True  # also by a signal that comes before the loop runs
        if self._server is not None:
            self._server.call(self._begin_reload)

    # --- inside ------------------------------------------------------------------------------------------------

    def _fit(self) -> None:
        """As many connections as this process may open files for, which it sees to first."""
        limits = self.settings.limits
        fitting = make_room(limits.connections)
        self.settings = attrs.evolve(self.settings, limits=attrs.evolve(limits, connections=fitting))

    def _open(self) -> None:
        if self._server is not None:
            raise ConfigurationError("a gateway starts once; make another one")
        try:
            # The port before the data: a gateway that cannot listen leaves no trace, not even a first key.
            self._listener = listen(self.host, self.port)
            self._stack.callback(self._listener.close)
            address, self.port = self._listener.getsockname()[:2]
            self._tls = tls_context(self.settings.tls)
            if self.data_dir is not None:
                backup.tidy(self.data_dir)
            ports = assembly.open_ports(
                self.data_dir,
                self._stack,
                settings=self.settings,
                **self._given,  # type: ignore[arg-type]
            )
            made = assembly.first_key(ports.keyring, ports.audit, self._bootstrap_key)
            self.first_key = made if self._bootstrap_key is None else None
            self._core = assembly.build_core(ports, settings=self.settings, data_dir=self.data_dir)
            app = assembly.build_app(self._core, loopback=ipaddress.ip_address(address.partition("%")[0]).is_loopback)
            self._server = Server(app, self._core.sockets, self._core.limits, self._core.meters.reject, self._tls)
        except BaseException:
            self._stack.close()
            raise

    def _run(self, *besides: Callable[[], Coroutine[Any, Any, None]]) -> None:
        assert self._server is not None
        factory = self._server.config.get_loop_factory() or asyncio.new_event_loop
        loop = factory()
        try:
            loop.run_until_complete(self._serve(self._server, besides))
        except BaseException as exc:  # noqa: BLE001 - it is raised again where the gateway was started
            self._failure = exc
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            self._started.set()

    async def _serve(self, server: Server, besides: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        core = self.core
        core.committer.start()
        tending = Tending(core.store, core.wall_ns)
        tending.start()
        loop = asyncio.get_running_loop()
        watch = loop.create_task(watch_keys(core))
        books = loop.create_task(bookkeeping.keep_books(core))
        ready = loop.create_task(self._announce(server))
        dog = loop.create_task(self._watch_dog())
        others = [loop.create_task(one()) for one in besides]
        try:
            await server.serve(sockets=[self._listener])
        finally:
            aside = [watch, books, ready, dog, *others, *([] if self._reloading is None else [self._reloading])]
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
            await core.committer.stop()
            await asyncio.to_thread(tending.stop)
            await core.channels.close()
            await bookkeeping.close(core)

    async def _announce(self, server: Server) -> None:
        await server.ready.wait()
        logger.info("gateway listens on %s", self.url)
        self._notifier.ready()
        self._started.set()
        self._begin_reload()
        await server.leaving.wait()
        self._notifier.stopping()

    async def _watch_dog(self) -> None:
        """Tell systemd, twice as often as it wants to hear it, that this loop turns."""
        while self._notifier.watchdog_s is not None:
            self._notifier.alive()
            await asyncio.sleep(self._notifier.watchdog_s / 2)

    def _begin_reload(self) -> None:
        if self._reload_wanted and (self._reloading is None or self._reloading.done()):
            self._reload_wanted = False
            self._reloading = asyncio.get_running_loop().create_task(self._read_again())

    async def _read_again(self) -> None:
        self._notifier.reloading()
        try:
            read = self._read_settings
            settings = self.settings if read is None else await asyncio.to_thread(read)
            self._take(settings)
            await expel_dead(self.core)
            logger.info("keys, certificate and log level were read again")
        except (ConfigurationError, StoreError) as exc:
            logger.error("nothing is changed: %s", exc)  # noqa: TRY400 - the message says it all
        finally:
            self._notifier.ready()
            # Asked for once more meanwhile: what was read may be old already.
            asyncio.get_running_loop().call_soon(self._begin_reload)

    def _take(self, settings: Settings) -> None:
        """On the loop, as handshakes are: none may come between the certificate and its key."""
        if self._tls is not None and settings.tls.cert is not None:
            load_certificate(self._tls, settings.tls)
        if self._read_settings is not None:
            logs.set_level(settings.log)


async def watch_keys(core: Core) -> None:
    """End open sockets whose key was revoked, by this process or another, or is over, within seconds."""
    seen = await asyncio.to_thread(core.keyring.generation)
    ends_ms = 0.0
    while True:
        await asyncio.sleep(KEYS_WATCHED_S)
        try:
            now = await asyncio.to_thread(core.keyring.generation)
            if now == seen and core.wall_ns() / 1e6 < ends_ms:
                continue
            ends_ms = await expel_dead(core)
        except StoreError as exc:
            logger.warning("keys cannot be checked: %s", exc)
            continue
        seen = now


async def expel_dead(core: Core) -> float:
    """End every socket whose key is revoked or over; returns when the next key is over, ms since 1970 UTC.

    Raises StoreError when the keys cannot be read.
    """
    keys = await asyncio.to_thread(core.keyring.list)
    now_ms = core.wall_ns() / 1e6
    core.sockets.expel(frozenset(key.key_id for key in keys if not key.lives(now_ms)))
    return min((key.expires_ms for key in keys if key.expires_ms is not None and key.lives(now_ms)), default=math.inf)
