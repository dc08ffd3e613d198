"""Clients that send a byte now and then, and those that send nothing: let go in time, and nobody else notices."""

from __future__ import annotations

import json
import os
import socket
import time

import httpx

from tests.security.target import Target

SOCKETS = int(os.environ.get("SLOW_SOCKETS", "300"))
"""1,000 in `make test-faults`."""
GONE_S = 15.0
FLOOR_S = 0.1


def test_sockets_at_one_byte_per_ten_seconds_are_closed_while_others_work(target: Target) -> None:
    alone = _p99(target, 200)
    began = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", target.port), timeout=30) for _ in range(SOCKETS)]
    for sock in slow:
        sock.sendall(b"P")
    beside = _p99(target, 1_000)
    gone = []
    for sock in slow:
        sock.settimeout(max(0.1, GONE_S - (time.monotonic() - began)))
        gone.append(_hung_up(sock))
        sock.close()
    assert all(gone), f"{gone.count(False)} slow clients are still served"
    assert time.monotonic() - began < GONE_S
    assert beside < max(2 * alone, FLOOR_S)


def test_a_body_that_trickles_is_given_up_and_does_not_count_as_alive(target: Target) -> None:
    raw = target.socket()
    # Half a frame, and then nothing: the first message has 10 s in all.
    raw.sock.sendall(b"\x81\xfe\x10\x00")
    assert raw.gone(GONE_S)


def test_a_socket_that_says_nothing_is_closed_after_ten_seconds(target: Target) -> None:
    silent = [target.socket() for _ in range(10)]
    streams = [target.socket("/v1/sources/rig-01/metrics/stream") for _ in range(10)]
    assert all(raw.gone(GONE_S) for raw in [*silent, *streams])


def test_a_reader_that_does_not_read_does_not_hold_a_device_up(target: Target) -> None:
    reader = target.socket("/v1/sources/rig-06/metrics/stream")
    reader.send(json.dumps({"type": "auth", "api_key": target.key}).encode())
    device = target.device("rig-06")
    points = [{"metric": "a.b", "value": index, "tags": {"pad": "x" * 200}} for index in range(1_000)]
    with target.growth() as grown:
        for seq in range(1, 101):
            device.send(json.dumps({"type": "telemetry", "seq": seq, "points": points}).encode())
            while device.frame().get("seq") != seq:
                pass
    assert grown[0] < 256


def _hung_up(sock: socket.socket) -> bool:
    try:
        while sock.recv(4096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def _p99(target: Target, count: int) -> float:
    took: list[float] = []
    with httpx.Client(base_url=target.url, headers={"x-api-key": target.key}, timeout=60) as client:
        for _ in range(count):
            began = time.perf_counter()
            client.post("/ingest", json={"source_id": "rig-05", "points": [{"metric": "a.b", "value": 1}]})
            took.append(time.perf_counter() - began)
    return sorted(took)[int(count * 0.99)]
