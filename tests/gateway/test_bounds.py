"""How much of the server one client, or a thousand slow ones, can hold."""

from __future__ import annotations

import contextlib
import resource
import socket as plain_socket
import time
from collections.abc import Iterator

import pytest
from websockets.frames import Frame, Opcode

from plexus.gateway import Gateway, listening
from plexus.gateway.asgi import Receive, Scope, Send, send_json
from plexus.gateway.connections import PIPELINED
from plexus.gateway.core import Limits
from plexus.gateway.ingest import IngestHandler
from plexus.gateway.settings import Settings
from tests.support.gateway import KEY, PATIENCE_S, device, http, running, socket
from tests.support.waiting import eventually


@contextlib.contextmanager
def limited(**limits: float) -> Iterator[Gateway]:
    """A gateway with these limits."""
    with running(settings=Settings(limits=Limits(**limits))) as gateway:  # type: ignore[arg-type]
        yield gateway


def raw(gateway: Gateway) -> plain_socket.socket:
    return plain_socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S)


def ended(sock: plain_socket.socket) -> bytes:
    """What comes until the other side closes."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65_536):
            heard += part
    return heard


def rejected(gateway: Gateway, reason: str) -> float:
    return gateway.core.meters.registry.get_sample_value("plexus_rejects_total", {"reason": reason}) or 0.0


class TestConnections:
    def test_one_too_many_is_told_and_closed_and_the_others_go_on(self) -> None:
        with limited(connections=3) as gateway, contextlib.ExitStack() as stack:
            held = [stack.enter_context(raw(gateway)) for _ in range(3)]
            with raw(gateway) as fourth:
                answer = ended(fourth)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"too many" in answer or b"all the connections" in answer
            assert rejected(gateway, "connections") == 1
            held.pop().close()
            eventually(lambda: self.serves(gateway))

    def serves(self, gateway: Gateway) -> bool:
        with http(gateway) as client:
            return client.get("/healthz").status_code == 200

    def test_open_sockets_count_too(self) -> None:
        with limited(connections=1) as gateway, device(gateway) as wire, raw(gateway) as second:
            assert ended(second).startswith(b"HTTP/1.1 503 ")
            wire.say(type="heartbeat")

    def test_a_connection_without_a_request_is_let_go(self) -> None:
        with limited(keep_alive_s=0) as gateway, raw(gateway) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            assert b"200 OK" in ended(sock)


class TestBodies:
    def test_who_was_answered_may_not_go_on_sending(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A refused upload that comes a byte at a time would otherwise stay open for ever."""
        monkeypatch.setattr("plexus.gateway.server.LINGER_S", 0.1)
        with limited() as gateway, raw(gateway) as sock:
            sock.sendall(b"POST /ingest HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000000\r\n\r\n")
            assert b" 401 " in sock.recv(65_536)
            with contextlib.suppress(OSError):
                for _ in range(int(PATIENCE_S * 100)):
                    sock.sendall(b"x")
                    time.sleep(0.01)
                pytest.fail("the connection is still open")

    def test_a_refusal_in_the_middle_of_an_upload_is_read_all_the_same(self) -> None:
        with limited() as gateway, http(gateway, None) as client:
            assert client.post("/ingest", content=b"x" * 4_000_000).status_code == 401


class TestPipelines:
    REQUEST = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"

    def test_as_many_as_are_allowed_are_answered_in_turn(self) -> None:
        last = self.REQUEST.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        with limited() as gateway, raw(gateway) as sock:
            sock.sendall(self.REQUEST * PIPELINED + last)
            assert ended(sock).count(b"HTTP/1.1 200 ") == PIPELINED + 1

    def test_thousands_at_once_are_not_kept(self) -> None:
        with limited() as gateway, raw(gateway) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(self.REQUEST * 5_000)
            assert ended(sock).count(b"HTTP/1.1 200 ") < 5_000
            assert rejected(gateway, "pipelined") == 1


CHUNKED = f"POST /ingest HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n".encode()


