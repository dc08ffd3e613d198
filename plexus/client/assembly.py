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
from plexus.adapters.codec.json import JsonCodec
from plexus.adapters.transport.http import RequestTransport
from plexus.adapters.transport.websocket import SocketTransport
from plexus.client.spooling import Keeping, keep_for_source, keep_in_file, keep_in_memory
from plexus.config import Settings, ensure_install_id, ensure_source_id, require_key
from plexus.device.backlog import Backlog
from plexus.device.commands import CommandDesk
from plexus.device.counters import Counters, log
from plexus.device.dispatch import Dispatch
from plexus.device.fitting import Fitter
from plexus.device.intake import Intake
from plexus.device.link import Link
from plexus.device.links import LinkKeeper
from plexus.device.outbox import Outbox
from plexus.device.retrying import RetryConfig
from plexus.device.sealer import Sealer
from plexus.device.status import StatusLine
from plexus.device.uplink import Hooks, Uplink
from plexus.device.video import VideoOutbox
from plexus.device.worker import Worker
from plexus.domain.errors import ConfigurationError
from plexus.ports.buffer import Buffer
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.ports.transport import Transport
from plexus.protocol.device import DeviceSession, Hello
from plexus.protocol.messages import UplinkSession
from plexus.protocol.request import RequestSession

PLATFORM = "python-sdk"


@attrs.frozen(kw_only=True)
class Choices:
    """What the program asked for, beside the settings."""

    transport: str | Transport
    timeout_s: float
    retry: RetryConfig
    max_points: int
    buffer_path: Path | None
    buffer: Buffer | None
    clock: Clock | None
    codec: Codec | None
    status: StatusLine
    on_source_id: Callable[[str, str], None]
    """Told the former name and the new one."""


class Client:
    """The parts of one client, put together and not started yet."""

    def __init__(self, settings: Settings, choices: Choices) -> None:
        self.api_key = require_key(settings)
        self.timeout_s = choices.timeout_s
        self.clock = choices.clock or SyncedClock(SystemClock())
        self.counters = Counters()
        self.intake = Intake(self.clock, self.counters)
        self.outbox = Outbox()
        self.video = VideoOutbox()
        self.desk = CommandDesk(self.outbox.answer, on_thread("plexus-command"))
        self._settings = settings
        self._choices = choices
        source_id = ensure_source_id(settings)
        self._hello = Hello(
            self.api_key, source_id, ensure_install_id(settings), __version__, PLATFORM, self._declarations
        )
        self.links = self._links()
        self.keeping = self._keeping(source_id)
        self.uplink = self._uplink(source_id)
        self.worker = Worker(self.uplink, self.links)

    def _uplink(self, source_id: str) -> Uplink:
        choices = self._choices
        wire = JsonCodec()
        codec = choices.codec or wire
        return Uplink(
            source_id=source_id,
            intake=self.intake,
            dispatch=Dispatch(
                self.intake,
                Sealer(codec, self.clock, self.counters, lambda: os.urandom(16).hex()),
                Fitter(codec, wire),
                self._backlog(),
                self.counters,
            ),
            links=self.links,
            outbox=self.outbox,
            video=self.video,
            tally=self.counters,
            clock=self.clock,
            retry=choices.retry,
            status=choices.status,
            hooks=Hooks(self.desk.handle, self._renamed),
        )

    def _backlog(self) -> Backlog:
        bound = self._choices.max_points
        keeping = self.keeping
        return Backlog(keeping.own, keeping.adopted, lambda: MemoryBuffer(bound), self.counters, log.error)

    def _renamed(self, source_id: str) -> None:
        former = self._hello.source_id
        self._hello = attrs.evolve(self._hello, source_id=source_id)
        self._choices.on_source_id(former, source_id)

    def _declarations(self) -> tuple[Mapping[str, Any], ...]:
        self.outbox.greeted()
        return self.desk.declarations()

    def _keeping(self, source_id: str) -> Keeping:
        choices, settings = self._choices, self._settings
        if choices.buffer is not None:
            return Keeping(choices.buffer)
        if not settings.persistent_buffer:
            return keep_in_memory(choices.max_points)
        if choices.buffer_path is not None:
            return keep_in_file(choices.buffer_path, choices.max_points, log.error)
        return keep_for_source(settings.home, source_id, choices.max_points, log.error)

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
        return DeviceSession(self._hello, self.clock.raw_wall_ms)

    def _request_session(self) -> UplinkSession:
        return RequestSession(self.api_key, self._hello.source_id, __version__)


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
