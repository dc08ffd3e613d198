"""A closed connection leaves nothing that only a look for garbage would find: such a look holds everybody up."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator

import pytest

from plexus.gateway import Gateway
from plexus.gateway.connections import HttpProtocol
from plexus.gateway.devices import DeviceSocket
from plexus.gateway.server import _SocketProtocol
from tests.support.gateway import device, http, reader
from tests.support.waiting import eventually

METRICS = "/v1/sources/drone-01/metrics/stream"


@pytest.fixture(autouse=True)
def _nobody_looks_for_garbage() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _remaining() -> list[object]:
    kinds = (_SocketProtocol, HttpProtocol, DeviceSocket)
    return [one for one in gc.get_objects() if type(one) in kinds]  # `isinstance` asks what proxies stand for


def test_a_device_is_gone_with_its_connection(gateway: Gateway) -> None:
    with device(gateway, acks=True) as wire:
        wire.say(type="telemetry", seq=1, points=[{"metric": "m", "value": 1.0}])
        assert wire.hear()["type"] == "telemetry_ack"
        assert _remaining()
    eventually(lambda: not _remaining(), what="what the device left being freed")


def test_a_reader_is_gone_with_its_connection(gateway: Gateway) -> None:
    with reader(gateway, METRICS):
        assert _remaining()
    eventually(lambda: not _remaining(), what="what the reader left being freed")


def test_a_socket_that_is_refused_is_gone_too(gateway: Gateway) -> None:
    with pytest.raises(AssertionError, match="API key"), device(gateway, key="plx_nobody"):
        pass
    eventually(lambda: not _remaining(), what="what was refused being freed")


def test_a_request_is_gone_with_its_connection(gateway: Gateway) -> None:
    with http(gateway) as client:
        assert client.get("/v1/sources").status_code == 200
        assert _remaining()
    eventually(lambda: not _remaining(), what="what the request left being freed")


def test_who_was_refused_and_sends_its_body_all_the_same_may_go_on(gateway: Gateway) -> None:
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection,
        connection.makefile("rb") as got,
    ):
        connection.sendall(b"POST /ingest HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n")
        assert got.readline().split()[1] == b"401"
        while got.readline().strip():
            pass
        (protocol,) = [one for one in _remaining() if isinstance(one, HttpProtocol)]
        assert protocol._linger is not None  # it would be closed in a moment
        connection.sendall(b"some body")
        eventually(lambda: protocol._linger is None, what="its being let stay")
