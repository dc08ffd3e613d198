"""Gateways of other releases, as scripts: real sockets, plain json, nothing of `plexus` imported, so they can judge it.

`Gateway052` speaks section 4 of the protocol page as 0.5.2 knew it, `Gateway0160` adds acknowledgements. Each records
what it got, answers by the book, and misbehaves on order. A device that does what its gateway does not know (a `seq`, a
batch name, a fraction of a millisecond) is noted in `violations`.

    with Gateway0160() as gateway:
        for name, value in gateway.environ().items():
            monkeypatch.setenv(name, value)
        ...
        eventually(lambda: len(gateway.stored) == 100)
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

import attrs
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from tests.support.scripted_ingest import API_KEY, IngestServer

_G = TypeVar("_G", bound="ScriptedGateway")


@attrs.define
class Socket:
    """One device connection: what it said."""

    connection: ServerConnection
    auth: dict[str, Any]
    frames: list[dict[str, Any]] = attrs.field(factory=list)
    binary: list[bytes] = attrs.field(factory=list)
    close_code: int | None = None

    def telemetry(self) -> list[dict[str, Any]]:
        """The telemetry frames among them."""
        return [frame for frame in self.frames if frame.get("type") == "telemetry"]


class ScriptedGateway(IngestServer):
    """What both releases have in common: the two servers, the records, the orders."""

    def __init__(self, api_key: str = API_KEY) -> None:
        super().__init__(api_key)
        self.sockets: list[Socket] = []
        self.refused_auths: list[dict[str, Any]] = []
        self.refused_upgrades = 0
        self._accepts_sockets = True
        self._assigned: str | None = None
        self._handlers: list[threading.Thread] = []
        self._server: Server | None = None
        self.ws_port = 0

    # --- life -----------------------------------------------------------------------------------------------

    def __enter__(self: _G) -> _G:
        self._start_sockets(0)
        self._start_http()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_sockets()
        self._stop_http()

    def environ(self) -> dict[str, str]:
        """The settings that lead a device here."""
        return {
            "PLEXUS_API_KEY": self.api_key,
            "PLEXUS_GATEWAY_URL": self.url,
            "PLEXUS_GATEWAY_WS_URL": self.ws_url,
            "PLEXUS_ENDPOINT": self.url,
        }

    @property
    def url(self) -> str:
        """The HTTP host."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def ws_url(self) -> str:
        """The WebSocket host."""
        return f"ws://127.0.0.1:{self.ws_port}"

    # --- records --------------------------------------------------------------------------------------------

    def command_results(self) -> list[dict[str, Any]]:
        """What devices said of commands."""
        with self._lock:
            return [f for s in self.sockets for f in s.frames if f.get("type") == "command_result"]

    # --- orders ---------------------------------------------------------------------------------------------

    def assign(self, source_id: str) -> None:
        """Give every device from now on this name."""
        self._assigned = source_id

    def refuse_sockets(self) -> None:
        """Answer every upgrade with 503 from now on."""
        self._accepts_sockets = False

    def accept_sockets(self) -> None:
        """Take upgrades again."""
        self._accepts_sockets = True

    def send_command(self, command: str, params: Mapping[str, Any] | None = None, call_id: str = "call-1") -> None:
        """Send a typed command over the newest socket."""
        frame = {"type": "typed_command", "id": call_id, "command": command, "params": dict(params or {})}
        self.sockets[-1].connection.send(json.dumps(frame))

    def close_sockets(self, code: int = 1001, reason: str = "going away") -> None:
        """Close every socket in good order."""
        for one in self._open():
            one.connection.close(code, reason)

    def say_goodbye_and_linger(self) -> None:
        """Send a close frame (1001) on every socket and leave TCP open, as a proxy in front of a gateway may."""
        for one in self._open():
            one.connection.socket.sendall(b"\x88\x02" + (1001).to_bytes(2, "big"))

    def cut_sockets(self) -> None:
        """Break every socket, without a word."""
        for one in self._open():
            with contextlib.suppress(OSError):
                one.connection.socket.shutdown(socket.SHUT_RDWR)

    def stop_sockets(self) -> None:
        """Stop listening for sockets and cut those that are open: connections are refused from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.socket.close()
            self._server = None
        self.cut_sockets()
        for thread in self._handlers:
            thread.join(10.0)
        self._handlers.clear()

    def start_sockets(self) -> None:
        """Listen again, on the same port."""
        self._start_sockets(self.ws_port)

    # --- the WebSocket server -------------------------------------------------------------------------------

    def _start_sockets(self, port: int) -> None:
        self._server = serve(
            self._handle,
            "127.0.0.1",
            port,
            process_request=self._upgrade,
            compression=None,
            max_size=1_000_000,
            ping_interval=None,
        )
        self.ws_port = self._server.socket.getsockname()[1]
        self._run(self._server.serve_forever)

    def _upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path != "/ws/device":
            self._violated(f"a socket was opened on {path}")
            return connection.respond(404, "not found\n")
        if not self._accepts_sockets:
            with self._lock:
                self.refused_upgrades += 1
            return Response(503, "Service Unavailable", Headers({"Content-Length": "0", "Connection": "close"}), b"")
        return None

    def _handle(self, connection: ServerConnection) -> None:
        with self._lock:
            self._handlers.append(threading.current_thread())
        # The other end may go at any time; that is not this script's fault.
        with contextlib.suppress(ConnectionClosed, OSError):
            self._converse(connection)

    def _converse(self, connection: ServerConnection) -> None:
        auth = self._read(connection)
        if auth.get("type") != "device_auth":
            self._violated(f"the first frame was {auth.get('type')}")
        if auth.get("api_key") != self.api_key:
            with self._lock:
                self.refused_auths.append(auth)
            self._say(connection, {"type": "error", "code": "unauthorized", "detail": "invalid API key"})
            connection.close(1008, "invalid API key")
            return
        one = Socket(connection, auth)
        source_id = self._assigned or auth["source_id"]
        now_ms = int(time.time() * 1000)
        self._say(
            connection,
            {"type": "authenticated", "source_id": source_id, "server_time_ms": now_ms, **self.greeting(auth)},
        )
        with self._lock:
            self.sockets.append(one)
        try:
            self._listen(one, source_id)
        finally:
            one.close_code = connection.close_code

    def _listen(self, one: Socket, source_id: str) -> None:
        while True:
            message = one.connection.recv()
            if isinstance(message, bytes):
                with self._lock:
                    one.binary.append(message)
                continue
            frame = json.loads(message)
            with self._lock:
                one.frames.append(frame)
            if frame.get("type") == "telemetry":
                self._check_frame(frame)
                self.telemetry(one, frame, source_id)

    def greeting(self, auth: Mapping[str, Any]) -> dict[str, Any]:
        """What `authenticated` says beyond the name and the time."""
        return {}

    def telemetry(self, one: Socket, frame: dict[str, Any], source_id: str) -> None:
        """Take one telemetry frame."""
        raise NotImplementedError

    # --- inside ---------------------------------------------------------------------------------------------

    def _check_frame(self, frame: dict[str, Any]) -> None:
        unknown = set(frame) - {"type", "points"} - self.frame_fields(frame)
        if unknown:
            self._violated(f"a telemetry frame with {sorted(unknown)}")
        self._check_points(frame["points"])

    def frame_fields(self, frame: Mapping[str, Any]) -> set[str]:
        """What a telemetry frame has beyond type and points."""
        return set()

    def _open(self) -> list[Socket]:
        with self._lock:
            return [one for one in self.sockets if one.close_code is None]

    def _read(self, connection: ServerConnection) -> dict[str, Any]:
        frame = json.loads(connection.recv(timeout=10.0))
        assert isinstance(frame, dict)
        return frame

    def _say(self, connection: ServerConnection, frame: Mapping[str, Any]) -> None:
        connection.send(json.dumps(frame))


class Gateway052(ScriptedGateway):
    """0.5.2: no acknowledgements; what it receives is stored, what it does not know in a greeting is passed over."""

    probe_status = 400

    def telemetry(self, one: Socket, frame: dict[str, Any], source_id: str) -> None:
        """Store it and say nothing."""
        self.store(frame["points"], source_id, "ws")


@attrs.define
class _Held:
    one: Socket
    frame: dict[str, Any]
    source_id: str


class Gateway0160(ScriptedGateway):
    """0.16.0: a frame is stored, then acknowledged by its number. Orders make it refuse, wait, or send devices away."""

    def __init__(self, api_key: str = API_KEY) -> None:
        super().__init__(api_key)
        self.acknowledged: list[int] = []
        self.unstored: list[dict[str, Any]] = []
        self._holding = False
        self._held: list[_Held] = []
        self._refusals: deque[str] = deque()

    # --- orders ---------------------------------------------------------------------------------------------

    def hold_acks(self) -> None:
        """Neither store nor acknowledge what comes from now on."""
        with self._lock:
            self._holding = True

    def held(self) -> int:
        """How many frames are held."""
        with self._lock:
            return len(self._held)

    def release_acks(self) -> None:
        """Store and acknowledge what was held, and go on as usual."""
        with self._lock:
            self._holding = False
            held, self._held = self._held, []
        for item in held:
            self._acknowledge(item)

    def forget_held(self) -> None:
        """Drop what was held, as a gateway that dies does, and go on as usual."""
        with self._lock:
            self._holding = False
            self._held = []

    def rate_limit_next(self, times: int = 1) -> None:
        """Refuse the next frames for rate: not stored, not to be sent again."""
        with self._lock:
            self._refusals.extend(["RATE_LIMITED"] * times)

    def unavailable_next(self, times: int = 1) -> None:
        """Answer the next frames with REDIS_UNAVAILABLE and a close with 1013: nothing is released."""
        with self._lock:
            self._refusals.extend(["REDIS_UNAVAILABLE"] * times)

    # --- the dialect ----------------------------------------------------------------------------------------

    def greeting(self, auth: Mapping[str, Any]) -> dict[str, Any]:
        """Acknowledgements for who can take them."""
        return {"acks": True} if auth.get("acks") is True else {}

    def frame_fields(self, frame: Mapping[str, Any]) -> set[str]:
        """Every frame is numbered."""
        if not isinstance(frame.get("seq"), int):
            self._violated("a telemetry frame without seq")
        return {"seq"}

    def telemetry(self, one: Socket, frame: dict[str, Any], source_id: str) -> None:
        """Refuse, hold, or store and acknowledge."""
        with self._lock:
            refusal = self._refusals.popleft() if self._refusals else None
            if refusal is not None:
                self.unstored.append(frame)
            elif self._holding:
                self._held.append(_Held(one, frame, source_id))
                return
        if refusal is None:
            self._acknowledge(_Held(one, frame, source_id))
        elif refusal == "REDIS_UNAVAILABLE":
            self._say(one.connection, {"type": "error", "code": refusal, "detail": "try again later"})
            one.connection.close(1013, "try again later")
        else:
            error = {"type": "error", "code": refusal, "detail": "2,000 messages a second", "seq": frame["seq"]}
            self._say(one.connection, error)

    def _acknowledge(self, item: _Held) -> None:
        self.store(item.frame["points"], item.source_id, "ws")
        with self._lock:
            self.acknowledged.append(item.frame["seq"])
        self._say(item.one.connection, {"type": "telemetry_ack", "seq": item.frame["seq"]})
