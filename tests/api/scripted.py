"""A stream server that does what a test tells it: one script a connection, the last one for all that follow.

Plain requests beside the sockets are answered from `stored`, the history.
"""

from __future__ import annotations

import contextlib
import json
import queue
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

Script = Callable[[ServerConnection], None]


@attrs.define
class Scripted:
    """What came in: the target and the first message of each connection, and how each ended for the server.

    `stored` holds (metric, value, milliseconds) of what the history has; `asked` the targets of plain requests.
    """

    port: int
    scripts: list[Script]
    targets: queue.Queue[str] = attrs.field(factory=queue.Queue)
    hellos: queue.Queue[str | bytes] = attrs.field(factory=queue.Queue)
    ended: queue.Queue[int | None] = attrs.field(factory=queue.Queue)
    stored: list[tuple[str, Any, float]] = attrs.field(factory=list)
    sources: list[str] = attrs.field(factory=lambda: ["a1"])
    asked: list[str] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def scripted(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Serve; a script that returns ends its connection with 1000."""
    state = Scripted(0, list(scripts))

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        state.targets.put(connection.request.path)
        try:
            state.hellos.put(connection.recv(timeout=10))
            script = state.scripts.pop(0) if len(state.scripts) > 1 else state.scripts[0]
            script(connection)
        except ConnectionClosed as closed:
            state.ended.put(closed.rcvd.code if closed.rcvd is not None else None)

    def plain(_connection: ServerConnection, request: Request) -> Response | None:
        if "upgrade" in request.headers:
            return None
        state.asked.append(request.path)
        body = json.dumps(_answer(state, request.path)).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        return Response(200, "OK", Headers(headers), body)

    with serve(handle, "127.0.0.1", 0, compression=None, ssl=tls, process_request=plain) as server:
        state.port = server.socket.getsockname()[1]
        thread = _start(server)
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(timeout=10)
            assert not thread.is_alive()


def _answer(state: Scripted, path: str) -> Any:
    """What plain requests are answered: the sources, or what is stored in a window."""
    parts = urlsplit(path)
    if parts.path == "/v1/sources":
        return {"devices": [{"source_id": name, "online": True, "last_seen_ms": 5} for name in state.sources]}
    query = parse_qs(parts.query)
    start, end = (
        datetime.fromisoformat(query[name][0].replace("Z", "+00:00")).timestamp() * 1000 for name in ("start", "end")
    )
    found = [one for one in state.stored if start <= round(one[2], 3) + 1e-4 and one[2] < end]
    if parts.path.endswith("/events"):
        return [{"metric": name, "value": value, "timestamp_ms": at} for name, value, at in found]
    series: dict[str, dict[str, list[Any]]] = {}
    for name, value, at in found:
        columns = series.setdefault(name, {"timestamp_ms": [], "value": []})
        columns["timestamp_ms"].append(at)
        columns["value"].append(value)
    return {"interval": "raw", "auto_downsampled": False, "truncated": False, "series": series}


def _start(server: Server) -> threading.Thread:
    thread = threading.Thread(target=server.serve_forever, name="scripted-server")
    thread.start()
    return thread


def telemetry(
    *values: Any, metric: str = "battery.voltage", at: float = 5, cursor: str | None = None, source_id: str = "a1"
) -> str:
    """A frame of points, all of one time (milliseconds)."""
    points = [
        {"source_id": source_id, "metric": metric, "value": value, "timestamp": at, "class": "metric"}
        for value in values
    ]
    return json.dumps({"type": "telemetry", "points": points, **({} if cursor is None else {"cursor": cursor})})


def ready(cursor: str, **more: Any) -> str:
    """What a gateway that knows cursors says first."""
    return json.dumps({"type": "ready", "ext": {"resume": 1}, "cursor": cursor, **more})


def sends(*messages: str | bytes) -> Script:
    """Send these, then keep the connection until the client leaves."""

    def script(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message)
        connection.recv()

    return script


def closes(code: int, *messages: str) -> Script:
    """Send these, then close."""

    def script(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message)
        connection.close(code, "as the script says")

    return script


def breaks(*messages: str) -> Script:
    """Send these, then cut the connection without a word."""

    def script(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message)
        connection.socket.shutdown(2)

    return script
