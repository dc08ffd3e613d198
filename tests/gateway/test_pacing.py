"""How fast a body must come: a slow line gets through, a trickle is given up."""

from __future__ import annotations

import asyncio
import socket as plain_socket

import pytest

from plexus.gateway.asgi import HttpError, Message, read_body
from plexus.gateway.pacing import Pace
from tests.gateway.test_bounds import limited
from tests.support.gateway import KEY, PATIENCE_S

SECOND = 1.0


class Client:
    """Sends a piece of `size` bytes every `every_s` seconds of its own clock, `pieces` of them."""

    def __init__(self, size: int, every_s: float, pieces: int) -> None:
        self.now = 1_000.0
        self.sent = 0
        self._size, self._every_s, self._pieces = size, every_s, pieces

    async def receive(self) -> Message:
        self.now += self._every_s
        self.sent += 1
        return {"type": "http.request", "body": b"x" * self._size, "more_body": self.sent < self._pieces}

    def upload(self, *, grace_s: float = 10.0, bytes_s: float = 500.0, whole_s: float = 60.0) -> bytes:
        """The body as the gateway has it; raises HttpError where it gave up."""
        pace = Pace(grace_s, bytes_s, whole_s, lambda: self.now)
        return asyncio.run(read_body({"headers": []}, self.receive, 1 << 20, pace))

    def refused(self, **pace: float) -> HttpError:
        with pytest.raises(HttpError) as refused:
            self.upload(**pace)
        assert refused.value.status == 408
        return refused.value


def test_a_trickle_is_given_up_when_its_grace_is_over() -> None:
    client = Client(1, 4 * SECOND, 1_000)
    assert "500 bytes a second after the first 10 s" in client.refused().message
    assert client.sent == 3


def test_a_modem_gets_through() -> None:
    assert len(Client(2_000, SECOND, 55).upload()) == 110_000


@pytest.mark.parametrize(("came", "left_s"), [(0, -10.0), (4_999, -0.002), (5_000, 0.0), (5_500, 1.0), (50_000, 40.0)])
def test_twenty_seconds_cost_ten_of_grace_and_ten_times_the_rate(came: int, left_s: float) -> None:
    assert Pace(10.0, 500.0, 60.0, lambda: 120.0).left_s(100.0, came) == pytest.approx(left_s)


def test_what_came_early_counts_later() -> None:
    async def early_then_late() -> bytes:
        now, pieces = [0.0], [(b"x" * 10_000, 0.0), (b"y", 29.0)]

        async def receive() -> Message:
            body, after_s = pieces.pop(0)
            now[0] += after_s
            return {"type": "http.request", "body": body, "more_body": bool(pieces)}

        return await read_body({"headers": []}, receive, 1 << 20, Pace(10.0, 500.0, 60.0, lambda: now[0]))

    assert len(asyncio.run(early_then_late())) == 10_001


def test_there_is_an_end_for_everybody() -> None:
    client = Client(5_000, SECOND, 61)
    client.refused()
    assert client.sent == 60


def test_without_a_rate_the_end_alone_counts() -> None:
    assert len(Client(1, 4 * SECOND, 14).upload(bytes_s=0.0)) == 14
    client = Client(1, 4 * SECOND, 1_000)
    assert client.refused(bytes_s=0.0).message == "the body must come within 60 s"
    assert client.sent == 15


def test_nothing_at_all_is_waited_for_no_longer_than_the_grace() -> None:
    async def silence() -> bytes:
        async def never() -> Message:
            await asyncio.Event().wait()
            raise AssertionError("nothing comes")

        clock = asyncio.get_running_loop().time
        return await asyncio.wait_for(
            read_body({"headers": []}, never, 9, Pace(0.01, 500.0, 3600.0, clock)), PATIENCE_S
        )

    with pytest.raises(HttpError) as refused:
        asyncio.run(silence())
    assert refused.value.status == 408


@pytest.mark.parametrize("path", ["/ingest", "/api/v1/write", "/api/sources"])
def test_a_connection_that_trickles_is_answered_and_let_go(path: str) -> None:
    # It would have an hour, at ten million bytes a second.
    with limited(body_grace_s=0.1, body_bytes_s=1e7, body_s=3600.0) as gateway:
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {KEY}\r\ncontent-length: 1000\r\n"
        with plain_socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S) as sock:
            sock.sendall(head.encode() + b"content-type: application/x-protobuf\r\n\r\n")
            sock.settimeout(0.02)
            heard = b""
            for _ in range(900):
                sock.sendall(b"x")
                try:
                    heard = sock.recv(65_536)
                except TimeoutError:
                    continue
                break
        assert b" 408 " in heard.split(b"\r\n")[0]
