"""Clients that send a byte now and then, and those that send nothing: let go in time, and nobody else notices."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.security.target import RawSocket, Target
from tests.support import plain

SOCKETS = int(os.environ.get("SLOW_SOCKETS", "300"))
"""1,000 in `make test-faults`."""
GONE_S = 15.0
FLOOR_S = 0.1


@pytest.fixture(scope="module")
def ends(served: Target) -> Iterator[dict[str, Future[bool]]]:
    """Whether connections that stop talking end in time; all are waited for at once, beside the first test."""
    half = _opened(served)
    # Half a frame, and then nothing: the first message has 10 s in all.
    half.sock.sendall(b"\x81\xfe\x10\x00")
    silent = [_opened(served) for _ in range(10)]
    streams = [_opened(served, "/v1/sources/rig-01/metrics/stream") for _ in range(10)]
    with ThreadPoolExecutor(3) as pool:
        yield {
            "half a frame": pool.submit(half.gone, GONE_S),
            "silent devices": pool.submit(_all_gone, silent),
            "silent readers": pool.submit(_all_gone, streams),
        }
    for raw in (half, *silent, *streams):
        raw.close()


@pytest.mark.usefixtures("ends")
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


def test_a_body_that_trickles_is_given_up_and_does_not_count_as_alive(ends: dict[str, Future[bool]]) -> None:
    assert ends["half a frame"].result()


def test_a_socket_that_says_nothing_is_closed_after_ten_seconds(ends: dict[str, Future[bool]]) -> None:
    assert ends["silent devices"].result()
    assert ends["silent readers"].result()


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


def _opened(target: Target, path: str = "/ws/device") -> RawSocket:
    raw = RawSocket(target.port)
    assert raw.upgrade(path, {})[0] == 101
    return raw


def _all_gone(sockets: list[RawSocket]) -> bool:
    end = time.monotonic() + GONE_S
    return all(raw.gone(end - time.monotonic()) for raw in sockets)


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
    with plain.client(base_url=target.url, headers={"x-api-key": target.key}, timeout=60) as client:
        for _ in range(count):
            began = time.perf_counter()
            client.post("/ingest", json={"source_id": "rig-05", "points": [{"metric": "a.b", "value": 1}]})
            took.append(time.perf_counter() - began)
    return sorted(took)[int(count * 0.99)]
