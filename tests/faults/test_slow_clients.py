"""Many sockets that say a byte now and then: all are let go of, and whoever works with the gateway is served meanwhile.

SLOW_SOCKETS of them (200; 1,000 in `make test-faults`), in each way that a client can be slow. Nobody's speed is
measured here: a request that waited for one of them would not come back at all before it is gone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import httpx
import pytest

from plexus.gateway.core import Limits
from plexus.gateway.settings import Settings
from tests.gateway.test_ingest import point
from tests.support.gateway import KEY, running

SOCKETS = int(os.environ.get("SLOW_SOCKETS", "200"))
LET_GO_S = 15.0
SLOW = Limits(head_s=1.0, body_s=1.0, keep_alive_s=1)

HEAD = b"POST /ingest HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000000\r\n"
STARTS = {
    "no head": b"",
    "half a head": b"GET /healthz HTTP/1.1\r\nhost: ",
    "a body without a key": HEAD + b"\r\n",
    "a body with a key": HEAD + f"x-api-key: {KEY}\r\n\r\n".encode(),
    "one request, and then half another": b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nGET /he",
}


@pytest.mark.parametrize("start", STARTS)
def test_slow_clients_are_let_go_of_and_others_are_served(start: str) -> None:
    with running(settings=Settings(limits=SLOW)) as gateway:
        ended, served = asyncio.run(_both(gateway.port, STARTS[start]))
    assert ended == SOCKETS
    assert set(served) == {200}


async def _both(port: int, start: bytes) -> tuple[int, Sequence[int]]:
    slow = [asyncio.create_task(_slow(port, start)) for _ in range(SOCKETS)]
    served: list[int] = []
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"x-api-key": KEY}, trust_env=False, timeout=LET_GO_S
    ) as client:
        while not all(task.done() for task in slow) or not served:
            body = {"source_id": "rig-01", "points": [point(1)]}
            served.append((await client.post("/ingest", json=body)).status_code)
            await asyncio.sleep(0.02)
    return sum(task.result() for task in slow), served


async def _slow(port: int, start: bytes) -> bool:
    """Whether the gateway lets go of a client that says a byte every 0.2 s."""
    try:
        await asyncio.wait_for(_drip(port, start), LET_GO_S)
    except asyncio.TimeoutError:
        return False
    except OSError:
        return True  # it was cut off in the middle of a byte
    return True


async def _drip(port: int, start: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(start)
        hears = asyncio.create_task(_hear(reader))
        while not hears.done():
            writer.write(b"x")
            await writer.drain()
            await asyncio.wait({hears}, timeout=0.2)
        await hears
    finally:
        writer.close()


async def _hear(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass
