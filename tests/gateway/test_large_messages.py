"""Large messages: read in pieces, beside the event loop, in order, and never differently from small ones."""

from __future__ import annotations

import json
import threading
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.gateway import Gateway, decoding
from plexus.protocol import binaryframe, columnar, frames
from plexus.protocol.block import Block
from plexus.protocol.columnar import TooManyPointsError
from plexus.protocol.columns import PointFault
from tests.gateway.test_decoding import ARRIVAL_NS, DEEP, ENVELOPE, NUMBERS, STRINGS, messages, outcome
from tests.gateway.test_ingest import point, post, stored
from tests.support.gateway import device, http


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LARGE", -1)
    monkeypatch.setattr(decoding, "PIECE", 2)


@pytest.mark.usefixtures("everything_is_large")
class TestPieces:
    def test_a_frame_in_pieces_is_the_reference_decoders_frame(self) -> None:
        @settings(max_examples=300, deadline=None)
        @given(messages(typed=True), st.sampled_from([ENVELOPE, frames.Envelope("", ARRIVAL_NS)]))
        def holds(text: str, envelope: frames.Envelope) -> None:
            assert outcome(decoding.parse, text, envelope) == outcome(frames.parse, text, envelope)

        holds()

    def test_a_body_in_pieces_is_the_reference_decoders_body(self) -> None:
        @settings(max_examples=300, deadline=None)
        @given(messages(typed=False))
        def holds(text: str) -> None:
            body = text.encode("utf-8", "surrogatepass")
            assert outcome(decoding.parse_body, body, ARRIVAL_NS) == outcome(decoding.reference_body, body, ARRIVAL_NS)

        holds()

    @pytest.mark.parametrize("text", [*NUMBERS, *STRINGS, *DEEP])
    def test_every_odd_value_is_read_alike(self, text: str) -> None:
        for odd in (text, f'{{"metric":"m","value":{text}}}', f'{{"metric":"m","value":1,"junk":{text}}}'):
            message = '{"type":"telemetry","points":[{"metric":"m","value":1},' + odd + "]}"
            assert outcome(decoding.parse, message, ENVELOPE) == outcome(frames.parse, message, ENVELOPE), odd

    def test_a_fault_is_told_where_it_stands_in_the_whole_message(self) -> None:
        items: list[dict[str, Any]] = [{"metric": "m", "value": number} for number in range(7)]
        items[5] = {"metric": "", "value": 1}
        frame = decoding.parse(json.dumps({"type": "telemetry", "points": items}), ENVELOPE)
        assert isinstance(frame, frames.Telemetry)
        assert frame.decoded.faults == (PointFault(5, "metric must not be empty"),)
        assert frame.decoded.columns.value == [0, 1, 2, 3, 4, 6]

    def test_declared_losses_are_read(self) -> None:
        gap = {"reason": "buffer_full", "count": 3}
        text = json.dumps({"type": "telemetry", "points": [], "gaps": [gap]})
        assert outcome(decoding.parse, text, ENVELOPE) == outcome(frames.parse, text, ENVELOPE)
        body = json.dumps({"points": [], "gaps": [gap]}).encode()
        assert outcome(decoding.parse_body, body, ARRIVAL_NS) == outcome(decoding.reference_body, body, ARRIVAL_NS)

    def test_too_many_points_are_refused_before_one_is_read(self) -> None:
        text = json.dumps({"type": "telemetry", "points": [1, 2, 3]})
        with pytest.raises(TooManyPointsError):
            decoding.parse(text, ENVELOPE, 2)


def large(seq: int, count: int = 5_000) -> str:
    """A frame of more than 256 KiB."""
    points = ",".join(
        f'{{"class":"metric","metric":"m","value":{number}.5,"timestamp":{1746969660000 + number}}}'
        for number in range(count)
    )
    text = f'{{"type":"telemetry","points":[{points}],"seq":{seq}}}'
    assert len(text) > decoding.LARGE
    return text


