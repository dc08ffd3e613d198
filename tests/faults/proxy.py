"""The network between a device and a gateway, as bad as a test wants it: refused, silent, slow, cut."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Literal

Mode = Literal["open", "silent", "down"]
"""Forwarding; taking connections and bytes, and forwarding nothing (blackholed TCP); closing whatever comes."""

_PIECE = 65_536
_LOOK_S = 0.02


class Proxy:
    """Forwards TCP from a port of its own to `target`, a port of this machine, for as long as its mode says."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(_LOOK_S)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self.taken = 0
        """Connections that were made."""
        self._mode: Mode = "open"
        self._bytes_a_second: int | None = None
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._listen, name="proxy")]
        self._threads[0].start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in list(self._threads):
            thread.join(10.0)
        self._listener.close()

    def be(self, mode: Mode) -> None:
        """From now on, for the connections that are open too."""
        self._mode = mode

    def slow_down(self, bytes_a_second: int) -> None:
        """Forward no more than this towards the gateway."""
        self._bytes_a_second = bytes_a_second

    def _listen(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                near, _address = self._listener.accept()
                self.taken += 1
                thread = threading.Thread(target=self._carry, args=(near,), name="proxy-connection")
                self._threads.append(thread)
                thread.start()

    def _carry(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            while self._mode == "silent" and not self._over.wait(_LOOK_S):
                pass
            if self._mode == "open" and not self._over.is_set():
                with socket.create_connection(("127.0.0.1", self._target), timeout=5.0) as far:
                    self._pump(near, far)

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        while not self._over.is_set() and self._mode != "down":
            ready, _, _ = select.select([near, far], [], [], _LOOK_S)
            if self._mode == "silent":
                # What comes is taken by the kernel until its window is full, and nobody answers.
                self._over.wait(_LOOK_S)
                continue
            for end in ready:
                data = end.recv(_PIECE if self._bytes_a_second is None else 1_024)
                if not data:
                    return
                other[end].sendall(data)
                if self._bytes_a_second is not None and end is near:
                    self._over.wait(len(data) / self._bytes_a_second)
