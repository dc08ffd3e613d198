"""Telemetry as a binary message: the same conversation as with text, for a body that is no JSON."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.domain.loss import Loss
from plexus.protocol import binaryframe, columnar, extensions, frames, video
from plexus.protocol.batch import Batch, BatchName, digest_of
from plexus.protocol.block import Block
from plexus.protocol.device import DeviceSession
from plexus.protocol.gateway import GatewaySession
from plexus.protocol.gatewayevents import BinaryReceived, FrameRefused, TelemetryReceived
from plexus.protocol.messages import Delivered, Forked, HttpAnswer, HttpRequest, Rewound
from plexus.protocol.request import RequestSession
from tests.support.pair import STREAM, ConnectionPair, batch_of, hello, opened

NAME = BatchName(STREAM, 3, 1, "ab12")
ENVELOPE = frames.Envelope("drone-01", 5)
BODY = columnar.write_body([Block("m", [10**18], [1.5])], columnar.PLAIN)


def columnar_batch(n: int, points: int = 2, stream: str = STREAM) -> Batch:
    body = columnar.write_body([Block(f"m.{stream[0]}.{n}", range(10**18, 10**18 + points), [n] * points)], 0)
    return Batch(stream, n, points, body, digest_of(body))


# --- the form ----------------------------------------------------------------------------------------------------


def test_what_stands_beside_the_points_comes_back() -> None:
    loss = Loss("buffer_full", 7, 1.0, 2.5)
    message = binaryframe.dump(BODY, seq=4, batch=NAME, gaps=[loss], source_id="rig-01")
    frame = binaryframe.parse(message, ENVELOPE)
    assert isinstance(frame, frames.Telemetry)
    assert (frame.seq, frame.batch, frame.gaps) == (4, NAME, (loss,))
    assert frame.decoded.columns.value == [1.5]
    assert binaryframe.split(message).header["source_id"] == "rig-01"
    assert binaryframe.split(message).body == BODY


def test_the_envelope_says_whose_points_they_are() -> None:
    frame = binaryframe.parse(binaryframe.dump(BODY, source_id="another"), ENVELOPE)
    assert isinstance(frame, frames.Telemetry)
    assert frame.decoded.columns.source_id == ["drone-01"]


def test_its_first_bytes_tell_it_from_video_and_from_json() -> None:
    assert binaryframe.MAGIC[0] != video.VERSION
    assert not binaryframe.is_binary_frame(b"[]")
    assert not binaryframe.is_binary_frame(BODY)
    assert not binaryframe.is_binary_body(b'[{"metric":"m"}]')


def test_a_body_in_json_goes_as_text_and_columns_as_bytes() -> None:
    assert json.loads(binaryframe.dump_telemetry(b"[]", batch=NAME))["batch"]["n"] == 3
    message = binaryframe.dump_telemetry(BODY, batch=NAME)
    assert isinstance(message, bytes)
    assert binaryframe.split(message).header == {"batch": NAME.to_wire()}


def test_other_text_frames_are_read_as_ever() -> None:
    assert binaryframe.parse('{"type":"heartbeat"}') == frames.Heartbeat("")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"PXT1", b"PXT1\0\2{}", b'PXT1\0\x0c{"batch":[]}']))
def test_any_bytes_are_a_frame_or_a_protocol_error(rest: bytes, head: bytes) -> None:
    try:
        frame = binaryframe.parse(head + rest, ENVELOPE)
    except ProtocolError:
        return
    assert isinstance(frame, (frames.Telemetry, frames.Unknown))


def test_every_shorter_message_is_refused() -> None:
    message = binaryframe.dump(BODY, batch=NAME)
    for length in range(len(message)):
        with pytest.raises(ProtocolError):
            binaryframe.parse(message[:length], ENVELOPE)


def test_a_header_over_64_kib_is_refused_by_its_writer() -> None:
    with pytest.raises(ProtocolError, match="65535"):
        binaryframe.dump(BODY, gaps=[Loss("x" * 300, 1)] * 256)


@pytest.mark.parametrize("header", [b"[]", b"1", b"{", b'{"seq":"x"}', b'{"batch":1}', b'{"gaps":[1]}', b"\xff"])
def test_a_header_that_breaks_the_contract_is_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        binaryframe.parse(b"PXT1\0" + bytes([len(header)]) + header + BODY, ENVELOPE)


def test_names_are_saved_from_a_frame_whose_body_is_broken() -> None:
    assert binaryframe.salvage(binaryframe.dump(b"junk", seq=4, batch=NAME)) == frames.Salvaged(4, NAME)
    assert binaryframe.salvage(b"PXT1\0\3{") is None
    assert binaryframe.salvage('{"type":"telemetry","seq":2}') == frames.Salvaged(2, None)


def test_more_points_than_the_reader_takes_are_refused() -> None:
    body = columnar.write_body([Block("m", range(5), [1] * 5)], columnar.PLAIN)
    with pytest.raises(columnar.TooManyPointsError):
        binaryframe.parse(binaryframe.dump(body), ENVELOPE, max_points=4)


# --- on the socket -----------------------------------------------------------------------------------------------


def test_a_columnar_batch_is_stored_and_acknowledged_by_its_name() -> None:
    pair = opened()
    pair.send(columnar_batch(1), columnar_batch(2))
    assert pair.shelf.metrics == ["m.a.1", "m.a.1", "m.a.2", "m.a.2"]
    assert [event.batches[0].n for event in pair.heard(Delivered)] == [1, 2]


def test_columns_and_text_share_one_stream() -> None:
    pair = opened()
    pair.send(batch_of(1), columnar_batch(2), batch_of(3))
    assert pair.shelf.metrics == ["m.a.1", "m.a.2", "m.a.2", "m.a.3"]


def test_a_columnar_gap_and_a_fork_are_refused_as_with_text() -> None:
    pair = opened()
    pair.send(columnar_batch(2))
    assert len(pair.heard(Rewound)) == 1
    pair.send(columnar_batch(1))
    pair.send(attrs.evolve(columnar_batch(1, points=3), digest="ff"))
    assert [event.stream for event in pair.heard(Forked)] == [STREAM]


def test_without_batch_names_a_columnar_frame_carries_its_seq() -> None:
    device = DeviceSession(attrs.evolve(hello(), offers={extensions.COLUMNAR: 1}), lambda: 0)
    pair = ConnectionPair(device=device)
    pair.open()
    pair.send(columnar_batch(1))
    assert pair.answers("telemetry_ack") == [{"type": "telemetry_ack", "seq": 1}]


def test_faults_are_named_by_their_index_over_the_whole_message() -> None:
    body = columnar.write_body([Block("m", [1, 2], [1, 2]), Block("", [3], [3])], columnar.PLAIN)
    pair = opened()
    pair.send(Batch(STREAM, 1, 3, body, digest_of(body)))
    (ack,) = pair.answers("batch_ack")
    assert ack["errors"] == [{"index": 2, "error": "metric must not be empty"}]
    assert pair.shelf.metrics == ["m", "m"]


def test_an_unreadable_columnar_frame_is_refused_under_its_name() -> None:
    pair = opened()
    body = columnar.MAGIC + b"junk"
    pair.send(Batch(STREAM, 1, 1, body, digest_of(body)))
    (error,) = pair.answers("error")
    assert (error["code"], error["batch"]) == (frames.MALFORMED, {"stream": STREAM, "n": 1})
    assert len(pair.asked(FrameRefused)) == 1


def test_every_other_binary_message_stays_what_it_was() -> None:
    pair = opened()
    pair.gateway.receive(b"\x01video", pair.now, 0)
    pair.gateway.receive(b"PXT2", pair.now, 0)
    pair.pump_gateway()
    assert [event.payload for event in pair.asked(BinaryReceived)] == [b"\x01video", b"PXT2"]


def test_before_device_auth_a_columnar_frame_ends_the_conversation() -> None:
    session = GatewaySession(0.0)
    session.receive(binaryframe.dump(BODY), 0.0, 0)
    assert session.close is not None
    assert not [event for event in session.take_events() if isinstance(event, TelemetryReceived)]


# --- over HTTP ---------------------------------------------------------------------------------------------------


def test_over_http_the_same_bytes_are_the_body() -> None:
    session = RequestSession("plx_secret", "drone-01", "1.0", lambda: 0)
    session.opened(0.0)
    session.take_messages()
    agreed = {extensions.HEADER: "batch=1,columnar=1"}
    session.receive(HttpAnswer(200, agreed, b'{"success":true,"count":0,"dropped":0}'), 0.0)
    batch = columnar_batch(1, points=500)
    session.submit(batch, 1, batch.body, 0.0)
    (request,) = session.take_messages()
    assert isinstance(request, HttpRequest)
    assert request.headers["content-type"] == "application/vnd.plexus.columnar"
    assert "content-encoding" not in request.headers
    sent = binaryframe.split(request.body)
    assert sent.header == {"source_id": "drone-01", "batch": batch.name(1).to_wire()}
    assert sent.body == batch.body
