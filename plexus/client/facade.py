"""`Plexus`: what a program on a device holds.

    with Plexus(source_id="drone-01") as px:
        px.send("battery.voltage", 12.4)

`send` appends to a deque and returns; everything else happens on one thread (`plexus.device.uplink`).
"""

from __future__ import annotations

import atexit
import math
import os
import random
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType

import attrs

from plexus.adapters.runs.http import RequestRunRegistry
from plexus.adapters.status.stderr import StderrStatus
from plexus.client.assembly import Choices, Client, check_transport, on_thread
from plexus.client.commanding import Commanding
from plexus.client.recording import Recording
from plexus.client.sending import Sending
from plexus.client.showing import Showing
from plexus.client.spooling import note_new_name
from plexus.config import load_settings, save_settings
from plexus.device.counters import SPOOL_FAULT, Stats, log
from plexus.device.retrying import RetryConfig
from plexus.device.runs import RunBook
from plexus.device.status import StatusLine
from plexus.domain.errors import ConfigurationError
from plexus.ports.buffer import Buffer
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.ports.runs import RunRegistry
from plexus.ports.status import StatusSink
from plexus.ports.transport import Transport

CLOSE_S = 2.0


class Plexus(Sending, Recording, Commanding, Showing):
    """Sends readings, events, video and runs of one source, and takes commands. Any thread may call any method.

    Args:
        api_key: `plx_…`; else PLEXUS_API_KEY, else the config file.
        endpoint: the app's address (runs, sign-in).
        source_id: this device's name; else the config file's, else one is made and kept.
        timeout: seconds for connecting and for each step of a request.
        retry_config: delays between tries over HTTP.
        max_buffer_size: points that are kept while they cannot be delivered; beyond it the oldest go and are counted.
        persistent_buffer: whether they wait on disk; None: as the config file says, else yes.
        buffer_path: a file for them, instead of one in Plexus's directory.
        transport: "ws" (with HTTP while there is no socket), "http", or a `plexus.ports.transport.Transport`.
        ws_url: the gateway's socket; its HTTP address follows from it.
        buffer, clock, codec, runs, status: other adapters of these ports.

    Raises ConfigurationError (a ValueError) for a setting that is missing or cannot be right.
    """

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        source_id: str | None = None,
        timeout: float = 10.0,
        retry_config: RetryConfig | None = None,
        max_buffer_size: int = 10_000,
        persistent_buffer: bool | None = None,
        buffer_path: str | Path | None = None,
        transport: str | Transport = "ws",
        ws_url: str | None = None,
        *,
        buffer: Buffer | None = None,
        clock: Clock | None = None,
        codec: Codec | None = None,
        runs: RunRegistry | None = None,
        status: StatusSink | None = None,
    ) -> None:
        self._settings = load_settings(
            api_key=api_key,
            endpoint=endpoint,
            source_id=source_id,
            ws_url=ws_url,
            persistent_buffer=persistent_buffer,
        )
        self._status = StatusLine(status or StderrStatus())
        self._client = client = Client(
            self._settings,
            Choices(
                transport=check_transport(transport),
                timeout_s=_seconds(timeout),
                retry=retry_config or RetryConfig(),
                max_points=max_buffer_size,
                buffer_path=None if buffer_path is None else Path(buffer_path),
                buffer=buffer,
                clock=clock,
                codec=codec,
                status=self._status,
                on_source_id=self._renamed,
            ),
        )
        self._runs = RunBook(
            runs or RequestRunRegistry(self._settings.app_url, client.api_key, timeout),
            client.clock,
            source_id=lambda: self.source_id,
            failed=self._status.run_not_announced,
            run=on_thread("plexus-runs"),
            wait=threading.Event.wait,
            random=random.random,
        )
        self._cameras = []
        self._closing = threading.RLock()
        self._closed = False
        # What `send` touches, one step away.
        self._intake = client.intake
        self._append = client.intake.readings.append
        self._tick = client.clock.tick
        self._known: set[str] = set()
        client.worker.start()
        atexit.register(self.close)
        _open_clients.add(self)

    def __repr__(self) -> str:
        return f"Plexus(source_id={self.source_id!r})"

    def __enter__(self) -> Plexus:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- delivery -------------------------------------------------------------------------------------------

    def buffer_size(self) -> int:
        """Points that are taken and not delivered yet."""
        return self._client.uplink.waiting()

    def flush_buffer(self, timeout: float | None = None) -> bool:
        """Wait until all that was taken so far is delivered, at most `timeout` seconds (None: the client's time-out).

        Whether it was; if not, it is kept and goes on being tried.
        """
        flush = self._client.uplink.flush()
        self._client.worker.wake()
        flush.done.wait(self._client.timeout_s if timeout is None else timeout)
        return flush.delivered

    def stats(self) -> Stats:
        """What became of the points, and how the link is."""
        stats = self._client.uplink.stats()
        lost = self._client.keeping.lost_points()
        if not lost:
            return stats
        dropped = {**stats.dropped, SPOOL_FAULT: stats.dropped.get(SPOOL_FAULT, 0) + lost}
        return attrs.evolve(stats, dropped=dropped)

    def close(self, timeout: float = CLOSE_S) -> None:
        """Deliver for at most `timeout` seconds, keep the rest on disk, and end. Never raises for the network.

        Happens by itself at the end of a `with` block and of the program. Points sent afterwards are counted as
        dropped.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
            atexit.unregister(self.close)
            end = time.monotonic() + timeout
            for camera in self._cameras:
                camera.set()
            self._client.uplink.close(timeout)
            self._client.worker.wake()
            # A step that is under way (a flush to a slow card) may end a little later.
            ended = self._client.worker.join(timeout + CLOSE_S)
            self._runs.close(max(0.0, end - time.monotonic()))
            for camera in self._cameras:
                camera.stop(max(0.0, end - time.monotonic()))
            if not ended:
                log.warning(
                    "close() gave up waiting for a write that hangs; %d points may not be on disk yet",
                    self._client.uplink.waiting(),
                )

    # --- inside ---------------------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        """In the child there is no uplink: points belong to the parent, and what the child sends is counted."""
        self._closed = True
        atexit.unregister(self.close)
        self._client.intake.abandon()

    def _renamed(self, former: str, source_id: str) -> None:
        note_new_name(self._settings.home, former, source_id)
        try:
            save_settings(self._settings.home, source_id=source_id)
        except ConfigurationError as exc:
            log.warning("the name %s that the gateway assigned is not kept: %s", source_id, exc)


def _seconds(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise ConfigurationError(f"timeout must be a number of seconds above 0, not {timeout!r}")
    return float(timeout)


def _after_fork() -> None:
    for client in list(_open_clients):
        client._after_fork()  # noqa: SLF001 - the class and its module are one


_open_clients: weakref.WeakSet[Plexus] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
