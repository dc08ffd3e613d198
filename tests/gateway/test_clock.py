"""The gateway tells its time to devices that ask for it (extension `clock`), over the socket and over HTTP."""

from __future__ import annotations

import time

import pytest

from plexus.gateway import Gateway
from plexus.protocol.probing import TIME_HEADER, read_times
from tests.support.gateway import KEY, device, http

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
