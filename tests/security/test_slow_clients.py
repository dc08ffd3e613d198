"""Clients that send a byte every ten seconds, and those that send nothing: let go in time, and nobody else notices."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import attrs
import pytest

from tests.security.beside import MOST, wait_ratio
from tests.security.target import RawSocket, Target, frame, handshake

SOCKETS = int(os.environ.get("SLOW_SOCKETS", "300"))
"""1,000 in `make test-faults`."""
BYTE_S = 10.0
LAST_S = 9.0
"""The first slow byte of a client comes at a moment before that, each at its own: a limit that a byte begins anew would
let most of them live on."""
GONE_S = 15.0
SILENT = 10


@attrs.frozen
class Slow:
    """What became of a client that sends a byte every ten seconds."""

    kind: str
    sent: int
    gone: bool
    """Within `GONE_S`."""


@pytest.fixture(scope="module")
def ends(served: Target) -> Iterator[dict[str, Future[bool]]]:
    """Whether connections that say nothing end in time; they are waited for beside the first test."""
    silent = [_opened(served) for _ in range(SILENT)]
    streams = [_opened(served, "/v1/sources/rig-01/metrics/stream") for _ in range(SILENT)]
    with ThreadPoolExecutor(2) as pool:
        yield {"devices": pool.submit(_all_gone, silent), "readers": pool.submit(_all_gone, streams)}
    for raw in (*silent, *streams):
        raw.close()


@pytest.mark.usefixtures("ends")
def test_sockets_at_one_byte_per_ten_seconds_are_closed_while_others_work(target: Target, control: Target) -> None:
    kinds = _kinds(target)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(asyncio.run, _trickle(target.port, kinds))
        ratio = wait_ratio(target, control, lambda: not slow.done())
    assert ratio < MOST
    for kind in kinds:
        ended = [client for client in slow.result() if client.kind == kind]
        assert len(ended) >= SOCKETS // len(kinds)
        assert all(client.sent for client in ended), f"{kind}: they were let go before they were slow"
        late = sum(not client.gone for client in ended)
        assert not late, f"{kind}: {late} of {len(ended)} were still served after {GONE_S:g} s"


def test_a_socket_that_says_nothing_is_closed_after_ten_seconds(ends: dict[str, Future[bool]]) -> None:
    assert ends["devices"].result()
    assert ends["readers"].result()


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


# --- one byte every ten seconds -----------------------------------------------------------------------------------


def _kinds(target: Target) -> dict[str, Sequence[bytes]]:
    """What each kind of slow client begins with at once, before its slow bytes; between parts it hears something."""
    half_a_frame = b"\x81\xfe\x10\x00" + bytes(4)  # 4,096 bytes are to follow
    host = f"host: 127.0.0.1:{target.port}\r\n"
    auth = {"type": "device_auth", "api_key": target.key, "source_id": "rig-07"}
    device = [handshake("/ws/device", target.port), frame(json.dumps(auth).encode())]
    return {
        "a head": [b""],
        "half a head": [f"POST /ingest HTTP/1.1\r\n{host}x-pad: ".encode()],
        "a body": [f"POST /ingest HTTP/1.1\r\n{host}x-api-key: {target.key}\r\ncontent-length: 9999\r\n\r\n".encode()],
        "half a frame of a device": [handshake("/ws/device", target.port) + half_a_frame],
        "half a frame of a reader": [handshake("/v1/sources/rig-01/metrics/stream", target.port) + half_a_frame],
        "half a frame's head": [handshake("/ws/device", target.port)],
        "half a frame of a device that was let in": [*device, half_a_frame],
    }


async def _trickle(port: int, kinds: dict[str, Sequence[bytes]]) -> list[Slow]:
    """SOCKETS clients or a few more, each with its own moment in the ten seconds."""
    each = -(-SOCKETS // len(kinds))
    return await asyncio.gather(
        *(_slow(port, kind, start, LAST_S * index / each) for kind, start in kinds.items() for index in range(each))
    )


async def _slow(port: int, kind: str, start: Sequence[bytes], first_s: float) -> Slow:
    """Send the parts of `start`, after `first_s` a byte, and one more every ten seconds, until the gateway hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in start[:-1]:
        writer.write(part)
        assert await reader.read(65_536), f"{kind}: it was not let in"
    began, sent = time.monotonic(), 0
    writer.write(start[-1])
    hears = asyncio.create_task(_hear(reader))
    for due_s in itertools.count(first_s, BYTE_S):
        await asyncio.wait({hears}, timeout=began + min(due_s, GONE_S) - time.monotonic())
        if hears.done() or due_s >= GONE_S:
            break
        writer.write(b"A")
        sent += 1
    gone = hears.done()
    hears.cancel()
    writer.close()
    return Slow(kind, sent, gone)


async def _hear(reader: asyncio.StreamReader) -> None:
    """Return when the gateway has hung up."""
    try:
        while await reader.read(65_536):
            pass
    except ConnectionError:
        pass


# --- none at all --------------------------------------------------------------------------------------------------


def _opened(target: Target, path: str = "/ws/device") -> RawSocket:
    raw = RawSocket(target.port)
    assert raw.upgrade(path, {})[0] == 101
    return raw


def _all_gone(sockets: list[RawSocket]) -> bool:
    end = time.monotonic() + GONE_S
    return all(raw.gone(end - time.monotonic()) for raw in sockets)
