"""A gateway that stores nothing: it acknowledges every batch and counts points' bytes, so that only the client works.

Started as a process of its own; it says its address in one line. What came is in the answer to a line on its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from websockets.sync.server import Server, ServerConnection, serve

from bench.house import GATEWAY_CORE, House, pinned
from plexus.protocol import binaryframe, extensions, frames


@attrs.define
class Counted:
    """Telemetry as it came over the socket: messages, and their bytes (the WebSocket's own header not counted)."""

    messages: int = 0
    bytes: int = 0


@attrs.frozen
class Sink:
    """A running sink."""

    house: House
    process: subprocess.Popen[str]

    def counted(self) -> dict[str, int]:
        """What came since the last time this was asked."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        counts: dict[str, int] = json.loads(self.process.stdout.readline())
        return counts


@contextmanager
def sink(*, columnar: bool = True) -> Iterator[Sink]:
    """A sink on the gateway's core; without `columnar` it takes JSON only."""
    command = [*pinned(GATEWAY_CORE), sys.executable, "-m", "bench.sink", "columnar" if columnar else "json"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Sink(House(process.stdout.readline().strip(), "plx_" + "s" * 43), process)
    finally:
        process.kill()
        process.communicate(timeout=30)


def _serve(connection: ServerConnection, offers: dict[str, int], counted: Counted) -> None:
    auth = frames.parse(str(connection.recv()))
    assert isinstance(auth, frames.DeviceAuth)
    agreed = extensions.agree(auth.ext, offers)
    connection.send(frames.dump(frames.Authenticated(auth.source_id, None, acks=auth.acks, ext=agreed)))
    for message in connection:
        name = _batch_of(message)
        if name is not None:
            counted.messages += 1
            counted.bytes += len(message)
            connection.send(frames.dump(frames.BatchAck(name["stream"], name["n"])))


def _batch_of(message: str | bytes) -> dict[str, Any] | None:
    if isinstance(message, bytes):
        header: dict[str, Any] = binaryframe.split(message).header["batch"]
        return header
    # Without reading the points: the name stands behind them.
    at = message.rfind('"batch":{')
    return json.loads(message[at + 8 : message.index("}", at) + 1]) if at >= 0 else None


def _main() -> None:
    offers = dict(extensions.GATEWAY_OFFERS)
    if sys.argv[1] == "json":
        del offers[extensions.COLUMNAR]
    counted = Counted()

    def handle(connection: ServerConnection) -> None:
        _serve(connection, offers, counted)

    server: Server = serve(handle, "127.0.0.1", 0, max_size=None, compression=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.socket.getsockname()[:2]
    print(f"http://{host}:{port}", flush=True)
    for _line in sys.stdin:
        print(json.dumps(attrs.asdict(counted)), flush=True)
        counted.messages = counted.bytes = 0


if __name__ == "__main__":
    _main()
