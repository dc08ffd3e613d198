"""How fast a message of a WebSocket must come once it has begun: a slow line gets through, a trickle is closed."""

from __future__ import annotations

import asyncio
import json
import socket as plain_socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.server import ServerProtocol

from plexus.gateway import Gateway
from plexus.gateway.core import Limits, Sockets
from plexus.gateway.devices import LARGER_MESSAGES
from plexus.gateway.pacing import AHEAD_S, Arrival
from plexus.gateway.server import PING_S, PONG_S, Server, _SocketProtocol
from plexus.gateway.wholeframes import PORTION, within_message
from tests.gateway.livewires import quiet
from tests.gateway.test_bounds import limited, rejected
from tests.security.target import RawSocket, frame, handshake
from tests.support.gateway import KEY, device
from tests.support.waiting import eventually

GRACE_S, RATE = 10.0, 500.0
METRICS = "/v1/sources/rig-01/metrics/stream"


@attrs.define(eq=False)
class Timer:
    """One call to come."""

    at: float
    callback: Callable[[], Any]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A clock that goes on when it is told to, and calls what was due meanwhile."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.made: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Any:
        self.made.append(Timer(self.now + delay, callback))
        return self.made[-1]

    @property
    def waiting(self) -> list[Timer]:
        return [timer for timer in self.made if not timer.cancelled]

    def go(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.waiting if timer.at <= end]:
            first = min(due, key=lambda timer: timer.at)
            first.cancel()
            self.now = first.at
            first.callback()
        self.now = end


class Line:
    """One socket's messages on a clock of its own; `ended` says when it was given up and with which words."""

    def __init__(self, grace_s: float = GRACE_S, bytes_s: float = RATE) -> None:
        self.loop = Loop()
        self.ended: list[tuple[float, str]] = []
        self.arrival = Arrival(grace_s, bytes_s, self.loop, self._give_up)  # type: ignore[arg-type]
        self._began = self.loop.now

    def _give_up(self, reason: str) -> None:
        self.ended.append((self.loop.now - self._began, reason))

    def sends(self, size: int, every_s: float, times: int, *, held: bool = False) -> Line:
        """So many bytes at a time, of one message that does not end."""
        for _ in range(times):
            if self.ended:
                break
            self.arrival.came(size, held=held)
            self.loop.go(every_s)
        return self