class TestBetweenChunks:
    """What a body without a length has beside its bytes, and who sends it needs no key."""

    @pytest.mark.parametrize("begun", [b"1;", b"0\r\nx-junk: ", b"0\r\nx-"], ids=["extension", "trailer", "its name"])
    @pytest.mark.parametrize("keyless", [False, True])
    def test_it_is_cut_at_the_size_of_a_head(self, begun: bytes, keyless: bool) -> None:
        with limited() as gateway, raw(gateway) as sock:
            sock.sendall(CHUNKED.replace(b"x-api-key", b"x-nothing") if keyless else CHUNKED)
            with contextlib.suppress(ConnectionError):
                sock.sendall(begun)
                for _ in range(16):
                    sock.sendall(b"x" * 65_536)
            heard = ended(sock)
            eventually(lambda: rejected(gateway, "head_size") == 1, what="the count")
            # A connection that is cut while it still sends may lose what it was told.
            assert not heard or b" 401 " in heard or b" 431 " in heard

    def test_trailers_are_no_headers_and_are_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        named: list[bytes] = []

        async def reads(_: object, scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["more_body"]:
                pass
            named.extend(name for name, _ in scope["headers"])
            await send_json(send, 200, {})

        monkeypatch.setattr(IngestHandler, "__call__", reads)
        with limited() as gateway, raw(gateway) as sock:
            sock.sendall(CHUNKED + b"0\r\n" + b"x-trailer: 1\r\n" * 10_000 + b"\r\n")
            assert b" 200 " in sock.recv(65_536)
        assert named == [b"host", b"x-api-key", b"transfer-encoding"]

    def test_many_small_chunks_are_a_body_like_any_other(self) -> None:
        body = b'{"source_id":"rig-01","points":[]}'.ljust(20_000)
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
        with limited(head_bytes=1_000) as gateway, raw(gateway) as sock:
            sock.sendall(CHUNKED)
            for first in range(0, len(chunks), 999):
                sock.sendall(chunks[first : first + 999])
            sock.sendall(b"0\r\n\r\n")
            assert b" 200 " in sock.recv(65_536)


class TestFragments:
    def send(self, gateway: Gateway, count: int, piece: bytes) -> tuple[int, str]:
        with socket(gateway, "/ws/device") as wire:
            sock = wire.connection.socket
            opcodes = [Opcode.TEXT] + [Opcode.CONT] * (count - 1)
            frames = [Frame(opcode, piece, fin=False).serialize(mask=True) for opcode in opcodes]
            with contextlib.suppress(OSError):
                sock.sendall(b"".join(frames))
            return wire.closed()

    @pytest.mark.parametrize("piece", [b"", b"x"])
    def test_a_hundred_thousand_are_cut_off(self, shared: Gateway, piece: bytes) -> None:
        before = rejected(shared, "fragments")
        code, reason = self.send(shared, 100_000, piece)
        assert (code, "fragments" in reason) == (1009, True)
        assert rejected(shared, "fragments") == before + 1

    def test_as_many_as_are_allowed_are_a_message(self) -> None:
        with limited(message_fragments=4) as gateway, socket(gateway, "/ws/device") as wire:
            text = f'{{"type":"device_auth","api_key":"{KEY}","source_id":"rig-01"}}'
            wire.connection.send(iter([text[:10], text[10:20], text[20:]]))
            assert wire.hear()["type"] == "authenticated"

    def test_one_more_is_not(self) -> None:
        with limited(message_fragments=4) as gateway:
            assert self.send(gateway, 5, b"x")[0] == 1009


class TestDescriptors:
    @pytest.fixture
    def limit(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
        """The limit of open files as the system has it; the last is in force."""
        kept = [(1024, 4096)]
        monkeypatch.setattr(resource, "getrlimit", lambda _kind: kept[-1])
        monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: kept.append(limits))
        return kept

    def test_it_is_raised_to_what_is_needed(self, limit: list[tuple[int, int]]) -> None:
        assert listening.make_room(2000) == 2000
        assert limit[-1] == (2000 + listening.OWN_DESCRIPTORS, 4096)

    def test_where_it_cannot_be_it_is_said_and_fewer_are_let_in(
        self, limit: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert listening.make_room(10_000) == 4096 - listening.OWN_DESCRIPTORS
        assert limit[-1] == (4096, 4096)
        assert "LimitNOFILE" in caplog.text

    def test_enough_is_left_alone(self, limit: list[tuple[int, int]]) -> None:
        assert listening.make_room(100) == 100
        assert len(limit) == 1
