"""`Plexus`: what a program on a device holds.

    with Plexus(source_id="drone-01") as px:
        px.send("battery.voltage", 12.4)

`send` appends to a deque and returns; everything else happens on one thread (`plexus.device.uplink`).
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import attrs

from plexus.adapters.runs.http import RequestRunRegistry
from plexus.adapters.status.stderr import StderrStatus
from plexus.client.assembly import Choices, Client, check_transport, on_thread
from plexus.client.commanding import Commanding
from plexus.client.ending import CLOSE_S, GRACE_S, Ending, forget, watch
from plexus.client.recording import Recording
from plexus.client.sending import Sending
from plexus.client.showing import Showing
from plexus.client.spooling import note_new_name
from plexus.config import load_settings, save_settings
from plexus.device.counters import SPOOL_DAMAGED, Durability, Stats, log
from plexus.device.patience import patiently
from plexus.device.retrying import RetryConfig
from plexus.device.runs import RunBook
from plexus.device.status import StatusLine
from plexus.domain.errors import ConfigurationError, PlexusError
from plexus.ports.buffer import Buffer
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.ports.runs import RunRegistry
from plexus.ports.status import StatusSink
from plexus.ports.transport import Transport

SETTLE_S = 30.0
"""How long the end of a run that is to be judged waits for the points that it is judged by."""


class Plexus(Sending, Recording, Commanding, Showing):
    """Sends readings, events, video and runs of one source, and takes commands. Any thread may call any method.

    Args:
        api_key: `plx_…`; else PLEXUS_API_KEY, else the config file.
        endpoint: the app's address (runs, sign-in).
        source_id: this device's name; else the config file's, else one is made and kept.
        timeout: seconds for connecting and for each step of a request.
        retry_config: delays between tries over HTTP.
        max_buffer_size: points that are kept while they cannot be delivered; beyond it the oldest go and are counted.
        persistent_buffer: whether they wait on disk; None: as the config file says, else yes. False is
            `durability="memory"` in the words of 0.5.2.
        buffer_path: a file for them, instead of one in Plexus's directory.
        transport: "ws" (with HTTP while there is no socket), "http", or a `plexus.ports.transport.Transport`.
        ws_url: the gateway's socket; its HTTP address follows from it.
        durability: "spool" (what is not acknowledged 250 ms after its `send` is put on disk), "strict" (nothing is sent
            before it is on disk), "memory" (nothing is ever put there: what waits ends with the process). None: as
            `persistent_buffer` says.
        on_error: called with a PlexusError for every refusal, loss and failing disk, once an episode, on the uplink's
            thread: it should return soon, and what it raises is logged.
        buffer, clock, codec, runs, status: other adapters of these ports.

    The end of the process closes it: see `plexus.client.ending` for which ends those are. A forked child has a stream,
    a spool and a link of its own from its first `send` on, and none before; it never sends what its parent took. With
    an adapter of the program's own for `transport` or `buffer`, which two processes cannot share, what a child sends
    is counted as dropped.

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
        durability: Durability | None = None,
        on_error: Callable[[PlexusError], None] | None = None,
        buffer: Buffer | None = None,
        clock: Clock | None = None,
        codec: Codec | None = None,
        runs: RunRegistry | None = None,
        status: StatusSink | None = None,
    ) -> None:
        _check_durability(durability, persistent_buffer, buffer_path, buffer)
        self._settings = load_settings(
            api_key=api_key,
            endpoint=endpoint,
            source_id=source_id,
            ws_url=ws_url,
            persistent_buffer=persistent_buffer if durability is None else durability != "memory",
        )
        self._sink = status
        self._status = self._new_status()
        self._ending = Ending(self._begin_close, self._finish_close)
        self._parts = Client(
            self._settings,
            Choices(
                transport=check_transport(transport),
                timeout_s=_seconds(timeout),
                retry=retry_config or RetryConfig(),
                max_points=max_buffer_size,
                strict=durability == "strict",
                buffer_path=None if buffer_path is None else Path(buffer_path),
                buffer=buffer,
                clock=clock,
                codec=codec,
                status=self._status,
                on_source_id=self._renamed,
                on_error=_callable(on_error),
                on_open=lambda: watch(self._ending),
            ),
        )
        self._own_runs = runs is None
        self._runs = RunBook(
            runs or self._new_registry(),
            self._parts.clock,
            source_id=lambda: self.source_id,
            failed=lambda run_id, detail: self._status.run_not_announced(run_id, detail),
            run=on_thread("plexus-runs"),
            wait=threading.Event.wait,
            random=random.random,
            settle=lambda: self.flush(SETTLE_S),
        )
        self._cameras = []
        self._closed = False
        self._known: set[str] = set()
        self._use(self._parts)
        self._parts.open()
        _clients.add(self)

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

    def flush(self, timeout: float | None = None, durable: bool = False) -> bool:
        """Wait until all that was taken so far is delivered; with `durable` until it is delivered or on disk.

        `timeout`: at most so many seconds; None: for as long as it takes, which without a gateway is until `close`.
        Whether it was; if not, it is kept and goes on being tried. A gateway that refuses the key, or one more source,
        ends the waiting for delivery at once. In memory mode nothing is ever on disk, and
        `durable` makes no difference.
        """
        flush = self._client.uplink.flush(durable=durable)
        self._client.worker.wake()
        patiently(flush.done.wait, flush.done.is_set, timeout)
        return flush.delivered

    def flush_buffer(self, timeout: float | None = None) -> bool:
        """`flush` by its name in 0.5.2; None is the client's time-out."""
        return self.flush(self._parts.timeout_s if timeout is None else timeout)

    def stats(self) -> Stats:
        """What became of the points, and how the link is."""
        stats = self._client.uplink.stats()
        lost = self._client.keeping.lost_points()
        if not lost:
            return stats
        dropped = {**stats.dropped, SPOOL_DAMAGED: stats.dropped.get(SPOOL_DAMAGED, 0) + lost}
        return attrs.evolve(stats, dropped=dropped)

    def close(self, timeout: float = CLOSE_S) -> None:
        """Deliver for at most `timeout` seconds, keep the rest on disk, and end. Never raises for the network.

        Returns within `timeout`, whatever the network does, and the time of one flush of the disk. Happens by itself at
        the end of a `with` block and of the program. Points sent afterwards are counted as dropped. Closing twice is
        fine: the second one waits for what is left of the first.
        """
        self._begin_close(timeout)
        self._finish_close(time.monotonic() + timeout)

    # --- inside ---------------------------------------------------------------------------------------------

    def _begin_close(self, timeout: float) -> None:
        self._closed = True
        for camera in self._cameras:
            camera.set()
        self._parts.begin_end(timeout)

    def _finish_close(self, end: float) -> None:
        left = max(0.0, end - time.monotonic())
        # A step that is under way (a flush to a slow card) may end a little later.
        if not self._parts.has_ended(left + GRACE_S):
            log.warning(
                "close() gave up waiting for a write that hangs; %d points may not be on disk yet", self.buffer_size()
            )
        self._runs.close(max(0.0, end - time.monotonic()))
        for camera in self._cameras:
            camera.stop(max(0.0, end - time.monotonic()))
        forget(self._ending)

    def _use(self, parts: Client) -> None:
        self._parts = parts
        # What `send` touches, one step away.
        self._intake = parts.intake
        self._append = parts.intake.readings.append
        self._tick = parts.clock.tick

    def _new_status(self) -> StatusLine:
        return StatusLine(self._sink or StderrStatus())

    def _new_registry(self) -> RunRegistry:
        settings, client = self._settings, self._parts
        return RequestRunRegistry(settings.app_url, client.api_key, client.timeout_s)

    def _after_fork(self) -> None:
        """In the child, which has one thread: whatever another thread of the parent may have been busy with is new."""
        self._cameras = []
        self._runs.disown(self._new_registry() if self._own_runs else None)
        self._status = self._new_status()
        if not self._closed:
            self._use(self._parts.inherited(self._status))

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


