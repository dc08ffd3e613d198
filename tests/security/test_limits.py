"""Bodies and frames a byte over their limit, without a length, in a hundred thousand pieces."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx

from tests.security.target import MIB, Target, frame

BODY = 16 * MIB
REST_BODY = MIB
GREETING = 256 * 1024
FRAGMENTS = 100_000
FLOOR_S = 0.1
"""On a machine that does other things beside, a p99 below this is no sign of anybody suffering."""


def _padded(size: int) -> bytes:
    head = b'{"source_id":"rig-01","points":[{"metric":"a.b","value":1}],"note":"'
    return head + b"x" * (size - len(head) - 2) + b'"}'


def test_a_body_of_exactly_the_limit_is_taken_and_a_byte_more_is_not(target: Target) -> None:
    assert target.request("POST", "/ingest", content=_padded(BODY)).status_code == 200
    assert target.request("POST", "/ingest", content=_padded(BODY + 1)).status_code == 413


def test_a_body_without_a_length_meets_the_same_limit(target: Target) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        body = _padded(size)
        yield from (body[first : first + 65536] for first in range(0, size, 65536))

    assert target.request("POST", "/ingest", content=chunks(BODY)).status_code == 200
    try:
        answer = target.request("POST", "/ingest", content=chunks(BODY + 1))
    except httpx.TransportError:
        return  # cut while it was still being sent
    assert answer.status_code == 413


def test_a_body_of_the_data_api_has_a_limit_of_its_own(target: Target) -> None:
    body = b'{"slug":"' + b"x" * (REST_BODY - 10) + b'"}'
    assert target.request("POST", "/api/sources", content=body).status_code in (400, 413)
    assert target.request("POST", "/api/sources", content=body + b" " * 100).status_code == 413


def test_a_length_that_lies_is_no_way_around_it(target: Target) -> None:
    with socket.create_connection(("127.0.0.1", target.port), timeout=30) as sock:
        head = (
            f"POST /ingest HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {target.key}\r\ncontent-length: {10**18}\r\n\r\n"
        )
        sock.sendall(head.encode())
        assert b" 413 " in sock.recv(4096).split(b"\r\n")[0]


def test_before_authentication_a_message_may_be_256_kib_and_no_more(target: Target) -> None:
    raw = target.socket()
    raw.send(b"x" * (GREETING + 1))
    assert raw.close_code() == 1009
    auth = {"type": "device_auth", "api_key": target.key, "source_id": "rig-02", "pad": ""}
    auth["pad"] = "x" * (GREETING - len(json.dumps(auth)))
    raw = target.socket()
    raw.send(json.dumps(auth).encode())
    assert raw.frame()["type"] == "authenticated"


def test_after_it_a_message_may_be_16_mib_and_no_more(target: Target) -> None:
    raw = target.device("rig-03")
    raw.sock.sendall(frame(b'{"type":"telemetry","seq":1,"points":[{"metric":"a.b","value":1}]}' + b" " * (BODY - 66)))
    assert raw.frame() == {"type": "telemetry_ack", "seq": 1}
    # The head alone: what it announces need not come to be refused.
    raw.sock.sendall(frame(b" " * (BODY + 1))[:14])
    assert raw.close_code() == 1009


def test_a_message_in_100_000_fragments_makes_nobody_else_wait(target: Target) -> None:
    alone = _p99(target)
    raw = target.device("rig-04")
    ended = threading.Event()

    def nuisance() -> None:
        text = b'{"type":"telemetry","seq":1,"points":[{"metric":"a.b","value":1}]}'
        pieces = [text, *[b" "] * (FRAGMENTS - 2), b" "]
        frames = [
            frame(piece, opcode=1 if not index else 0, final=index == len(pieces) - 1)
            for index, piece in enumerate(pieces)
        ]
        try:
            for first in range(0, len(frames), 1_000):
                raw.sock.sendall(b"".join(frames[first : first + 1_000]))
        except OSError:
            pass  # it was thrown out, which is an answer too
        ended.set()

    thread = threading.Thread(target=nuisance)
    thread.start()
    beside = _p99(target, ended)
    thread.join()
    assert beside < max(2 * alone, FLOOR_S)


def test_headers_without_end_are_cut(target: Target) -> None:
    raw = target.raw()
    raw.sock.sendall(b"GET /healthz HTTP/1.1\r\n")
    try:
        for _ in range(200):
            raw.sock.sendall(b"x-pad: " + b"a" * 1_000 + b"\r\n")
    except OSError:
        pass
    assert raw.gone(15.0)


def _p99(target: Target, ended: threading.Event | None = None) -> float:
    took: list[float] = []
    with httpx.Client(base_url=target.url, headers={"x-api-key": target.key}, timeout=60) as client:
        while len(took) < 200 or (ended is not None and not ended.is_set() and len(took) < 2_000):
            began = time.perf_counter()
            client.post("/ingest", json={"source_id": "rig-05", "points": [{"metric": "a.b", "value": 1}]})
            took.append(time.perf_counter() - began)
    return sorted(took)[int(len(took) * 0.99)]
