"""The gateway as something to start and stop: in a thread of its own, or as the process's only work."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType

from plexus.domain.errors import ConfigurationError, StoreError
from plexus.gateway import assembly
from plexus.gateway.core import Core
from plexus.gateway.server import Server, listen
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
        store: Store | None = None,
        bus: Bus | None = None,
        keyring: Keyring | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.data_dir = None if data_dir is None else Path(data_dir)
        self.host = host
        self.port = port
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

    @property
    def url(self) -> str:
        """The address for HTTP, of a running gateway."""
        return f"http://{self._authority}"

    @property
    def ws_url(self) -> str:
        """The address for WebSockets."""
        return f"ws://{self._authority}"

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

    def serve_forever(self) -> int | None:
        """Serve in this (the main) thread until SIGINT or SIGTERM; returns the signal that ended it."""
        self.open()
        received: list[int] = []

        def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the handler's shape
            received.append(number)
            assert self._server is not None
            self._server.leave()

        signals = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            signals.append(signal.SIGBREAK)
        before = {number: signal.signal(number, leave) for number in signals}
        try:
            self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._stack.close()
        if self._failure is not None:
            raise self._failure
        return received[0] if received else None

    # --- inside ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._server is not None:
            raise ConfigurationError("a gateway starts once; make another one")
        try:
            # The port before the data: a gateway that cannot listen leaves no trace, not even a first key.
            self._listener = listen(self.host, self.port)
            self._stack.callback(self._listener.close)
            self.port = int(self._listener.getsockname()[1])
            ports = assembly.open_ports(self.data_dir, self._stack, **self._given)  # type: ignore[arg-type]
            made = assembly.first_key(ports.keyring, self._bootstrap_key)
            self.first_key = made if self._bootstrap_key is None else None
            self._core = assembly.build_core(ports)
            self._server = Server(assembly.build_app(self._core), self._core.sockets, self._core.limits)
        except BaseException:
            self._stack.close()
            raise

    def _run(self) -> None:
        assert self._server is not None
        factory = self._server.config.get_loop_factory() or asyncio.new_event_loop
        loop = factory()
        try:
            loop.run_until_complete(self._serve(self._server))
        except BaseException as exc:  # noqa: BLE001 - it is raised again where the gateway was started
            self._failure = exc
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            self._started.set()

    async def _serve(self, server: Server) -> None:
        core = self.core
        core.committer.start()
        loop = asyncio.get_running_loop()
        watch = loop.create_task(watch_keys(core))
        ready = loop.create_task(self._announce(server))
        try:
            await server.serve(sockets=[self._listener])
        finally:
            for task in (watch, ready):
                task.cancel()
            await asyncio.gather(watch, ready, return_exceptions=True)
            await core.committer.stop()

    async def _announce(self, server: Server) -> None:
        await server.ready.wait()
        logger.info("gateway listens on %s", self.url)
        self._started.set()


async def watch_keys(core: Core) -> None:
    """End open sockets whose key was revoked, by this process or another, within seconds."""
    seen = await asyncio.to_thread(core.keyring.generation)
    while True:
        await asyncio.sleep(KEYS_WATCHED_S)
        try:
            now = await asyncio.to_thread(core.keyring.generation)
            if now == seen:
                continue
            keys = await asyncio.to_thread(core.keyring.list)
        except StoreError as exc:
            logger.warning("keys cannot be checked: %s", exc)
            continue
        seen = now
        core.sockets.expel(frozenset(key.key_id for key in keys if key.revoked_ms is not None))
