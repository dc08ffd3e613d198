"""The blocking shell's inside: one thread a source carries out the steps of its core and fills the shelf."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from plexus.api.livesocket import LiveSocket
from plexus.api.streams import steps
from plexus.api.streams.plans import Plan
from plexus.api.streams.shelf import Entry
from plexus.api.streams.steps import Step, Steps
from plexus.api.streams.watcher import watch
from plexus.domain.errors import PlexusError, TransportError
from plexus.domain.live import StreamNotice

if TYPE_CHECKING:
    from plexus.api.link import Link

T = TypeVar("T")

Pause = Callable[[threading.Event, float], object]
"""Waits so many seconds, or less when the event is set."""

JOIN_S = 5.0
"""How long `close` waits for the threads; one that waits for an answer to a question ends by itself after it."""

WATCHER = ""
"""The name of the thread that looks which sources there are; no source is called so."""


class Hub(Generic[T]):
    """What the threads of one stream share, under one lock: the shelf, who works, and what went wrong."""

    def __init__(self, link: Link, plan: Plan[T], pause: Pause) -> None:
        self.closed = threading.Event()
        self.reconnects = 0
        self.link = link
        self.pause = pause
        self._plan = plan
        self._shelf = plan.shelf()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._begun = False
        self._failure: Exception | None = None
        self._workers: dict[str, Worker[T]] = {}
        self._connecting: set[str] = set()

    @property
    def missed(self) -> int:
        """How many items were dropped."""
        with self._lock:
            return self._shelf.missed

    def newest(self, source_id: str) -> dict[str, T]:
        """The newest item of each name of a source."""
        with self._lock:
            return self._shelf.newest(source_id)

    # --- the consumer's side ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start to follow, once, and wait until each source is connected; raises what keeps one from it."""
        with self._lock:
            if self._begun or self.closed.is_set():
                return
            self._begun = True
            if self._plan.source_ids is None:
                self._start(WATCHER, watch(self._plan.since_ms, self._plan.clocks.wall_ms))
            for source_id in self._plan.source_ids or ():
                self.follow(source_id, self._plan.since_ms)
            self._changed.wait_for(lambda: not self._connecting or self._failure or self.closed.is_set())
            if self._connecting and self._failure is not None:
                self._end()

    def take(self, timeout: float | None) -> Entry[T] | None:
        """The next entry; None when none came in time, or none will come. Raises what ended the stream, once."""
        with self._lock:
            if self._shelf.empty and not self._changed.wait_for(self._something, timeout):
                return None
            if self.closed.is_set():
                return None
            if self._shelf.empty:
                self._end()
                return None
            return self.ready()

    def ready(self) -> Entry[T] | None:
        """The next entry if there is one; nothing is waited for."""
        with self._lock:
            if self.closed.is_set() or self._shelf.empty:
                return None
            entry = self._shelf.take()
            if self._shelf.half_empty:
                self._room.notify_all()
            return entry

    def close(self) -> None:
        """End all threads. Never raises."""
        self.closed.set()
        with self._lock:
            workers = list(self._workers.values())
            self._changed.notify_all()
            self._room.notify_all()
        for worker in workers:
            worker.leave()
        end = time.monotonic() + JOIN_S
        for worker in workers:
            worker.join(max(end - time.monotonic(), 0.0))

    def _something(self) -> bool:
        return not self._shelf.empty or self.closed.is_set() or self._failure is not None or not self._workers

    def _end(self) -> None:
        """All that came is taken and nothing follows: say why, once."""
        self.closed.set()
        self._room.notify_all()
        for worker in self._workers.values():
            worker.leave()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    # --- the workers' side ------------------------------------------------------------------------------------

    def follow(self, source_id: str, since_ms: float | None) -> None:
        """Begin to follow a source."""
        self._start(source_id, self._plan.steps(source_id, since_ms))

    def leave(self, source_id: str) -> None:
        """Follow a source no longer."""
        with self._lock:
            worker = self._workers.get(source_id)
        if worker is not None:
            worker.leave()

    def settled(self, name: str, *, again: bool = False) -> None:
        """A worker is connected, or has looked for the first time."""
        with self._lock:
            self._connecting.discard(name)
            self.reconnects += again
            self._changed.notify_all()

    def ended(self, name: str, failure: Exception | None) -> None:
        """A worker has nothing more to do."""
        with self._lock:
            self._workers.pop(name, None)
            self._failure = self._failure or failure
            if failure is None:
                self._connecting.discard(name)
            self._changed.notify_all()

    def offer(self, items: Any, keep: bool) -> None:
        """Put items on the shelf, waiting for room where that is the policy."""
        with self._lock:
            while items and not self.closed.is_set():
                items = self._shelf.offer(items, keep=keep)
                self._changed.notify_all()
                if items:
                    self._room.wait_for(lambda: self._shelf.half_empty or self.closed.is_set())

    def say(self, word: Any) -> None:
        """Put a word on the shelf."""
        with self._lock:
            self._shelf.say(word)
            self._changed.notify_all()

    def _start(self, name: str, core: Steps[None]) -> None:
        with self._lock:
            worker = Worker(self, name, core)
            self._workers[name] = worker
            self._connecting.add(name)
            worker.start()