def _callable(on_error: Callable[[PlexusError], None] | None) -> Callable[[PlexusError], None]:
    if on_error is None:
        return _unheard
    if not callable(on_error):
        raise ConfigurationError(f"on_error must be a function of one error, not {type(on_error).__name__}")
    return on_error


def _unheard(_error: PlexusError) -> None:
    """Errors are in the log, in `stats()` and raised by `send` too."""


def _check_durability(
    durability: object, persistent_buffer: bool | None, buffer_path: str | Path | None, buffer: Buffer | None
) -> None:
    """Raise ConfigurationError where what is asked for cannot be, or contradicts itself."""
    if durability is None:
        return
    if durability not in ("spool", "strict", "memory"):
        raise ConfigurationError(f"durability {durability!r} is not valid: use 'spool', 'strict' or 'memory'")
    in_memory = durability == "memory"
    if persistent_buffer is not None and persistent_buffer is in_memory:
        raise ConfigurationError(
            f"durability={durability!r} and persistent_buffer={persistent_buffer} contradict each other: leave "
            "persistent_buffer out, it is the same choice in the words of 0.5.2"
        )
    if in_memory and buffer_path is not None:
        raise ConfigurationError("durability='memory' puts nothing on disk: leave buffer_path out, or use 'spool'")
    if buffer is not None and buffer.durable is in_memory:
        raise ConfigurationError(
            f"durability={durability!r} does not fit the buffer that was passed, which is "
            f"{'durable' if buffer.durable else 'in memory'}: leave one of them out"
        )


def _after_fork() -> None:
    for client in list(_clients):
        client._after_fork()  # noqa: SLF001 - the class and its module are one


_clients: weakref.WeakSet[Plexus] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
