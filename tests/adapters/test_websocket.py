"""The WebSocket transport against real servers: its address, what arrives and what is refused, and how it ends."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from plexus.adapters.transport.addresses import Address
from plexus.adapters.transport.connection import Connection
from plexus.adapters.transport.websocket import SocketTransport, socket_url
from plexus.domain.errors import ConfigurationError, TransportClosed, TransportError
from tests.adapters.dialling import opened
from tests.support.servers import PATIENCE_S, ScriptedServer, SocketGateway, stay, upgrade
from tests.support.waiting import eventually

TEXT, BINARY, CLOSE, PING = 0x81, 0x82, 0x88, 0x89


@pytest.fixture
def gateway() -> Iterator[SocketGateway]:
    with SocketGateway() as server:
        yield server


def frame(first: int, payload: bytes) -> bytes:
    """A server's frame, of up to 65,535 bytes."""
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    return bytes([first, 126]) + struct.pack("!H", len(payload)) + payload


def received_close(sock: socket.socket) -> int:
    """The code of the close frame that a device sends next, unmasked."""
    header = sock.recv(2)
    assert header[0] == CLOSE
    mask, payload = sock.recv(4), sock.recv(header[1] & 0x7F)
    return int(struct.unpack("!H", bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)))[0])


# --- addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("wss://gateway.plexus.company", "wss://gateway.plexus.company/ws/device"),
        ("wss://gateway.plexus.company/ws/device", "wss://gateway.plexus.company/ws/device"),
        ("https://host:8443/base/", "wss://host:8443/base/ws/device"),
        ("http://[::1]:80", "ws://[::1]:80/ws/device"),
        (" ws://host/ws/device/?a=b ", "ws://host/ws/device?a=b"),
        ("ws://user:secret@host", "ws://host/ws/device"),
    ],
)
def test_an_address_is_completed(given: str, full: str) -> None:
    assert socket_url(given) == full


@pytest.mark.parametrize(
    "url", ["", "gateway", "ftp://host", "ws://", "ws://host:port", "ws://host:99999", "ws://[::1"]
)
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="gateway's address"):
        SocketTransport(url)


def test_a_password_in_an_address_is_not_in_its_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SocketTransport("ftp://user:secret@host")
    assert "secret" not in str(caught.value)


def test_the_upgrade_names_path_host_and_agent() -> None:
    heads: list[str] = []

    def script(sock: socket.socket) -> None:
        heads.append(upgrade(sock))
        stay(sock)

    with ScriptedServer(script) as server:
        opened(f"ws://127.0.0.1:{server.port}/a b/%C3%A9?x=1", user_agent="agent/1").close()
        lines = heads[0].split("\r\n")
        assert lines[0] == "GET /a%20b/%C3%A9/ws/device?x=1 HTTP/1.1"
        assert f"Host: 127.0.0.1:{server.port}" in lines
        assert "User-Agent: agent/1" in lines
        assert "origin" not in heads[0].lower()


def test_the_usual_port_is_not_named_in_the_host_header() -> None:
    assert Address("host", 443, secure=True).host_header == "host"
    assert Address("host", 443, secure=False).host_header == "host:443"
    assert Address("::1", 8000, secure=False).host_header == "[::1]:8000"


# --- messages -----------------------------------------------------------------------------------------------


def test_fragments_become_one_message(gateway: SocketGateway) -> None:
    transport = opened(gateway.url)
    gateway.connection.send(["one ", "two ", "three"])
    assert transport.receive(PATIENCE_S) == "one two three"
    gateway.connection.send([b"\x00", b"", b"\xff"])
    assert transport.receive(PATIENCE_S) == b"\x00\xff"
    transport.close()


def test_a_ping_is_answered_without_a_message(gateway: SocketGateway) -> None:
    transport = opened(gateway.url)
    answered = gateway.connection.ping(b"payload")
    eventually(lambda: transport.receive(0.0) is None and answered.is_set())
    transport.close()


def test_a_ping_between_fragments_is_answered_and_the_message_goes_on() -> None:
    pongs: list[bytes] = []

    def script(sock: socket.socket) -> None:
        upgrade(sock)
        sock.sendall(frame(0x01, b"one ") + frame(PING, b"?") + frame(0x80, b"two"))
        pongs.append(sock.recv(7))
        stay(sock)

    with ScriptedServer(script) as server:
        transport = opened(f"ws://127.0.0.1:{server.port}")
        assert transport.receive(PATIENCE_S) == "one two"
        eventually(lambda: pongs)
        assert pongs[0][0] == 0x8A
        transport.close()


def test_a_frame_that_comes_in_pieces_is_gone_on_with() -> None:
    go_on = threading.Event()
    whole = frame(TEXT, b"x" * 1_000)

    def script(sock: socket.socket) -> None:
        upgrade(sock)
        for piece in (whole[:1], whole[1:3], whole[3:500], whole[500:]):
            sock.sendall(piece)
            go_on.wait(PATIENCE_S)
            go_on.clear()
        stay(sock)

    with ScriptedServer(script) as server:
        transport = opened(f"ws://127.0.0.1:{server.port}")
        for _ in range(3):
            assert transport.receive(0.02) is None
            go_on.set()
        assert transport.receive(PATIENCE_S) == "x" * 1_000
        go_on.set()
        transport.close()


def test_a_message_of_the_limit_is_taken_and_one_byte_more_ends_the_link_with_1009(gateway: SocketGateway) -> None:
    transport = opened(gateway.url, max_message_bytes=1_000)
    gateway.send(b"x" * 1_000)
    assert transport.receive(PATIENCE_S) == b"x" * 1_000
    gateway.send(b"x" * 1_001)
    with pytest.raises(TransportError, match="over the limit of 1000 bytes"):
        transport.receive(PATIENCE_S)
    assert gateway.receive() is None
    assert gateway.connection.close_code == 1009


