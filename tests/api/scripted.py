"""A stream server that does what a test tells it: one script a connection, the last one for all that follow."""

from __future__ import annotations

import contextlib
import json
import queue
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

Script = Callable[[ServerConnection], None]


@attrs.define
class Scripted:
    """What came in: the target and the first message of each connection, and how each ended for the server."""

    port: int
    scripts: list[Script]
    targets: queue.Queue[str] = attrs.field(factory=queue.Queue)
    hellos: queue.Queue[str | bytes] = attrs.field(factory=queue.Queue)
    ended: queue.Queue[int | None] = attrs.field(factory=queue.Queue)

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

    with serve(handle, "127.0.0.1", 0, compression=None, ssl=tls) as server:
        state.port = server.socket.getsockname()[1]
        thread = _start(server)
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(timeout=10)
            assert not thread.is_alive()


def _start(server: Server) -> threading.Thread:
    thread = threading.Thread(target=server.serve_forever, name="scripted-server")
    thread.start()
    return thread


def telemetry(*values: Any, metric: str = "battery.voltage") -> str:
    points = [
        {"source_id": "a1", "metric": metric, "value": value, "timestamp": 5, "class": "metric"} for value in values
    ]
    return json.dumps({"type": "telemetry", "points": points})


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
