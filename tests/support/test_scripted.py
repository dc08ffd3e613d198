"""The scripted gateways themselves, driven by hand: they judge our client, so they have to be right."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support import plain
from tests.support.scripted import Gateway0160, Gateway052, ScriptedGateway
from tests.support.scripted_ingest import API_KEY
from tests.support.waiting import eventually

POINT = {"class": "metric", "metric": "m", "value": 1, "timestamp": 1_746_969_660_000}


@contextlib.contextmanager
def device(gateway: ScriptedGateway, **auth: Any) -> Iterator[tuple[ClientConnection, dict[str, Any]]]:
    with connect(f"{gateway.ws_url}/ws/device", compression=None) as socket:
        hello = {"type": "device_auth", "api_key": API_KEY, "source_id": "drone-01", **auth}
        socket.send(json.dumps(hello))
        yield socket, json.loads(socket.recv(timeout=10))


def say(socket: ClientConnection, **frame: Any) -> None:
    socket.send(json.dumps(frame))


def hear(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(timeout=10))


def post(gateway: ScriptedGateway, body: Any, **headers: str) -> httpx.Response:
    return plain.request("POST", f"{gateway.url}/ingest", json=body, headers={"x-api-key": API_KEY, **headers})


def test_052_stores_what_it_hears_and_does_not_answer() -> None:
    with Gateway052() as gateway, device(gateway, acks=True) as (socket, greeting):
        assert set(greeting) == {"type", "source_id", "server_time_ms"}
        say(socket, type="telemetry", points=[POINT])
        eventually(lambda: gateway.values("m") == [1])
        gateway.send_command("reboot")
        assert hear(socket)["type"] == "typed_command"


def test_0160_acknowledges_by_number() -> None:
    with Gateway0160() as gateway, device(gateway, acks=True) as (socket, greeting):
        assert greeting["acks"] is True
        say(socket, type="telemetry", points=[POINT], seq=1)
        assert hear(socket) == {"type": "telemetry_ack", "seq": 1}
        assert gateway.values("m") == [1]


def test_held_frames_are_stored_when_they_are_acknowledged() -> None:
    with Gateway0160() as gateway, device(gateway, acks=True) as (socket, _):
        gateway.hold_acks()
        say(socket, type="telemetry", points=[POINT], seq=1)
        eventually(lambda: gateway.held() == 1)
        assert gateway.stored == []
        gateway.release_acks()
        assert hear(socket)["seq"] == 1
        assert gateway.values("m") == [1]


def test_a_rate_limited_frame_is_refused_with_its_number() -> None:
    with Gateway0160() as gateway, device(gateway, acks=True) as (socket, _):
        gateway.rate_limit_next()
        say(socket, type="telemetry", points=[POINT], seq=1)
        error = hear(socket)
        assert (error["code"], error["seq"]) == ("RATE_LIMITED", 1)
        assert gateway.stored == []


def test_unavailable_is_an_error_without_a_number_and_a_close_with_1013() -> None:
    with Gateway0160() as gateway, device(gateway, acks=True) as (socket, _):
        gateway.unavailable_next()
        say(socket, type="telemetry", points=[POINT], seq=1)
        assert "seq" not in hear(socket)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


def test_a_goodbye_is_a_close_with_1001_and_a_cut_is_none() -> None:
    with Gateway0160() as gateway:
        with device(gateway) as (socket, _):
            eventually(lambda: gateway.sockets)
            gateway.close_sockets()
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        with device(gateway) as (socket, _):
            eventually(lambda: len(gateway.sockets) == 2)
            gateway.cut_sockets()
            with pytest.raises(ConnectionClosed) as cut:
                socket.recv(timeout=10)
        assert cut.value.rcvd is None


def test_a_wrong_key_is_refused_on_both_roads() -> None:
    with Gateway052() as gateway:
        with device(gateway, api_key="plx_wrong") as (_, greeting):
            assert greeting["type"] == "error"
        assert post(gateway, {"points": [POINT]}, **{"x-api-key": "plx_wrong"}).status_code == 401
        assert gateway.refused_auths


def test_sockets_can_be_refused_and_accepted_again() -> None:
    with Gateway052() as gateway:
        gateway.refuse_sockets()
        with pytest.raises(InvalidStatus), device(gateway):
            pass
        assert gateway.refused_upgrades == 1
        gateway.accept_sockets()
        with device(gateway) as (_, greeting):
            assert greeting["type"] == "authenticated"
        gateway.stop_sockets()
        with pytest.raises(OSError, match="refused"), device(gateway):
            pass
        gateway.start_sockets()
        with device(gateway) as (_, greeting):
            assert greeting["type"] == "authenticated"


def test_ingest_answers_as_section_3_says() -> None:
    with Gateway0160() as gateway:
        answer = post(gateway, {"source_id": "rig-01", "points": [POINT]})
        assert answer.json() == {"success": True, "count": 1, "dropped": 0, "source_id": "rig-01"}
        packed = gzip.compress(json.dumps({"source_id": "rig-01", "points": [POINT]}).encode())
        headers = {"x-api-key": API_KEY, "content-encoding": "gzip"}
        assert plain.request("POST", f"{gateway.url}/ingest", content=packed, headers=headers).status_code == 200
        assert plain.request("GET", f"{gateway.url}/ingest").status_code == 405
        assert [point["via"] for point in gateway.stored] == ["http", "http"]


def test_ingest_misbehaves_on_order() -> None:
    with Gateway0160() as gateway:
        gateway.answer_next(429, {"error": "slow down"}, {"Retry-After": "1"})
        gateway.answer_next(500)
        gateway.answer_next(200, b"<html>Welcome to our hotel</html>", {"Content-Type": "text/html"})
        answers = [post(gateway, {"source_id": "rig-01", "points": [POINT]}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [429, 500, 200, 200]
        assert answers[0].headers["retry-after"] == "1"
        assert answers[2].text.startswith("<html>")
        assert len(gateway.stored) == 1


def test_an_ingest_of_no_points_is_answered_as_the_release_does() -> None:
    with Gateway052() as old, Gateway0160() as newer:
        assert post(old, {"source_id": "a", "points": []}).status_code == 400
        assert post(newer, {"source_id": "a", "points": []}).status_code == 200
        assert not old.ingests()
        assert len(newer.requests) == 1


def test_what_the_release_does_not_know_is_noted() -> None:
    with Gateway052() as gateway, device(gateway) as (socket, _):
        say(socket, type="telemetry", points=[{**POINT, "timestamp": 1.5, "value": "x", "more": 1}], seq=1)
        eventually(lambda: gateway.stored)
        assert gateway.violations == [
            "a telemetry frame with ['seq']",
            "a point with ['more']",
            "a timestamp of 1.5",
            "a metric of 'x'",
        ]