def test_fragments_over_the_limit_together_end_the_link(gateway: SocketGateway) -> None:
    transport = opened(gateway.url, max_message_bytes=1_000)
    gateway.connection.send([b"x" * 600, b"x" * 600])
    with pytest.raises(TransportError, match="over the limit"):
        transport.receive(PATIENCE_S)


@pytest.mark.parametrize(
    ("sent", "says", "code"),
    [
        (frame(TEXT, b"\xff\xfe"), "not UTF-8", 1007),
        (frame(0x80, b"x"), "in the wrong order", 1002),
        (frame(0x01, b"x") + frame(TEXT, b"y"), "in the wrong order", 1002),
        (frame(0xC1, b"x"), "no WebSocket frame", 1002),
        (frame(0x83, b"x"), "no WebSocket frame", 1002),
        (frame(CLOSE, b"\x00"), "no WebSocket frame", 1002),
        (frame(PING, b"x" * 126), "control frame that is too long", 1002),
    ],
)
def test_broken_framing_ends_the_link_and_is_told_to_the_gateway(sent: bytes, says: str, code: int) -> None:
    codes: list[int] = []

    def script(sock: socket.socket) -> None:
        upgrade(sock)
        sock.sendall(sent)
        codes.append(received_close(sock))

    with ScriptedServer(script) as server:
        transport = opened(f"ws://127.0.0.1:{server.port}")
        with pytest.raises(TransportError, match=says):
            transport.receive(PATIENCE_S)
        eventually(lambda: codes)
        assert codes == [code]


def test_a_frame_announced_as_endless_is_refused_before_it_comes() -> None:
    def script(sock: socket.socket) -> None:
        upgrade(sock)
        sock.sendall(bytes([BINARY, 127]) + struct.pack("!Q", 2**62) + b"x")
        stay(sock)

    with ScriptedServer(script) as server:
        transport = opened(f"ws://127.0.0.1:{server.port}")
        with pytest.raises(TransportError, match="over the limit"):
            transport.receive(PATIENCE_S)


# --- the end ------------------------------------------------------------------------------------------------


def test_a_goodbye_is_heard_by_the_very_next_send_though_the_connection_stays_open() -> None:
    def script(sock: socket.socket) -> None:
        upgrade(sock)
        sock.sendall(frame(TEXT, b"last word") + frame(CLOSE, struct.pack("!H", 1001) + b"restarting"))
        stay(sock)

    with ScriptedServer(script) as server:
        transport = opened(f"ws://127.0.0.1:{server.port}")
        link: Any = transport._link
        assert select.select([link._sock], [], [], PATIENCE_S)[0]
        with pytest.raises(TransportClosed, match=r"1001: restarting") as caught:
            transport.send("too late")
        assert caught.value.code == 1001
        assert transport.receive(0.0) == "last word"
        with pytest.raises(TransportClosed):
            transport.receive(0.0)


def test_a_close_without_a_code_is_1005(gateway: SocketGateway) -> None:
    def script(sock: socket.socket) -> None:
        upgrade(sock)
        sock.sendall(frame(CLOSE, b""))
        stay(sock)

    with ScriptedServer(script) as server:
        transport = opened(f"ws://127.0.0.1:{server.port}")
        with pytest.raises(TransportClosed) as caught:
            transport.receive(PATIENCE_S)
        assert caught.value.code == 1005


def test_closing_says_goodbye_with_1000_after_what_was_sent(gateway: SocketGateway) -> None:
    transport = opened(gateway.url)
    transport.send("last word")
    transport.close()
    assert gateway.receive() == "last word"
    assert gateway.receive() is None
    assert gateway.connection.close_code == 1000


class WriteBroken(socket.socket):
    """A socket whose other end is gone, as far as writing is concerned."""

    def send(self, data: Any, flags: int = 0) -> int:
        raise BrokenPipeError("broken pipe")


def test_what_came_before_a_write_failed_is_received_and_a_goodbye_among_it_counts() -> None:
    near, far = socket.socketpair()
    broken = WriteBroken(near.family, near.type, near.proto, near.detach())
    link = Connection(broken, Address("host", 1, secure=False), 1.0, 1_000)
    far.sendall(
        frame(TEXT, b"ack") + frame(PING, b"?") + frame(TEXT, b"ack too") + frame(CLOSE, struct.pack("!H", 1013))
    )
    link._outgoing.put(b"x")
    link._write_on()
    assert [link.receive(0.0), link.receive(0.0)] == ["ack", "ack too"]
    with pytest.raises(TransportClosed) as caught:
        link.receive(0.0)
    assert caught.value.code == 1013
    link.leave()
    far.close()


def test_a_gateway_that_never_stops_talking_does_not_hold_up_close() -> None:
    def script(sock: socket.socket) -> None:
        upgrade(sock)
        while True:
            sock.sendall(frame(BINARY, b"x" * 60_000))

    with ScriptedServer(script) as server:
        transport = opened(f"ws://127.0.0.1:{server.port}")
        transport.close()


def test_the_link_opens_again_after_a_gateway_was_away() -> None:
    with SocketGateway() as first:
        transport = opened(first.url)
        first.break_()
        with pytest.raises(TransportError, match="was cut"):
            transport.receive(PATIENCE_S)
        transport.open(PATIENCE_S)
        first.next_connection()
        transport.send("back")
        eventually(lambda: first.receive(0.1) == "back")
        transport.close()
