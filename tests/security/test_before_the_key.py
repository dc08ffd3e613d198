"""Whoever has shown no key sends what nobody asked for: none of it is kept."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.security.target import MIB, Target

CONNECTIONS = 150
BODY = 900 * 1024
MOST_MIB = 32
"""Of some 130 MiB."""
TRAILERS = 64 * MIB


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/metrics", "/ingest", "/v1/sources"])
def test_the_beginnings_of_150_bodies_take_no_memory(target: Target, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{target.port}\r\ncontent-length: {MIB}\r\n\r\n".encode()
    with target.growth() as grown:
        opened = [target.raw() for _ in range(CONNECTIONS)]
        for raw in opened:
            with suppress(OSError):  # it may be hung up on meanwhile
                raw.sock.sendall(head + bytes(BODY))
        assert {raw.sock.recv(12) for raw in opened} <= {b"HTTP/1.1 401", b"HTTP/1.1 405"}
    assert grown[0] < MOST_MIB


def test_headers_behind_a_body_take_no_memory(target: Target) -> None:
    raw = target.raw()
    head = f"POST /healthz HTTP/1.1\r\nhost: 127.0.0.1:{target.port}\r\ntransfer-encoding: chunked\r\n\r\n"
    trailers = b"x-junk: y\r\n" * 10_000
    with target.growth() as grown, suppress(OSError):
        raw.sock.sendall(head.encode() + b"0\r\n")
        for _ in range(TRAILERS // len(trailers)):
            raw.sock.sendall(trailers)
    assert grown[0] < MOST_MIB
