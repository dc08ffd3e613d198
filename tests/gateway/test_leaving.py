"""The end of a busy gateway: in under 5 s, with everything acknowledged that was taken and everybody told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket as plain_socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.gateway.test_ingest import point, stored
from tests.support.gateway import KEY, PATIENCE_S, Wire, running

IDLE = 100

SERVE = """
import json, sys, time
from plexus.gateway import Gateway
gateway = Gateway(sys.argv[1], bootstrap_key=sys.argv[2]).open()
store = gateway.core.store
scan, raw = store.scan, store.raw

def slow_scan(org, selection, *, question=None):
    for part in scan(org, selection, question=question):
        while True:
            yield part
            time.sleep(0.01)

def slow_raw(*arguments, question=None, **named):
    while question is not None:
        question.check()
        time.sleep(0.01)
    return raw(*arguments, **named)

store.scan, store.raw = slow_scan, slow_raw
print(json.dumps({"url": gateway.url, "ws_url": gateway.ws_url, "port": gateway.port}), flush=True)
raise SystemExit(gateway.serve_forever() or 0)
"""


def test_everything_is_under_way_when_the_signal_comes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path), KEY]
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}, text=True
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        headers = {"x-api-key": KEY}
        client = stack.enter_context(
            httpx.Client(base_url=told["url"], headers=headers, trust_env=False, timeout=PATIENCE_S)
        )
        body = {"source_id": "rig-01", "points": [point(1)]}
        assert client.post("/ingest", json=body).status_code == 200
        idle = [stack.enter_context(connect(told["ws_url"] + "/ws/device", proxy=None)) for _ in range(IDLE)]
        wires = [Wire(connection) for connection in idle]
        for index, wire in enumerate(wires):
            wire.say(type="device_auth", api_key=KEY, source_id=f"idle-{index:03}", acks=True)
        for wire in wires:
            assert wire.hear()["type"] == "authenticated"
        slow = stack.enter_context(plain_socket.create_connection(("127.0.0.1", told["port"]), PATIENCE_S))
        slow.sendall(
            f"POST /ingest HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {KEY}\r\ncontent-length: 9999\r\n\r\n{{".encode()
        )
        threads = [
            threading.Thread(target=_ask, args=(told["url"], path))
            for path in ("/v1/sources/rig-01/metrics/query?last=1h&interval=raw", "/v1/export?sources=rig-01&last=1h")
        ]
        for thread in threads:
            thread.start()
        sender = Wire(stack.enter_context(connect(told["ws_url"] + "/ws/device", proxy=None)))
        sender.say(type="device_auth", api_key=KEY, source_id="rig-01", acks=True)
        assert sender.hear()["type"] == "authenticated"
        wires.append(sender)
        for number in range(2, 12):
            sender.telemetry(point(number), seq=number)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        acknowledged = list(_heard(sender))
        assert {wire.closed() for wire in wires} == {(1001, "gateway is shutting down")}
        assert b" 503 " in slow.recv(65_536)
        assert process.wait(PATIENCE_S) == signal.SIGTERM
        assert time.monotonic() - began < 5.0
        for thread in threads:
            thread.join(PATIENCE_S)
        assert process.stderr is not None
        assert process.stderr.read() == "", "a good end is no error"
    with running(data_dir=tmp_path) as gateway:
        assert {1, *acknowledged} <= set(stored(gateway))


def _heard(wire: Wire) -> Iterator[int]:
    """What is acknowledged until the goodbye."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield wire.hear()["seq"]


def _ask(url: str, path: str) -> None:
    with (
        contextlib.suppress(httpx.HTTPError),
        httpx.Client(headers={"x-api-key": KEY}, trust_env=False) as client,
        client.stream("GET", url + path, timeout=PATIENCE_S) as answer,
    ):
        for _ in answer.iter_raw():
            pass
