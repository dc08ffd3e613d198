"""The sockets under the streams: silence, wrong servers, TLS. Both clients' socket, by one suite."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from plexus.api.livesocket import LiveSocket
from plexus.api.streams.asyncsocket import AsyncSocket
from plexus.domain.errors import ConfigurationError, TransportError
from tests.api.scripted import scripted, sends, telemetry
from tests.support.servers import AUTHORITY, server_tls

Made = Callable[..., Any]


class Blocked:
    """An AsyncSocket with the methods of a LiveSocket, on a loop of its own."""

    def __init__(self, url: str, timeout: float, **more: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="async-socket")
        self._thread.start()
        self._socket = AsyncSocket(url, timeout, **more)

    def open(self, hello: str) -> None:
        self._run(self._socket.open(hello))

    def receive(self, timeout: float | None) -> Any:
        return self._run(self._socket.receive(timeout))

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._run(self._socket.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(20)


KINDS: list[Made] = [LiveSocket, Blocked]


@pytest.fixture(params=KINDS, ids=["blocking", "awaited"])
def make(request: pytest.FixtureRequest) -> Iterator[Made]:
    """Makes sockets, and closes them."""
    made = []

    def new(*arguments: Any, **more: Any) -> Any:
        made.append(request.param(*arguments, **more))
        return made[-1]

    yield new
    for one in made:
        one.close()


@contextlib.contextmanager
def upgraded(then: Callable[[socket.socket], None], answer: bytes = b"") -> Iterator[str]:
    """A server of bare frames: it takes the upgrade and the first message, calls `then`, and waits for the end."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer, contextlib.suppress(ConnectionResetError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(1)
            peer.sendall(answer or _accepted(head))
            if not answer:
                assert len(peer.recv(8)) == 8
                then(peer)
            while peer.recv(4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(10)
        assert not thread.is_alive()


def _accepted(head: bytes) -> bytes:
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    return b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + accept, b"", b""])


def test_a_silent_server_that_answers_a_ping_is_kept(make: Made) -> None:
    def answer_pings(peer: socket.socket) -> None:
        for more in (b"", b"\x81\x05hello"):
            head = peer.recv(6)
            assert head[0] & 0x0F == 0x9
            peer.sendall(bytes([0x8A, head[1] & 0x7F]) + _unmasked(head, peer) + more)

    with upgraded(answer_pings) as url:
        live_socket = make(url, 5.0, ping_every_s=1.0)
        live_socket.open("hi")
        assert live_socket.receive(None) == "hello"
        live_socket.close()


def _unmasked(head: bytes, peer: socket.socket) -> bytes:
    """A ping's payload, which a pong has to bring back."""
    mask, payload = head[2:6], peer.recv(head[1] & 0x7F) if head[1] & 0x7F else b""
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def test_a_silent_server_that_answers_no_ping_is_gone(make: Made) -> None:
    with upgraded(lambda _peer: None) as url:
        live_socket = make(url, 5.0, ping_every_s=0.05)
        live_socket.open("hi")
        with pytest.raises(TransportError, match="nothing was heard"):
            live_socket.receive(None)
        live_socket.close()


def test_what_is_no_websocket_server_is_named(make: Made) -> None:
    answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    with upgraded(lambda _peer: None, answer) as url:
        live_socket = make(url, 5.0)
        with pytest.raises(TransportError, match="answered 404 to the upgrade"):
            live_socket.open("hi")
        live_socket.close()


def test_a_redirect_is_not_followed_so_that_no_key_goes_astray(make: Made) -> None:
    with scripted(sends(telemetry(1))) as other:
        answer = f"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{other.port}/\r\nContent-Length: 0\r\n\r\n".encode()
        with upgraded(lambda _peer: None, answer) as url:
            live_socket = make(url, 5.0)
            with pytest.raises(TransportError, match="302"):
                live_socket.open("hi")
            live_socket.close()
        assert other.hellos.empty()


def test_a_server_that_never_answers_runs_into_the_timeout(make: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        live_socket = make(f"ws://127.0.0.1:{listener.getsockname()[1]}/", 0.1)
        with pytest.raises(TransportError, match=r"within 0.1 s"):
            live_socket.open("hi")
        live_socket.close()


def test_a_message_comes_over_tls(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with scripted(sends("hello"), tls=server_tls()) as server:
        live_socket = make(f"wss://localhost:{server.port}/", 5.0)
        live_socket.open("hi")
        assert live_socket.receive(5.0) == "hello"
        live_socket.close()


def test_an_unknown_authority_is_not_trusted(make: Made) -> None:
    with scripted(sends("hello"), tls=server_tls()) as server:
        live_socket = make(f"wss://localhost:{server.port}/", 5.0)
        with pytest.raises(TransportError, match="certificate of localhost"):
            live_socket.open("the key")
        assert server.hellos.empty()
        live_socket.close()


def test_a_stream_over_tls_can_be_ended_by_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with scripted(sends("hello"), tls=server_tls()) as server:
        live_socket = LiveSocket(f"wss://localhost:{server.port}/", 5.0)
        live_socket.open("hi")
        assert live_socket.receive(5.0) == "hello"
        ended = threading.Event()

        def wait() -> None:
            with pytest.raises(TransportError):
                live_socket.receive(None)
            ended.set()

        thread = threading.Thread(target=wait)
        thread.start()
        live_socket.close()
        assert ended.wait(5)
        thread.join(5)


def test_without_the_extra_the_awaited_socket_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "websockets"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=r"plexus-python\[async\]"):
        asyncio.run(AsyncSocket("ws://127.0.0.1:1/", 1.0).open("hi"))
