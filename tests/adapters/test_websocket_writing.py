"""Writing to a socket whose other end takes nothing, or takes it slowly: `send` never waits, and nothing is lost."""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from plexus.adapters.transport import framing
from plexus.adapters.transport.addresses import Address
from plexus.adapters.transport.connection import MAX_PONG_BACKLOG_BYTES, Connection
from plexus.adapters.transport.outgoing import Outgoing
from plexus.adapters.transport.websocket import SocketTransport
from plexus.device.link import MAX_PENDING_BYTES, Link
from plexus.domain.errors import TransportError
from plexus.protocol.batch import Batch
from plexus.protocol.device import DeviceSession
from plexus.protocol.messages import Ended, Ready
from tests.support.pair import batch_of, hello
from tests.support.servers import AUTHORITY, PATIENCE_S, ScriptedServer, server_tls, upgrade

CHUNK = b"\xa5" * 100_000
PINGED = b"\x89\x00"


class Time:
    """Monotonic seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """A WebSocket server that reads only when it is told to; what it read is in `messages`."""

    def __init__(self, tls: ssl.SSLContext | None = None, room: int | None = None) -> None:
        self.messages: queue.Queue[str | bytes] = queue.Queue()
        self.reads = threading.Event()
        self.sock: socket.socket | None = None
        self._tls = tls
        self._room = room

    def __call__(self, sock: socket.socket) -> None:
        if self._room is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._room)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_side=True)
        self.sock = sock
        upgrade(sock)
        self.reads.wait(PATIENCE_S * 3)
        with contextlib.suppress(OSError, EOFError), sock:
            sock.settimeout(PATIENCE_S)
            while True:
                self.messages.put(_read_message(sock))


def _read_message(sock: socket.socket) -> str | bytes:
    first, second = _exactly(sock, 2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(_exactly(sock, 2), "big")
    elif size == 127:
        size = int.from_bytes(_exactly(sock, 8), "big")
    assert second & 0x80, "a client's frame is masked"
    mask, payload = _exactly(sock, 4), _exactly(sock, size)
    plain = _unmasked(payload, mask)
    return plain.decode() if first == 0x81 else plain


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    return payload if mask == bytes(4) else bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


@contextlib.contextmanager
def reading(
    *, tls: bool = False, timeout: float = PATIENCE_S, time: Time | None = None, room: int | None = None
) -> Iterator[tuple[SocketTransport, Reader]]:
    """A link to a server that takes nothing until `reads` is set."""
    reader = Reader(server_tls() if tls else None, room)
    with ScriptedServer(reader) as server:
        scheme = "wss" if tls else "ws"
        url = f"{scheme}://127.0.0.1:{server.port}"
        transport = SocketTransport(url) if time is None else SocketTransport(url, clock=time)
        transport.open(timeout)
        try:
            yield transport, reader
        finally:
            reader.reads.set()
            transport.close()


def fill(transport: SocketTransport) -> list[bytes]:
    """Send until the network takes no more, and then some; what was sent."""
    sent: list[bytes] = []
    while transport.pending < 3 * len(CHUNK):
        sent.append(len(sent).to_bytes(4, "big") + CHUNK)
        transport.send(sent[-1])
        assert len(sent) < 1_000
    return sent


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_send_returns_at_once_though_nobody_reads_and_what_waits_goes_out_whole_and_in_order(tls: bool) -> None:
    with reading(tls=tls) as (transport, reader):
        sent = [*fill(transport), b"last"]
        transport.send(b"last")
        reader.reads.set()
        while transport.pending:
            assert transport.receive(0.5) is None
        assert [reader.messages.get(timeout=PATIENCE_S) for _ in sent] == sent


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_later_send_writes_on_too(tls: bool) -> None:
    with reading(tls=tls) as (transport, reader):
        sent = fill(transport)
        before = transport.pending
        reader.reads.set()
        assert reader.messages.get(timeout=PATIENCE_S) == sent[0]
        transport.send(b"small")
        assert transport.pending < before


def test_receive_waits_as_long_as_it_was_asked_to_and_no_longer_while_something_is_pending() -> None:
    with reading() as (transport, _reader):
        fill(transport)
        assert transport.receive(0.0) is None
        assert transport.receive(0.05) is None
        transport.wake()
        assert transport.receive(PATIENCE_S * 10) is None


def test_messages_are_received_while_nothing_can_be_written() -> None:
    with reading() as (transport, reader):
        fill(transport)
        assert reader.sock is not None
        reader.sock.sendall(b"\x81\x03ack")
        assert transport.receive(PATIENCE_S) == "ack"
        assert transport.pending


def test_a_network_that_takes_nothing_for_the_time_out_breaks_the_link() -> None:
    time = Time()
    with reading(timeout=7.0, time=time) as (transport, _reader):
        fill(transport)
        time.now += 6.9
        assert transport.receive(0.0) is None
        time.now += 0.2
        for _ in range(2):
            with pytest.raises(TransportError, match=r"127\.0\.0\.1:\d+ within 7 s"):
                transport.receive(0.0)
        with pytest.raises(TransportError, match="within 7 s"):
            transport.send(b"more")


def test_send_finds_it_out_as_well() -> None:
    time = Time()
    with reading(timeout=7.0, time=time) as (transport, _reader):
        fill(transport)
        time.now += 7.1
        with pytest.raises(TransportError, match="within 7 s"):
            transport.send(b"more")


def test_a_receive_that_waits_ends_when_the_network_has_taken_nothing_for_too_long() -> None:
    # With little room at the other end: with much, a kernel still finds some for a while.
    with reading(timeout=0.3, room=4_096) as (transport, _reader):
        fill(transport)
        with pytest.raises(TransportError, match=r"within 0\.3 s"):
            transport.receive(PATIENCE_S * 10)


def test_a_slow_reader_is_given_time_as_long_as_it_takes_something() -> None:
    time, near, far = Time(), *socket.socketpair()
    near.setblocking(False)
    outgoing = Outgoing(near, 10.0, time)
    sent = CHUNK * 20
    outgoing.put(sent)
    taken = bytearray()
    while outgoing.pending:
        outgoing.write()
        time.now += 9.0
        while select.select([far], [], [], 0)[0]:
            taken += far.recv(65_536)
    outgoing.write()
    while select.select([far], [], [], 0)[0]:
        taken += far.recv(65_536)
    assert bytes(taken) == sent
    near.close()
    far.close()


def test_time_that_passed_while_nothing_was_sent_is_not_held_against_the_network() -> None:
    time, near, far = Time(), *socket.socketpair()
    near.setblocking(False)
    outgoing = Outgoing(near, 10.0, time)
    outgoing.put(b"x")
    outgoing.write()
    time.now += 1_000.0
    outgoing.put(CHUNK * 20)
    outgoing.write()
    assert outgoing.pending
    assert outgoing.patience_left == 10.0
    near.close()
    far.close()


class Renegotiating(socket.socket):
    """Cannot be written to before something was read, as TLS says at times."""

    def send(self, data: object, flags: int = 0) -> int:
        raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "read first")


def test_a_write_that_has_to_read_first_does_not_wait_for_room_to_write() -> None:
    near, far = socket.socketpair()
    link = Connection(
        Renegotiating(near.family, near.type, near.proto, near.detach()), Address("host", 1, False), 5.0, 1_000
    )
    link.send("x")
    # There is room to write all the time: waiting for it would not wait at all.
    assert link.receive(0.05) is None
    far.sendall(b"\x81\x02hi")
    assert link.receive(PATIENCE_S) == "hi"
    far.close()
    link.leave()


def test_pongs_are_not_piled_up_for_a_gateway_that_does_not_read() -> None:
    near, far = socket.socketpair()
    link = Connection(near, Address("host", 1, secure=False), PATIENCE_S, 1_000)
    link.send(CHUNK * 20)
    full = link.pending
    assert full > MAX_PONG_BACKLOG_BYTES
    far.sendall(PINGED * 100 + b"\x81\x02hi")
    assert link.receive(PATIENCE_S) == "hi"
    assert link.pending == full
    far.close()
    link.leave()


def test_closing_over_what_waits_ends_soon() -> None:
    with reading() as (transport, _reader):
        fill(transport)
        transport.close()
        assert transport.pending == 0


# --- the link on top of it -------------------------------------------------------------------------------------


def test_the_link_goes_on_over_a_blackholed_peer_and_ends_after_the_time_out() -> None:
    time, reader = Time(), Reader()

    def greet(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        upgrade(sock)
        answer = b'{"type":"authenticated","source_id":"drone-01","acks":true,"ext":{"batch":1}}'
        sock.sendall(bytes([0x81, len(answer)]) + answer)
        reader.reads.wait(PATIENCE_S * 3)

    with ScriptedServer(greet) as server:
        link = Link(
            "ws",
            SocketTransport(f"ws://127.0.0.1:{server.port}", clock=time),
            lambda: DeviceSession(hello(), lambda: round(time.now * 1e9)),
            timeout_s=7.0,
            run=lambda dial: dial(),
            rang=lambda: None,
        )
        link.dial()
        events = link.poll(time.now)
        while not any(isinstance(event, Ready) for event in events):
            link.wait(0.05, time)
            events = link.poll(time.now)
        sent: list[Batch] = []
        while link.has_room(1):
            batch = batch_of(len(sent) + 1)
            sent.append(batch)
            link.submit(batch, 1, b"[" + b" " * 500_000 + b"]", time.now)
        assert 0 < len(sent) < 32
        assert link.is_clogged() or link.in_flight() >= MAX_PENDING_BYTES // 500_000
        assert link.poll(time.now + 6.9) == []
        time.now += 7.1
        (ended,) = link.poll(time.now)
        assert isinstance(ended, Ended)
        assert ended.batches == tuple(sent)
        assert not link.open
        reader.reads.set()


# --- frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, 65_535, 65_536, 100_001])
@pytest.mark.parametrize("hidden", [False, True], ids=["open", "hidden"])
def test_a_frame_of_any_size_is_read_as_it_was_written(size: int, hidden: bool) -> None:
    payload = bytes(index % 251 for index in range(size))
    near, far = socket.socketpair()
    with near, far:
        writer = threading.Thread(target=near.sendall, args=(framing.encode(payload, hidden=hidden),))
        writer.start()
        assert _read_message(far) == payload
        writer.join()


def test_where_others_can_look_on_every_frame_has_a_mask_of_its_own() -> None:
    masks = {framing.encode(b"same")[2:6] for _ in range(100)}
    assert len(masks) == 100
    assert b"same" not in framing.encode(b"same" * 10)


def test_over_tls_and_on_this_machine_alone_nothing_is_masked_for_nobody() -> None:
    for address, plain in (
        (Address("gateway.test", 443, secure=True), True),
        (Address("127.0.0.1", 80, secure=False), True),
        (Address("gateway.test", 80, secure=False), False),
    ):
        near, far = socket.socketpair()
        link = Connection(near, address, PATIENCE_S, 1_000)
        link.send("a word in plain text")
        assert (b"a word in plain text" in far.recv(1_000)) is plain
        far.close()
        link.leave()
