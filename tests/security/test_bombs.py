"""200 MiB that are sent as a few hundred kilobytes: refused, and no memory is spent on them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping

import pytest
import zstandard

from tests.security.target import MIB, RawSocket, Target

SIZE = 200 * MIB
MOST_MIB = 16.0
CHUNK = bytes(MIB)
OFFERED = {"sec-websocket-extensions": "permessage-deflate"}


def _gzip() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(CHUNK) for _ in range(SIZE // MIB)), packer.flush()])


def _zstd() -> bytes:
    packer = zstandard.ZstdCompressor(level=19).compressobj(size=SIZE)
    return b"".join([*(packer.compress(CHUNK) for _ in range(SIZE // MIB)), packer.flush()])


@pytest.mark.parametrize(("encoding", "make"), [("gzip", _gzip), ("zstd", _zstd)])
@pytest.mark.parametrize("path", ["/ingest", "/api/ingest"])
def test_a_packed_body_of_200_mib_is_refused_and_takes_no_memory(
    target: Target, encoding: str, make: object, path: str
) -> None:
    body = make()  # type: ignore[operator]
    assert len(body) < MIB
    # Once before, so that what any request takes is not counted.
    target.request(
        "POST", path, content=gzip.compress(b"{}"), headers={"x-api-key": target.key, "content-encoding": "gzip"}
    )
    with target.growth() as grown:
        answer = target.request(
            "POST", path, content=body, headers={"x-api-key": target.key, "content-encoding": encoding}
        )
    assert answer.status_code == 413
    assert grown[0] < MOST_MIB


def test_a_gzip_in_a_gzip_is_only_what_it_says(target: Target) -> None:
    body = gzip.compress(gzip.compress(b'{"points":[]}'))
    answer = target.request(
        "POST", "/ingest", content=body, headers={"x-api-key": target.key, "content-encoding": "gzip"}
    )
    assert answer.status_code == 400


def test_the_measure_of_memory_tells_what_an_honest_body_takes(target: Target) -> None:
    with target.growth() as grown:
        answer = target.request("POST", "/ingest", content=b"[" + b" " * (14 * MIB) + b"]")
    assert answer.status_code == 400
    assert grown[0] > 14


@pytest.mark.parametrize("offer", ["permessage-deflate", "permessage-deflate; client_max_window_bits"])
@pytest.mark.parametrize("path", ["/ws/device", "/v1/sources/rig-01/metrics/stream"])
def test_no_socket_agrees_on_permessage_deflate(target: Target, path: str, offer: str) -> None:
    status, told = target.raw().upgrade(path, {"sec-websocket-extensions": offer})
    assert status == 101
    assert "sec-websocket-extensions" not in told


SOCKETS: Mapping[str, Callable[[Target], RawSocket]] = {
    "a device before it is let in": lambda target: target.socket("/ws/device", OFFERED),
    "a device": Target.device,
    "a reader before it is let in": lambda target: target.socket("/v1/sources/rig-01/metrics/stream", OFFERED),
    "a reader": Target.reader,
}


@pytest.mark.parametrize("who", SOCKETS)
def test_a_packed_frame_ends_its_socket_and_takes_no_memory(target: Target, who: str) -> None:
    packer = zlib.compressobj(9, wbits=-15)
    bomb = b"".join([*(packer.compress(CHUNK) for _ in range(SIZE // MIB)), packer.flush(zlib.Z_SYNC_FLUSH)])
    raw = SOCKETS[who](target)
    with target.growth() as grown:
        raw.send(bomb, bits=0x40)
        assert raw.close_code() == 1002
    assert grown[0] < MOST_MIB


def test_a_columnar_body_cannot_unpack_to_more_than_a_mebibyte_beside_itself(target: Target) -> None:
    packed = zstandard.ZstdCompressor().compress(bytes(SIZE))

    def uint(number: int) -> bytes:
        out = b""
        while number > 127:
            out, number = out + bytes([number & 127 | 128]), number >> 7
        return out + bytes([number])

    header = b'{"source_id":"rig-01"}'
    body = b"PXT1" + len(header).to_bytes(2, "big") + header + b"PXC1\x02" + uint(SIZE) + uint(len(packed)) + packed
    with target.growth() as grown:
        answer = target.request("POST", "/ingest", content=body)
    assert answer.status_code == 400
    assert grown[0] < MOST_MIB
