"""A gateway process as an attacker meets it: raw sockets in, statuses and close codes out, its memory beside it."""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from tests.support import plain
from tests.support.served import Served
from tests.support.waiting import eventually

MIB = 1024 * 1024
_MASK = bytes(4)


class Target(Served):
    """`plexus serve` with what the tests of this folder need."""

    def __init__(self, folder: Path, *settings: str) -> None:
        super().__init__(folder, *settings)
        self._opened: list[RawSocket] = []

    def start(self, *wrapper: str) -> Target:
        """Start it."""
        super().start(*wrapper)
        return self

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def request(self, method: str, path: str, **details: Any) -> httpx.Response:
        """One request with the key, unless `headers` are given."""
        details.setdefault("headers", self._headers())
        return plain.request(method, self.url + path, timeout=60, **details)

    @contextmanager
    def growth(self) -> Iterator[list[float]]:
        """Fills the list with how many MiB its memory peaked above what it was before."""
        found: list[float] = []
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # the peak begins anew
        before = self.memory
        yield found
        found.append(self._memory("VmHWM") - before)

    @property
    def memory(self) -> float:
        """MiB that it holds now."""
        return self._memory("VmRSS")

    def _memory(self, field: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

    # --- WebSockets -------------------------------------------------------------------------------------------

    def raw(self) -> RawSocket:
        """A connection; closed with the test at the latest."""
        self._opened.append(RawSocket(self.port))
        return self._opened[-1]

    def hang_up(self) -> None:
        """Close every connection that was opened here."""
        while self._opened:
            self._opened.pop().close()

    def socket(self, path: str = "/ws/device", headers: Mapping[str, str] | None = None) -> RawSocket:
        """A WebSocket on this path, once it is upgraded."""
        raw = self.raw()
        status, _ = raw.upgrade(path, headers or {})
        assert status == 101, status
        return raw

    def device(self, source_id: str = "rig-01") -> RawSocket:
        """An authenticated device."""
        raw = self.socket()
        raw.send(
            json.dumps({"type": "device_auth", "api_key": self.key, "source_id": source_id, "acks": True}).encode()
        )
        assert raw.frame()["type"] == "authenticated"
        return raw

    def reader(self, source_id: str = "rig-01") -> RawSocket:
        """An authenticated reader of the source's metrics, which has been told something already."""
        raw = self.socket(f"/v1/sources/{source_id}/metrics/stream")
        raw.send(json.dumps({"type": "auth", "api_key": self.key}).encode())

        def heard() -> bool:
            # Who is let in hears of what comes from then on, and is not told that it is let in.
            self.post("/ingest", {"source_id": source_id, "points": [{"metric": "a.b", "value": 1}]})
            return raw.hears(0.1)

        eventually(heard, 30.0, "the reader to hear of a point")
        return raw


class RawSocket:
    """A connection whose every byte the test decides about."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._read = b""

    def upgrade(self, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        """Ask for a WebSocket; the status and the headers of the answer."""
        self.sock.sendall(handshake(path, self.sock.getpeername()[1], headers))
        return self.head()

    def status(self) -> int:
        """The status of the next answer; its body is left to be read."""
        return self.head()[0]

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer, headers in lower case."""
        while b"\r\n\r\n" not in self._read:
            self._fill()
        head, self._read = self._read.split(b"\r\n\r\n", 1)
        first, *rest = head.decode("latin-1").split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in rest)

    def send(self, payload: bytes, *, opcode: int = 1, final: bool = True, bits: int = 0) -> None:
        """One frame."""
        self.sock.sendall(frame(payload, opcode=opcode, final=final, bits=bits))

    def frame(self) -> dict[str, Any]:
        """The next text message, as JSON."""
        opcode, payload = self.message()
        assert opcode == 1, (opcode, payload)
        found: dict[str, Any] = json.loads(payload)
        return found

    def message(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame that is no ping."""
        while True:
            head = self._take(2)
            length = head[1] & 127
            if length == 126:
                length = struct.unpack(">H", self._take(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self._take(8))[0]
            payload = self._take(length)
            if head[0] & 15 != 9:
                return head[0] & 15, payload

    def hears(self, timeout_s: float) -> bool:
        """Whether anything is there to be read, or comes in time."""
        return bool(self._read or select.select([self.sock], [], [], timeout_s)[0])

    def close_code(self) -> int:
        """The code that it is closed with, past whatever comes before it; 0 when it is cut."""
        with suppress(ConnectionError):
            while True:
                opcode, payload = self.message()
                if opcode == 8:
                    return int(struct.unpack(">H", payload[:2])[0])
        return 0

    def gone(self, timeout_s: float) -> bool:
        """Whether the other side ends the connection in time."""
        end = time.monotonic() + timeout_s
        with suppress(ConnectionError):
            while (left := end - time.monotonic()) > 0:
                self.sock.settimeout(left)
                try:
                    self._fill()
                except TimeoutError:
                    return False
            return False
        return True

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def _take(self, count: int) -> bytes:
        while len(self._read) < count:
            self._fill()
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def _fill(self) -> None:
        more = self.sock.recv(65536)
        if not more:
            raise ConnectionError("the gateway hung up")
        self._read += more


def handshake(path: str, port: int, headers: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """The request for a WebSocket."""
    own = {
        "host": f"127.0.0.1:{port}",
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in own.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


def frame(payload: bytes, *, opcode: int = 1, final: bool = True, bits: int = 0) -> bytes:
    """A masked frame; the mask is zeros, which is one like any other."""
    first = (0x80 if final else 0) | bits | opcode
    if len(payload) < 126:
        head = struct.pack(">BB", first, 0x80 | len(payload))
    elif len(payload) < 65536:
        head = struct.pack(">BBH", first, 0x80 | 126, len(payload))
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, len(payload))
    return head + _MASK + payload