class TestAside:
    def test_a_large_frame_is_decoded_in_another_thread_and_a_small_one_is_not(
        self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads: list[str] = []
        inner = decoding.parse

        def watched(message: Any, *rest: Any) -> frames.Frame:
            threads.append(threading.current_thread().name)
            return inner(message, *rest)

        monkeypatch.setattr(decoding, "parse", watched)
        with device(gateway, acks=True) as wire:
            del threads[:]
            wire.telemetry(point(1), seq=1)
            wire.connection.send(large(2))
            assert wire.hear()["type"] == "telemetry_ack"
            while wire.hear()["seq"] < 2:
                continue
        assert len(threads) == 2
        assert threads[0] == "plexus-gateway"
        assert threads[1] != "plexus-gateway"

    def test_what_comes_behind_it_is_acknowledged_behind_it(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            wire.connection.send(large(1))
            wire.telemetry(point(1), seq=2)
            heard = [wire.hear()["seq"]]
            while heard[-1] < 2:
                heard.append(wire.hear()["seq"])
        assert heard == sorted(heard)
        assert len(stored(gateway, "drone-01")) == 5_001

    def test_another_device_is_answered_while_it_is_decoded(
        self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()
        inner = decoding.parse

        def slow(message: Any, *rest: Any) -> frames.Frame:
            if len(message) > decoding.LARGE:
                begun.set()
                assert go_on.wait(10)
            return inner(message, *rest)

        monkeypatch.setattr(decoding, "parse", slow)
        with device(gateway, acks=True) as wire, device(gateway, "drone-02", acks=True) as other:
            wire.connection.send(large(1))
            assert begun.wait(10)
            other.telemetry(point(1), seq=1)
            assert other.hear() == {"type": "telemetry_ack", "seq": 1}
            go_on.set()
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}

    def test_a_large_frame_that_cannot_be_read_is_refused_by_number(self, gateway: Gateway) -> None:
        with device(gateway, acks=True) as wire:
            wire.connection.send(large(1).replace('"points":[', '"points":"x","rest":['))
            error = wire.hear()
            assert (error["code"], error["seq"]) == ("MALFORMED", 1)
            wire.telemetry(point(1), seq=2)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 2}

    def test_a_large_columnar_frame_is_stored(self, gateway: Gateway) -> None:
        random = Random(1)
        values = [random.random() for _ in range(60_000)]
        body = columnar.write_body([Block("m", range(10**18, 10**18 + 60_000), values)], columnar.BEST)
        assert len(body) > decoding.LARGE
        with device(gateway, acks=True, ext={"columnar": 1}) as wire:
            wire.connection.send(binaryframe.dump(body, seq=1))
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}
        assert stored(gateway, "drone-01") == values

    def test_a_backlog_of_0_5_2_in_one_frame_of_16_mib_is_stored(self, gateway: Gateway) -> None:
        padding = "x" * 76
        points = ",".join(
            f'{{"class":"metric","metric":"m","value":{number},"timestamp":{1746969660000 + number},'
            f'"tags":{{"note":"{padding}"}}}}'
            for number in range(99_000)
        )
        with device(gateway, acks=True) as wire:
            text = f'{{"type":"telemetry","points":[{points}],"seq":1}}'
            assert 15 * 2**20 < len(text) < 16 * 2**20
            wire.connection.send(text)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}
        assert len(stored(gateway, "drone-01")) == 99_000

    def test_a_large_body_over_http_is_stored_whole(self, gateway: Gateway) -> None:
        items = [{"metric": "m", "value": number, "timestamp": 1746969660000 + number} for number in range(6_000)]
        items[5_000] = {"metric": "m", "value": 1, "timestamp": "now"}
        status, body = post(gateway, {"source_id": "rig-01", "points": items})
        assert (status, body["count"], body["errors"]) == (
            200,
            5_999,
            [{"index": 5_000, "error": "timestamp must be a number"}],
        )

    def test_a_large_body_of_nonsense_is_a_400(self, gateway: Gateway) -> None:
        with http(gateway) as client:
            answer = client.post("/ingest", content=b'{"points":[' + b'{"metric":"m",' * 40_000)
        assert answer.status_code == 400
