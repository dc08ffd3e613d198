"""Bodies and frames a byte over their limit, without a length, in a hundred thousand pieces."""

from __future__ import annotations

import json
import socket
import statistics
import time
from contextlib import closing, suppress

from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.gateway.test_ingest import stored
from tests.security.target import MIB, RawSocket, Target, frame
from tests.security.turns import longest_turn
from tests.support.gateway import KEY, http, running

BODY = 16 * MIB
REST_BODY = MIB
CHUNK = 65_536
GONE_S = 15.0
GREETING = 256 * 1024
FRAGMENTS = 100_000
FLOODS = 5
LONGEST = 8
"""A turn of the loop may take so many times what it takes to read the pieces up to the limit, and do nothing else."""


def _padded(size: int) -> bytes:
    head = b'{"source_id":"rig-01","points":[{"metric":"a.b","value":1}],"note":"'
    return head + b"x" * (size - len(head) - 2) + b'"}'


def test_a_body_of_exactly_the_limit_is_taken_and_a_byte_more_is_not(target: Target) -> None:
    assert target.request("POST", "/ingest", content=_padded(BODY)).status_code == 200
    assert target.request("POST", "/ingest", content=_padded(BODY + 1)).status_code == 413


def test_a_body_without_a_length_meets_the_same_limit(target: Target) -> None:
    for size, status in ((BODY, 200), (BODY + 1, 413)):
        raw = _chunked(target)
        with suppress(ConnectionError):  # hung up on is who was answered; the answer is still there to be read
            _send_chunks(raw, _padded(size))
            raw.sock.sendall(b"0\r\n\r\n")
        assert raw.status() == status


def test_whoever_goes_on_with_a_body_behind_its_413_is_hung_up_on(target: Target) -> None:
    raw = _chunked(target)
    _send_chunks(raw, _padded(BODY + CHUNK))
    assert raw.status() == 413
    end, taken = time.monotonic() + GONE_S, True
    with target.growth() as grown:
        while taken and time.monotonic() < end:
            try:
                _send_chunks(raw, bytes(CHUNK))
            except ConnectionError:
                taken = False
    assert not taken
    assert grown[0] < BODY / MIB


def test_a_body_of_the_data_api_has_a_limit_of_its_own(target: Target) -> None:
    body = b'{"slug":"rig-07"}'
    within = body + b" " * (REST_BODY - len(body))
    for content in (within, iter([within])):
        assert target.request("POST", "/api/sources", content=content).status_code in (201, 409)
    for content in (within + b" ", iter([within + b" "])):
        assert target.request("POST", "/api/sources", content=content).status_code == 413


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


def test_a_message_in_100_000_fragments_makes_nobody_else_wait() -> None:
    worked = []
    with running() as gateway, http(gateway) as others:
        allowed_s = LONGEST * _reading_s(gateway.settings.limits.message_fragments)
        for number in range(FLOODS):
            with closing(RawSocket(gateway.port)) as raw:
                raw.upgrade("/ws/device", {})
                raw.send(json.dumps({"type": "device_auth", "api_key": KEY, "source_id": f"rig-{number}"}).encode())
                assert raw.frame()["type"] == "authenticated"
                with longest_turn(gateway) as turn:
                    with suppress(OSError):  # it is thrown out while it still sends
                        raw.sock.sendall(_fragments(FRAGMENTS))
                    points = [{"metric": "a.b", "value": 1}]
                    assert others.post("/ingest", json={"source_id": "rig-05", "points": points}).status_code == 200
                    assert raw.close_code() in (1009, 0)
                worked.append(turn[0])
        assert stored(gateway, "rig-05") == [1] * FLOODS
    assert statistics.median(worked) < allowed_s


def test_headers_without_end_are_cut(target: Target) -> None:
    raw = target.raw()
    raw.sock.sendall(b"GET /healthz HTTP/1.1\r\n")
    try:
        for _ in range(200):
            raw.sock.sendall(b"x-pad: " + b"a" * 1_000 + b"\r\n")
    except OSError:
        pass
    assert raw.gone(GONE_S)


def _chunked(target: Target) -> RawSocket:
    """The head of an ingest that says no length."""
    raw = target.raw()
    head = f"POST /ingest HTTP/1.1\r\nhost: 127.0.0.1:{target.port}\r\nx-api-key: {target.key}\r\n"
    raw.sock.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
    return raw


def _send_chunks(raw: RawSocket, body: bytes) -> None:
    for first in range(0, len(body), CHUNK):
        chunk = body[first : first + CHUNK]
        raw.sock.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))


def _fragments(count: int) -> bytes:
    """A message of telemetry in so many pieces, most of them of one space."""
    text = b'{"type":"telemetry","seq":1,"points":[{"metric":"a.b","value":1}]}'
    between = frame(b" ", opcode=0, final=False)
    return frame(text, final=False) + between * (count - 2) + frame(b" ", opcode=0)


def _reading_s(pieces: int) -> float:
    """How long this machine works to read so many pieces and do nothing with them."""
    took, sent = [], _fragments(pieces)
    for _ in range(FLOODS):
        reads = ServerProtocol(state=State.OPEN)
        began = time.thread_time()
        reads.receive_data(sent)
        took.append(time.thread_time() - began)
        assert len(reads.events_received()) == pieces
    return statistics.median(took)
