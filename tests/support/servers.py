"""Small real servers on 127.0.0.1 for tests of links: a WebSocket gateway, an HTTP one, a scripted socket, a proxy.

Each is a context manager that leaves no thread and no socket behind, and tells what happened on the other side.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from plexus.protocol.messages import HttpAnswer, HttpRequest, Message

CERTS = Path(__file__).parent / "certs"
AUTHORITY = CERTS / "authority.pem"
PATIENCE_S = 10.0


def server_tls(certificate: str = "server") -> ssl.SSLContext:
    """TLS for a server on localhost, signed by `AUTHORITY`; or another certificate of `certs`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / f"{certificate}.pem")
    return context


def dead_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class SocketGateway:
    """A `websockets` server. What it does with each connection is up to the test: `receive`, `send`, `close`, …"""

    def __init__(self, tls: ssl.SSLContext | None = None, *, max_size: int | None = None) -> None:
        self._connections: queue.Queue[ServerConnection] = queue.Queue()
        self._current: ServerConnection | None = None
        self._over = threading.Event()
        self._server = serve(
            self._keep, "127.0.0.1", 0, ssl=tls, max_size=max_size, compression=None, close_timeout=1.0
        )
        self._scheme = "ws" if tls is None else "wss"
        self._thread = threading.Thread(target=self._server.serve_forever, name="socket-gateway")

    def __enter__(self) -> SocketGateway:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        # Each handler ends its own connection when it is over.
        self._over.set()
        self._server.shutdown()
        self._thread.join(PATIENCE_S)

    @property
    def port(self) -> int:
        return int(self._server.socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def connection(self) -> ServerConnection:
        """The newest connection, waiting for the first."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._current = self._connections.get_nowait()
        if self._current is None:
            self._current = self._connections.get(timeout=PATIENCE_S)
        return self._current

    def next_connection(self) -> ServerConnection:
        """The next connection that is made."""
        self._current = self._connections.get(timeout=PATIENCE_S)
        return self._current

    def receive(self, timeout: float = PATIENCE_S) -> Message | None:
        """The device's next message, None if there is none within `timeout` seconds."""
        try:
            return self.connection.recv(timeout)
        except (TimeoutError, ConnectionClosed):
            return None

    def send(self, message: Message) -> None:
        assert isinstance(message, (str, bytes))
        self.connection.send(message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake, as a gateway does that says goodbye."""
        self.connection.close(code, reason)

    def break_(self) -> None:
        """Cut the connection without a word."""
        with contextlib.suppress(OSError):
            self.connection.socket.shutdown(socket.SHUT_RDWR)

    def _keep(self, connection: ServerConnection) -> None:
        self._connections.put(connection)
        self._over.wait()
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)


Script = Callable[[socket.socket], None]


class ScriptedServer:
    """A TCP server that runs `script` on every connection, in a thread of its own, and closes it afterwards."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self._over = False
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, name="scripted-server")
        self.accepted = threading.Event()

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over = True
        # Wakes `accept` on every system.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE_S):
            pass
        self._thread.join(PATIENCE_S)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        while not self._over:
            try:
                sock, _place = self._listener.accept()
            except TimeoutError:
                continue
            if self._over:
                sock.close()
                return
            self._open.append(sock)
            self.accepted.set()
            thread = threading.Thread(target=self._run, args=(sock,), name="scripted-connection")
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE_S)
        with sock, contextlib.suppress(OSError):
            self._script(sock)


def read_head(sock: socket.socket) -> str:
    """An HTTP head, up to the empty line."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            break
        head += byte
    return head.decode("latin-1")


def upgrade(sock: socket.socket) -> str:
    """Accept a WebSocket, then leave its frames to the caller; returns the request's head."""
    head = read_head(sock)
    nonce = next(
        line.split(":", 1)[1].strip() for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key")
    )
    accepted = base64.b64encode(
        hashlib.sha1((nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    ).decode()
    sock.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\n\r\n".encode()
    )
    return head


def answers(status: int, body: bytes = b"", **headers: str) -> Script:
    """A script that answers any request with this and closes."""

    def script(sock: socket.socket) -> None:
        read_head(sock)
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        stay(sock)

    return script


def stay(sock: socket.socket) -> None:
    """Read and say nothing until the other end closes."""
    while sock.recv(65_536):
        pass


class RequestGateway:
    """An HTTP/1.1 server whose answers are the test's: `receive` a request, then `send` its answer or `break_`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._requests: queue.Queue[tuple[HttpRequest, queue.Queue[HttpAnswer | None]]] = queue.Queue()
        self._pending: list[queue.Queue[HttpAnswer | None]] = []
        self._waiting: set[queue.Queue[HttpAnswer | None]] = set()
        self.connections = 0
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                gateway.connections += 1

            def handle_one_request(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def do_POST(self) -> None:
                gateway._serve(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base has this name
                """Nothing: a test's output is its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._server.handle_error = lambda *_args: None  # type: ignore[method-assign]
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="request-gateway"
        )
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> RequestGateway:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE_S)
        for answer in list(self._waiting):
            answer.put(None)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def receive(self, timeout: float = PATIENCE_S) -> Message | None:
        """The next request, None if none comes within `timeout` seconds."""
        try:
            request, answer = self._requests.get(timeout=timeout)
        except queue.Empty:
            return None
        self._pending.append(answer)
        return request

    def send(self, message: Message) -> None:
        """Answer the oldest request that was received and not answered."""
        assert isinstance(message, HttpAnswer)
        self._pending.pop(0).put(message)

    def break_(self) -> None:
        """Cut the connection of the oldest unanswered request."""
        self._pending.pop(0).put(None)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        self._sockets.append(handler.connection)
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        answer: queue.Queue[HttpAnswer | None] = queue.Queue()
        self._waiting.add(answer)
        self._requests.put((HttpRequest(handler.command, handler.path, headers, body), answer))
        reply = answer.get()
        self._waiting.discard(answer)
        if reply is None:
            handler.close_connection = True
            with contextlib.suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)


@contextlib.contextmanager
def connect_proxy(target: int, *, login: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """A proxy that takes CONNECT to anywhere and joins it to `target` on this machine; yields its port and the heads.

    `login` ("user:password") is asked for where it is given.
    """
    heads: list[str] = []
    wanted = None if login is None else "Basic " + base64.b64encode(login.encode()).decode()

    def script(sock: socket.socket) -> None:
        head = read_head(sock)
        heads.append(head)
        if wanted is not None and f"Proxy-Authorization: {wanted}" not in head:
            sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", target), PATIENCE_S) as far:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(far, sock), name="proxy-back")
            back.start()
            _pass_on(sock, far)
            back.join(PATIENCE_S)

    with ScriptedServer(script) as server:
        yield server.port, heads


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
