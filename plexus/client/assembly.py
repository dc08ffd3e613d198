"""The device's composition root: which adapters a client runs on, put together in one place."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from plexus._version import __version__
from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.clock.synced import SyncedClock
from plexus.adapters.clock.system import SystemClock
from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.adapters.codec.json import JsonCodec
from plexus.adapters.transport.http import RequestTransport
from plexus.adapters.transport.websocket import SocketTransport
from plexus.client.spooling import Keeping, keep_for_source, keep_in_file, keep_in_memory
from plexus.config import Settings, ensure_install_id, ensure_source_id, require_key
from plexus.device.backlog import Backlog
from plexus.device.burial import Burial
from plexus.device.commands import CommandDesk, DeskHooks
from plexus.device.counters import UNREADABLE, Counters, log
from plexus.device.dispatch import Dispatch
from plexus.device.fitting import Fitter
from plexus.device.intake import Intake
from plexus.device.link import Link
from plexus.device.links import LinkKeeper
from plexus.device.outbox import Outbox
from plexus.device.retrying import RetryConfig
from plexus.device.rework import Rework
from plexus.device.sealer import Sealer
from plexus.device.status import StatusLine
from plexus.device.uplink import Hooks, Uplink
from plexus.device.video import VideoOutbox
from plexus.device.worker import Worker
from plexus.domain.errors import BufferFault, ConfigurationError, PlexusError
from plexus.ports.buffer import Buffer
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.ports.transport import Transport
from plexus.protocol.device import DeviceSession, Hello
from plexus.protocol.frames import ClockState
from plexus.protocol.messages import UplinkSession
from plexus.protocol.request import RequestSession

PLATFORM = "python-sdk"


@attrs.frozen(kw_only=True)
class Choices:
    """What the program asked for, beside the settings. `strict`: nothing is sent before it is on disk."""

    transport: str | Transport
    timeout_s: float
    retry: RetryConfig
    max_points: int
    strict: bool
    buffer_path: Path | None
    buffer: Buffer | None
    clock: Clock | None
    codec: Codec | None
    status: StatusLine
    on_source_id: Callable[[str, str], None]
    """Told the former name and the new one."""
    on_error: Callable[[PlexusError], None]
    on_open: Callable[[], None]
    """Told when a client begins to deliver, in every process that it does so in."""

    def are_for_one_process(self) -> bool:
        """Whether there is something among them that a process cannot share with its children."""
        return self.buffer is not None or not isinstance(self.transport, str)


class Client:
    """The parts of one client. What takes readings in is there at once; what delivers them, from `open` on.

    A client is opened when it is made; that of a forked child, when it is first used.
    """

    links: LinkKeeper
    keeping: Keeping
    uplink: Uplink
    worker: Worker

    def __init__(self, settings: Settings, choices: Choices) -> None:
        self.api_key = require_key(settings)
        self.timeout_s = choices.timeout_s
        self.clock = choices.clock or SyncedClock(SystemClock())
        self.counters = Counters()
        self.intake = Intake(self.clock, self.counters)
        self.outbox = Outbox(self._wake)
        self.video = VideoOutbox(self._wake)
        hooks = DeskHooks(self._wake, self.outbox.want_hello, choices.status.commands_refused)
        self.desk = CommandDesk(self.outbox.answer, on_thread("plexus-command"), hooks)
        self._settings = settings
        self._choices = choices
        self._hello = Hello(
            self.api_key,
            ensure_source_id(settings),
            ensure_install_id(settings),
            __version__,
            PLATFORM,
            self._declarations,
            runs=self.desk,
            clock=self._clock_state,
        )
        self._opening = threading.RLock()
        self._is_open = False
        self._is_ending = False

    @property
    def source_id(self) -> str:
        """The name that the gateway knows this device by: the one that was asked for, until it assigns another."""
        return self._hello.source_id

    # --- beginning and end ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the spool and begin to deliver, where that has not been done; any thread may call it."""
        if self._is_open:
            return
        with self._opening:
            if self._is_open:
                return
            self.links = self._links()
            self.keeping = self._keeping()
            self.counters.drop(UNREADABLE, self.keeping.unreadable, "left by an earlier release", recorded=True)
            self.uplink = self._uplink()
            self.worker = Worker(self.uplink, self.links)
            if self._is_ending:
                self.uplink.close(0.0)
            else:
                self.intake.alarm = None
            self.worker.start()
            self._is_open = True
            self._choices.on_open()

    def open_with_first_send(self) -> None:
        """Have the first `send` open it."""

        def alarm() -> None:
            try:
                self.open()
            except RuntimeError as exc:
                # The system gives no more threads now; what was taken waits in memory.
                log.error("a forked child cannot deliver yet, its next send tries again: %s", exc)

        self.intake.alarm = alarm

    def begin_end(self, timeout: float) -> None:
        """Ask for the end, with `timeout` seconds to deliver in; does not wait."""
        self.desk.runs.close()
        with self._opening:
            self._is_ending = True
            if not self._is_open:
                # A child that never sent.
                self.intake.shut()
                return
        self.uplink.close(timeout)
        self.worker.wake()

    def has_ended(self, within: float) -> bool:
        """Wait `within` seconds for the end; whether it has come."""
        return not self._is_open or self.worker.join(within)

    def inherited(self, status: StatusLine) -> Client:
        """In a forked child: one of its own in the place of this one, which is the parent's. Opens nothing."""
        settings = attrs.evolve(self._settings, source_id=self.source_id)
        # The parent has its file open: the child's is in Plexus's own directory, where the next start finds it.
        choices = attrs.evolve(self._choices, clock=self.clock, status=status, buffer_path=None)
        child = Client(settings, choices)
        if choices.are_for_one_process():
            child.intake.abandon()
        else:
            child.open_with_first_send()
        return child

    # --- putting together -----------------------------------------------------------------------------------

    def _uplink(self) -> Uplink:
        choices = self._choices
        wire = JsonCodec()
        compact = choices.codec or ColumnarCodec()
        rework = Rework(self.clock, wire, compact, _new_stream)
        return Uplink(
            source_id=self.source_id,
            intake=self.intake,
            dispatch=Dispatch(
                self.intake,
                Sealer(wire, self.clock, self.counters, _new_stream, compact),
                Fitter(wire, compact),
                self._backlog(),
                self.counters,
                rework=rework,
                burial=Burial(self.keeping.letters, rework, self.counters, lambda: self.source_id, self._fault),
                strict=choices.strict,
            ),
            links=self.links,
            outbox=self.outbox,
            video=self.video,
            tally=self.counters,
            clock=self.clock,
            retry=choices.retry,
            status=choices.status,
            hooks=Hooks(self.desk.handle, self._renamed, choices.on_error, self._wake),
        )

    def _backlog(self) -> Backlog:
        bound = self._choices.max_points
        keeping = self.keeping
        return Backlog(keeping.own, keeping.adopted, lambda: MemoryBuffer(bound), self.counters, self._fault)

    def _fault(self, fault: BufferFault) -> None:
        self.uplink.fault(fault)

    def _wake(self) -> None:
        # What comes before a client is open is found when it is.
        if self._is_open:
            self.worker.wake()

    def _renamed(self, source_id: str) -> None:
        former = self._hello.source_id
        self._hello = attrs.evolve(self._hello, source_id=source_id)
        self._choices.on_source_id(former, source_id)

    def _clock_state(self) -> ClockState | None:
        known = self.uplink.stats()
        return None if known.clock_offset_ms is None else ClockState(known.clock_offset_ms, known.clock_error_ms)

    def _declarations(self) -> tuple[Mapping[str, Any], ...]:
        self.outbox.greeted()
        return self.desk.declarations()

    def _keeping(self) -> Keeping:
        choices, settings = self._choices, self._settings
        if choices.buffer is not None:
            return Keeping(choices.buffer)
        if not settings.persistent_buffer:
            return keep_in_memory(choices.max_points)
        if choices.buffer_path is not None:
            return keep_in_file(choices.buffer_path, self.source_id, choices.max_points, log.error)
        return keep_for_source(settings.home, self.source_id, choices.max_points, log.error)

    def _links(self) -> LinkKeeper:
        transport, settings = self._choices.transport, self._settings
        if not isinstance(transport, str):
            return LinkKeeper(self._link("custom", transport), None, random.random)
        http = self._link("http", RequestTransport(settings.gateway_url, self._choices.timeout_s))
        if transport == "http":
            return LinkKeeper(http, None, random.random)
        socket = self._link("ws", SocketTransport(settings.gateway_ws_url))
        return LinkKeeper(socket, http, random.random)

    def _link(self, name: str, transport: Transport) -> Link:
        make = self._socket_session if transport.dialect == "socket" else self._request_session
        run = on_thread("plexus-dial")
        return Link(name, transport, make, timeout_s=self._choices.timeout_s, run=run, rang=lambda: self.worker.wake())

    def _socket_session(self) -> UplinkSession:
        return DeviceSession(self._hello, self.clock.tick)

    def _request_session(self) -> UplinkSession:
        return RequestSession(self.api_key, self._hello.source_id, __version__, self.clock.tick)


def _new_stream() -> str:
    return os.urandom(16).hex()


def check_transport(transport: object) -> str | Transport:
    """A transport's name, or an object that is one; raises ConfigurationError saying what there is."""
    if isinstance(transport, str):
        if transport in ("ws", "http"):
            return transport
        raise ConfigurationError(f"transport {transport!r} is not valid: use 'ws', 'http' or a Transport object")
    verbs = ("open", "send", "receive", "wake", "close")
    if getattr(transport, "dialect", None) in ("socket", "request") and all(hasattr(transport, verb) for verb in verbs):
        return transport  # type: ignore[return-value]
    raise ConfigurationError(
        f"transport {type(transport).__name__} is not valid: use 'ws', 'http', or an object with dialect, "
        f"{', '.join(verbs)} (see plexus.ports.transport)"
    )


def on_thread(name: str) -> Callable[[Callable[[], None]], None]:
    """Runs each job on a daemon thread of its own."""

    def run(job: Callable[[], None]) -> None:
        threading.Thread(target=job, name=name, daemon=True).start()

    return run
