"""The gateway tells its time to devices that ask for it (extension `clock`), over the socket and over HTTP."""

from __future__ import annotations

import time

import pytest

from plexus.gateway import Gateway
from plexus.protocol.probing import TIME_HEADER, read_times
from tests.gateway.test_bounds import rejected
from tests.support.gateway import KEY, Wire, device, http

EMPTY = {"source_id": "rig-01", "points": []}


class TestSocket:
    def test_a_question_is_answered_with_the_time_at_which_it_came(self, shared: Gateway) -> None:
        with device(shared, "drone-01", ext={"clock": 1}) as wire:
            before = time.time_ns() // 1_000
            wire.say(type="clock_ping", t0=12_345)
            answer = wire.hear()
            after = time.time_ns() // 1_000
        assert (answer["type"], answer["t0"]) == ("clock_pong", 12_345)
        assert before <= answer["t1"] <= answer["t2"] <= after

    def test_a_device_that_did_not_offer_it_is_told_nothing(self, shared: Gateway) -> None:
        with device(shared, "drone-01", acks=True) as wire:
            wire.say(type="clock_ping", t0=1)
            wire.say(type="telemetry", seq=1, points=[])
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}


class TestHeartbeat:
    """What a device says of its clock, told on in its delivery ledger."""

    WAKEN_IN_1970_MS = 1.78e12

    def told(self, gateway: Gateway, source_id: str) -> dict[str, float] | None:
        with http(gateway) as client:
            told: dict[str, float] | None = client.get(f"/v1/sources/{source_id}/delivery").json()["clock"]
        return told

    @pytest.mark.parametrize("offset_ms", [0, -250.5, WAKEN_IN_1970_MS, -WAKEN_IN_1970_MS])
    def test_what_a_device_says_of_its_clock_is_told(self, gateway: Gateway, offset_ms: float) -> None:
        with device(gateway, ext={"clock": 1}, acks=True) as wire:
            wire.say(type="heartbeat", source_id="drone-01", clock={"offset_ms": offset_ms, "error_ms": 1.5})
            self.through(wire)
        told = self.told(gateway, "drone-01")
        assert told is not None
        assert (told["offset_ms"], told["error_ms"]) == (offset_ms, 1.5)
        assert rejected(gateway, "malformed") == 0

    @pytest.mark.parametrize(
        "said",
        ['1e300,"error_ms":1', '-1e300,"error_ms":1', '4e12,"error_ms":1', '1,"error_ms":-1', '1,"error_ms":1e300'],
    )
    def test_what_cannot_be_is_passed_over_and_counted(self, gateway: Gateway, said: str) -> None:
        with device(gateway, ext={"clock": 1}, acks=True) as wire:
            wire.say(type="heartbeat", source_id="drone-01", clock={"offset_ms": 7, "error_ms": 2})
            wire.connection.send('{"type":"heartbeat","source_id":"drone-01","clock":{"offset_ms":' + said + "}}")
            self.through(wire)
        told = self.told(gateway, "drone-01")
        assert told is not None
        assert (told["offset_ms"], told["error_ms"]) == (7, 2)
        assert rejected(gateway, "malformed") == 1

    @pytest.mark.parametrize("word", ["NaN", "Infinity", "1e999"])
    def test_a_number_that_is_none_is_never_told(self, gateway: Gateway, word: str) -> None:
        with device(gateway, ext={"clock": 1}, acks=True) as wire:
            for said in (f'{word},"error_ms":1', f'1,"error_ms":{word}'):
                wire.connection.send('{"type":"heartbeat","source_id":"drone-01","clock":{"offset_ms":' + said + "}}")
            self.through(wire)
        assert self.told(gateway, "drone-01") is None

    def through(self, wire: Wire) -> None:
        """Everything that was said before is heard."""
        wire.telemetry({"metric": "a", "value": 1, "timestamp": 1}, seq=1)
        while wire.hear()["type"] != "telemetry_ack":
            pass


class TestHttp:
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (EMPTY, 200),
            ({"source_id": "rig-01", "points": [{"metric": "m", "value": 1}]}, 200),
            ({"points": [{}]}, 400),
        ],
        ids=["the probe", "points", "bad points"],
    )
    def test_every_answer_says_when_the_question_came_and_when_the_answer_left(
        self, gateway: Gateway, body: object, status: int
    ) -> None:
        before = time.time_ns() // 1_000
        with http(gateway, KEY) as client:
            answer = client.post("/ingest", json=body, headers={"x-plexus-ext": "batch=1,clock=1"})
        after = time.time_ns() // 1_000
        assert answer.status_code == status
        times = read_times(answer.headers.get(TIME_HEADER))
        assert times is not None
        assert before <= times[0] <= times[1] <= after

    @pytest.mark.parametrize("headers", [{}, {"x-plexus-ext": "batch=1"}], ids=["0.16.0", "without clock"])
    def test_a_client_that_did_not_offer_it_gets_no_such_header(
        self, gateway: Gateway, headers: dict[str, str]
    ) -> None:
        with http(gateway, KEY) as client:
            assert TIME_HEADER not in client.post("/ingest", json=EMPTY, headers=headers).headers