class TestPace:
    def test_a_byte_every_ten_seconds_is_given_up_when_the_grace_is_over(self) -> None:
        ((after_s, reason),) = Line().sends(1, 9.0, 100).ended
        assert after_s == pytest.approx(GRACE_S, abs=0.1)
        assert reason == "a message must come at 500 bytes a second after the first 10 s"

    def test_a_bad_line_may_bring_sixteen_mib(self) -> None:
        assert not Line().sends(30_000, 1.0, 16 * 2**20 // 30_000).ended

    def test_a_modem_may_too(self) -> None:
        assert not Line().sends(2_000, 1.0, 16 * 2**20 // 2_000).ended

    def test_a_line_that_stalls_for_half_a_minute_goes_on(self) -> None:
        line = Line().sends(30_000, 1.0, 30)
        line.loop.go(30.0)
        assert not line.sends(30_000, 1.0, 30).ended

    def test_what_came_fast_is_good_for_a_minute_of_silence_and_no_more(self) -> None:
        line = Line().sends(1_000_000, 0.0, 10)
        line.loop.go(3_600.0)
        assert line.ended[0][0] == pytest.approx(AHEAD_S)

    def test_a_trickle_behind_it_does_not_make_it_longer(self) -> None:
        line = Line().sends(10_000_000, 0.0, 1).sends(1, 5.0, 1_000)
        assert line.ended[0][0] == pytest.approx(AHEAD_S, abs=1.0)

    def test_without_a_rate_nobody_is_given_up(self) -> None:
        line = Line(bytes_s=0.0).sends(1, 100.0, 100)
        assert (line.ended, line.loop.made, line.arrival.under_way) == ([], [], False)


class TestWhatIsWaitedFor:
    def test_each_message_has_a_grace_of_its_own(self) -> None:
        line = Line()
        for _ in range(100):
            line.sends(1, 6.0, 1)
            line.arrival.end()
        assert not line.ended

    def test_between_messages_nobody_is_waited_for(self) -> None:
        line = Line().sends(1, 1.0, 1)
        line.arrival.end()
        line.loop.go(3_600.0)
        assert (line.ended, line.loop.waiting) == ([], [])

    def test_while_we_do_not_read_the_clock_does_not_run(self) -> None:
        line = Line().sends(1, 3_600.0, 2, held=True)
        assert not line.ended
        line.arrival.go_on()
        line.loop.go(GRACE_S - 0.1)
        assert not line.ended
        line.loop.go(0.2)
        assert len(line.ended) == 1

    def test_it_stops_too_for_a_message_that_had_begun(self) -> None:
        line = Line().sends(1, 1.0, 1).sends(1, 3_600.0, 1, held=True)
        assert not line.ended

    def test_to_read_on_begins_nothing_where_nothing_was_begun(self) -> None:
        line = Line()
        line.arrival.go_on()
        assert not line.loop.made

    def test_a_thousand_messages_take_one_timer_and_not_a_thousand(self) -> None:
        line = Line()
        for _ in range(1_000):
            line.sends(1, 0.001, 3)
            line.arrival.end()
        assert len(line.loop.made) == 1

    def test_a_connection_that_is_gone_leaves_no_timer(self) -> None:
        line = Line().sends(1, 1.0, 1)
        line.arrival.close()
        assert not line.loop.waiting


class TestWithinMessage:
    @given(st.binary(max_size=300), st.booleans(), st.integers(0, 320), st.sampled_from(["text", "ping"]))
    def test_it_has_begun_with_its_first_byte_and_is_whole_with_its_last(
        self, payload: bytes, fin: bool, cut: int, kind: str
    ) -> None:
        text = kind == "text"
        data = Frame(Opcode.TEXT if text else Opcode.PING, payload if text else payload[:125], fin or not text)
        wire = data.serialize(mask=True)
        library = Protocol(SERVER, state=OPEN)
        library.receive_data(wire[:cut])
        begun, whole = cut > 0, cut >= len(wire) and data.fin
        assert within_message(library) == (begun and not whole)

    def test_there_is_none_before_the_handshake_nor_after_a_close(self) -> None:
        before = ServerProtocol()
        before.receive_data(b"GET / HT")
        assert not within_message(before)
        library = Protocol(SERVER, state=OPEN)
        library.receive_data(Frame(Opcode.CLOSE, b"").serialize(mask=True) + b"\x81")
        assert not within_message(library)


@contextmanager
def let_in(gateway: Gateway, path: str) -> Iterator[RawSocket]:
    """A device or a reader that has shown its key."""
    with closing(RawSocket(gateway.port)) as raw:
        assert raw.upgrade(path, {})[0] == 101
        before = len(gateway.core.sockets)
        kind = "device_auth" if path == "/ws/device" else "auth"
        raw.send(json.dumps({"type": kind, "api_key": KEY, "source_id": "rig-01"}).encode())
        eventually(lambda: len(gateway.core.sockets) > before, what="being let in")
        yield raw


def trickle(raw: RawSocket, data: bytes) -> int:
    """A byte at a time until the gateway has had enough; the code that it closed with."""
    raw.sock.setsockopt(plain_socket.IPPROTO_TCP, plain_socket.TCP_NODELAY, 1)
    with suppress(OSError):
        for index in range(len(data)):
            raw.sock.sendall(data[index : index + 1])
            if raw.hears(0.02):
                return raw.close_code()
    return raw.close_code()


class Transport:
    """A line of which the test is the other end."""

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Wired:
    """The server's end of one socket on a clock of its own; `asks` lets its handler ask for so many messages."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.loop.create_task = asyncio.get_running_loop().create_task  # type: ignore[attr-defined]
        self.transport = Transport()
        self.heard: list[Any] = []
        self.rejected: list[str] = []
        self._asked = asyncio.Semaphore(0)
        server = Server(self._handler, Sockets(), Limits(), self.rejected.append)
        self.protocol = _SocketProtocol(
            config=server.config,
            server_state=server.server_state,
            app_state={},
            _loop=self.loop,
        )

    async def _handler(self, scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][LARGER_MESSAGES](16 * 2**20)
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await self._asked.acquire()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            self.heard.append(message["text"])

    async def opened(self) -> Wired:
        self.protocol.connection_made(self.transport)  # type: ignore[arg-type]
        self.protocol.data_received(handshake("/ws/device", 1))
        await quiet()
        assert b" 101 " in self.transport.written
        return self

    async def asks(self, count: int) -> None:
        for _ in range(count):
            self._asked.release()
        await quiet()

    async def leave(self) -> None:
        self.protocol.connection_lost(None)
        await self.asks(3)


class TestOnTheWire:
    def test_a_socket_that_we_do_not_read_is_not_waited_for_until_we_do(self) -> None:
        async def run() -> None:
            wired = await Wired().opened()
            wired.protocol.data_received(frame(b"one") + frame(b"two")[:3])
            wired.loop.go(GRACE_S + 5.0)
            assert (wired.transport.reading, wired.rejected) == (False, [])
            await wired.asks(1)
            assert (wired.transport.reading, wired.heard) == (True, ["one"])
            wired.loop.go(GRACE_S - 0.1)
            assert wired.rejected == []
            wired.loop.go(0.2)
            assert (wired.rejected, wired.transport.closed) == (["message_time"], True)
            await wired.leave()

        asyncio.run(run())

    def test_a_large_frame_over_a_bad_line_comes_through_though_no_pong_can(self) -> None:
        async def run() -> None:
            wired = await Wired().opened()
            await wired.asks(1)
            wire = frame(b" " * (8 * 2**20))
            for first in range(0, len(wire), 30_000):
                assert not wired.transport.closed, f"it was cut at {first} bytes"
                wired.protocol.data_received(wire[first : first + 30_000])
                wired.loop.go(1.0)
            await quiet()
            assert [len(text) for text in wired.heard] == [8 * 2**20]
            wired.loop.go(PING_S + PONG_S)
            assert wired.transport.closed, "who answers no ping after it is let go as ever"
            assert wired.rejected == []
            await wired.leave()

        asyncio.run(run())

    def test_the_end_of_a_message_and_the_beginning_of_the_next_may_come_together(self) -> None:
        async def run() -> None:
            wired = await Wired().opened()
            taken: list[str | bytes] = []

            def take(message: str | bytes) -> bool:
                taken.append(message)
                return True

            wired.protocol._let_take(take)
            wire = frame(b"x" * 94)
            wired.protocol.data_received(wire[:50])
            for _ in range(10):
                wired.loop.go(6.0)
                wired.protocol.data_received(wire[50:] + wire[:50])
            assert (len(taken), wired.rejected) == (10, [])
            await wired.leave()
            assert not wired.loop.waiting

        asyncio.run(run())


def test_no_more_of_a_flood_of_pieces_is_read_than_it_takes_to_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    makes = ServerProtocol.recv_frame

    def counted(self: ServerProtocol, made: Frame) -> None:
        read.append(len(made.data))
        makes(self, made)

    async def run() -> None:
        wired = await Wired().opened()
        piece = frame(b" ", opcode=0, final=False)
        wired.protocol.data_received(frame(b" ", final=False) + piece * 35_000)
        assert (wired.rejected, wired.transport.closed) == (["fragments"], True)
        assert len(read) <= Limits().message_fragments + 1 + PORTION // len(piece)
        await wired.leave()

    monkeypatch.setattr(ServerProtocol, "recv_frame", counted)
    asyncio.run(run())


TEXT = frame(b" " * 1_000)
PIECES = frame(b"", final=False) + frame(b"x", opcode=0, final=False) * 150
PING = frame(b"x" * 125, opcode=9)


class TestSockets:
    # They would need ten million bytes a second: whatever this machine does, they are too slow.
    @pytest.mark.parametrize("path", ["/ws/device", METRICS])
    @pytest.mark.parametrize("data", [TEXT, PIECES, PING], ids=["frame", "pieces", "ping"])
    def test_one_that_trickles_is_told_and_closed_and_counted(self, path: str, data: bytes) -> None:
        with limited(body_grace_s=0.1, body_bytes_s=1e7) as gateway, let_in(gateway, path) as raw:
            if path == "/ws/device":
                assert raw.frame()["type"] == "authenticated"
            assert trickle(raw, data) == 1008
            assert rejected(gateway, "message_time") == 1
            eventually(lambda: len(gateway.core.sockets) == 0, what="the end of the socket")

    def test_a_device_whose_messages_are_whole_is_left_alone(self) -> None:
        with limited(body_grace_s=0.0, body_bytes_s=1e7) as gateway, device(gateway, acks=True) as wire:
            for seq in range(1, 30):
                wire.telemetry({"metric": "a.b", "value": 1}, seq=seq)
                assert wire.hear() == {"type": "telemetry_ack", "seq": seq}
            assert rejected(gateway, "message_time") == 0