class Worker(Generic[T]):
    """Carries out one core's steps on a thread of its own."""

    def __init__(self, hub: Hub[T], name: str, core: Steps[None]) -> None:
        self._hub = hub
        self._name = name
        self._core = core
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._socket: LiveSocket | None = None
        self._lost = False
        self._thread = threading.Thread(target=self._run, name=f"plexus-stream-{name}", daemon=True)
        self._do: dict[type[Any], Callable[[Any], Any]] = {
            steps.Connect: self._connect,
            steps.Receive: lambda step: self._open_socket().receive(step.timeout_s),
            steps.HangUp: lambda _step: self._close_socket(),
            steps.Ask: lambda step: hub.link.ask(step.call),
            steps.Pause: self._pause,
            steps.Deliver: lambda step: hub.offer(step.items, step.keep),
            steps.Tell: self._tell,
            steps.Complain: lambda step: hub.say(step.error),
            steps.Follow: lambda step: hub.follow(step.source_id, step.since_ms),
            steps.Leave: lambda step: hub.leave(step.source_id),
        }

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def leave(self) -> None:
        """End this worker; it is woken where it waits for its socket, or for time to pass."""
        self._over.set()
        self._close_socket()

    def join(self, timeout: float) -> None:
        """Wait for its end, so many seconds; a worker that closes its own stream does not wait for itself."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            self._carry_out()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the consumer is told
            failure = exc
        finally:
            self._core.close()
            self._close_socket()
            self._hub.ended(self._name, failure)

    def _carry_out(self) -> None:
        try:
            step: Step = next(self._core)
            while not self._ends:
                try:
                    outcome = self._do[type(step)](step)
                except PlexusError as exc:
                    if self._ends:
                        return
                    step = self._core.throw(exc)
                else:
                    step = self._core.send(outcome)
        except StopIteration:
            return

    @property
    def _ends(self) -> bool:
        return self._over.is_set() or self._hub.closed.is_set()

    # --- steps ------------------------------------------------------------------------------------------------

    def _connect(self, step: steps.Connect) -> None:
        url, hello = self._hub.link.stream_target(step.request)
        socket = LiveSocket(url, self._hub.link.timeout)
        with self._lock:
            self._socket = socket
        if self._ends:
            self._close_socket()
        socket.open(hello)

    def _open_socket(self) -> LiveSocket:
        with self._lock:
            if self._socket is None:
                raise TransportError("the stream was closed on this side")
            return self._socket

    def _close_socket(self) -> None:
        with self._lock:
            socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _pause(self, step: steps.Pause) -> None:
        # Who looks for sources has looked; nobody else pauses before being connected.
        self._hub.settled(self._name)
        self._hub.pause(self._over, step.seconds)

    def _tell(self, step: steps.Tell) -> None:
        notice: StreamNotice = attrs.evolve(step.notice, source_id=self._name)
        self._hub.say(notice)
        if notice.state == "connected":
            self._hub.settled(self._name, again=self._lost)
        self._lost = notice.state == "lost" or (self._lost and notice.state != "connected")
