"""The gateway as something that is started and stopped: ports, keys, data directories, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import ConfigurationError, StoreError
from plexus.gateway import Gateway
from plexus.gateway.listening import listen
from tests.gateway.test_ingest import point, stored
from tests.support.gateway import KEY, PATIENCE_S, MoodyStore, Wire, device, http, running
from tests.support.waiting import eventually


def post(gateway: Gateway, value: float) -> int:
    with http(gateway) as client:
        return client.post("/ingest", json={"source_id": "rig-01", "points": [point(value)]}).status_code


class TestStarting:
    def test_a_free_port_is_picked_and_told(self, shared: Gateway) -> None:
        assert shared.port > 0
        assert shared.url == f"http://127.0.0.1:{shared.port}"
        assert shared.ws_url == f"ws://127.0.0.1:{shared.port}"
        assert httpx.get(shared.url + "/healthz", trust_env=False).status_code == 200

    def test_a_port_in_use_is_one_line_that_says_so(self, shared: Gateway) -> None:
        with pytest.raises(ConfigurationError) as refused:
            Gateway(port=shared.port).start()
        assert str(shared.port) in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_a_port_in_use_leaves_no_data_directory(self, shared: Gateway, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError):
            Gateway(tmp_path / "data", port=shared.port).start()
        assert not (tmp_path / "data").exists()

    def test_a_host_that_is_none_is_one_line(self) -> None:
        with pytest.raises(ConfigurationError, match=r"no\.such\.host\.invalid"):
            listen("no.such.host.invalid", 0)

    def test_a_directory_that_another_gateway_holds_is_refused(self, tmp_path: Path) -> None:
        with running(data_dir=tmp_path) as first:
            with pytest.raises(StoreError) as refused:
                Gateway(tmp_path).start()
            assert "\n" not in str(refused.value)
            assert post(first, 1) == 200

    def test_after_a_failed_start_the_port_is_free_again(self, tmp_path: Path) -> None:
        with running(data_dir=tmp_path):
            failed = Gateway(tmp_path)
            with pytest.raises(StoreError):
                failed.start()
            listen("127.0.0.1", failed.port).close()

    def test_a_gateway_starts_once(self, shared: Gateway) -> None:
        with pytest.raises(ConfigurationError, match="once"):
            shared.start()

    def test_every_port_can_be_given(self) -> None:
        store, keyring, registry = MemoryStore(), MemoryKeyring(), MemoryRegistry()
        with running(store=store, keyring=keyring, registry=registry) as gateway:
            assert gateway.core.store is store
            assert gateway.core.keyring is keyring
            assert gateway.core.registry is registry
            assert post(gateway, 1) == 200
        assert store.sources("default")  # what was given is not closed


class TestKeys:
    def test_without_any_key_one_is_made_and_told_once(self, tmp_path: Path) -> None:
        with Gateway(tmp_path) as gateway:
            made = gateway.first_key
            assert made is not None
            assert gateway.api_key == made
        with Gateway(tmp_path) as gateway:
            assert gateway.first_key is None
            with pytest.raises(ConfigurationError, match="plexus keys create"):
                _ = gateway.api_key
            with http(gateway, made) as client:
                assert client.get("/v1/sources").status_code == 200

    def test_a_bootstrap_key_lets_in_at_every_start_and_is_not_told(self, tmp_path: Path) -> None:
        for _ in range(2):
            with running(data_dir=tmp_path) as gateway:
                assert gateway.first_key is None
                assert gateway.api_key == KEY
                assert post(gateway, 1) == 200
                assert len(gateway.core.keyring.list()) == 1

    def test_a_bootstrap_key_that_is_too_short_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="32"):
            Gateway(tmp_path, bootstrap_key="plx_short").start()

    def test_no_key_lies_in_the_data_directory(self, tmp_path: Path) -> None:
        with Gateway(tmp_path) as gateway:
            key = gateway.api_key
            with device(gateway, key=key) as wire:
                wire.telemetry(point(1))
            files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert not any(key.encode() in content for content in files)


class TestStopping:
    def test_closing_twice_and_before_starting_is_fine(self) -> None:
        gateway = Gateway()
        gateway.close()
        gateway.start()
        gateway.close()
        gateway.close()

    def test_no_thread_stays_behind(self) -> None:
        before = set(threading.enumerate())
        with running() as gateway, http(gateway) as client:
            post(gateway, 1)
            assert client.get("/v1/sources").status_code == 200
            with device(gateway):
                pass
        eventually(lambda: set(threading.enumerate()) <= before)

    def test_the_data_is_there_after_a_restart(self, tmp_path: Path) -> None:
        with running(data_dir=tmp_path) as gateway:
            post(gateway, 1)
        with running(data_dir=tmp_path) as gateway:
            post(gateway, 2)
            assert stored(gateway) == [1, 2]

    def test_a_request_under_way_is_answered(self) -> None:
        store = MoodyStore()
        answers: list[int] = []
        with running(store=store) as gateway:
            store.open.clear()
            sender = threading.Thread(target=lambda: answers.append(post(gateway, 1)))
            sender.start()
            assert store.entered.acquire(timeout=PATIENCE_S)
            server = gateway._server
            assert server is not None
            server.leave()
            store.open.set()
        sender.join(PATIENCE_S)
        assert answers == [200]

    def test_a_device_that_hears_nothing_does_not_hold_the_gateway(self) -> None:
        with running() as gateway, device(gateway) as wire:
            wire.connection.socket.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            gateway.close()
            assert time.monotonic() - began < 5.0


SERVE = """
import json, sys
from plexus.gateway import Gateway
gateway = Gateway(sys.argv[1], bootstrap_key=sys.argv[2]).open()
print(json.dumps({"url": gateway.url, "ws_url": gateway.ws_url}), flush=True)
print(json.dumps({"signal": gateway.serve_forever()}), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", SERVE, str(tmp_path), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        with connect(told["ws_url"] + "/ws/device", proxy=None) as connection:
            wire = Wire(connection)
            wire.say(type="device_auth", api_key=KEY, source_id="rig-01", acks=True)
            wire.hear()
            wire.telemetry(point(1), seq=1)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}
            process.send_signal(number)
            assert wire.closed() == (1001, "gateway is shutting down")
        assert json.loads(process.stdout.readline()) == {"signal": number}
        assert process.wait(5.0) == 0
    with running(data_dir=tmp_path) as gateway:
        assert stored(gateway) == [1]


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        body = {"source_id": "rig-01", "points": [point(1), point(2)]}
        headers = {"x-api-key": KEY}
        answer = httpx.post(told["url"] + "/ingest", json=body, headers=headers, trust_env=False)
        assert answer.status_code == 200
        process.kill()
    with running(data_dir=tmp_path) as gateway:
        assert stored(gateway) == [1, 2]
