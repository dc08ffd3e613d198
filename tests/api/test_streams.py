from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import math
import queue
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus import PlexusAPI
from plexus.api.livesocket import LiveSocket
from plexus.api.streams import Stream, pick_events, pick_points
from plexus.domain.errors import (
    ApiError,
    AuthenticationError,
    PlexusError,
    ProtocolError,
    TransportClosed,
    TransportError,
)
from plexus.domain.event import Event
from plexus.domain.live import LivePoint, StreamNotice
from plexus.protocol import live
from tests.api.scripted import Scripted, breaks, closes, scripted, sends, telemetry
from tests.support.servers import AUTHORITY, server_tls

KEY = "plx_canary_of_this_test_never_to_be_seen_anywhere"


class Pauses:
    """Waits for nothing and keeps what it was asked to wait."""

    def __init__(self, *, then: Callable[[int], None] = lambda _count: None) -> None:
        self.asked: list[float] = []
        self._then = then

    def __call__(self, _closed: threading.Event, seconds: float) -> None:
        self.asked.append(seconds)
        self._then(len(self.asked))


def _stream(server: Scripted, *, pauses: Pauses | None = None, notices: Any = None) -> Stream[LivePoint]:
    url = f"ws://127.0.0.1:{server.port}/v1/sources/a1/metrics/stream"
    return Stream(
        lambda: LiveSocket(url, 5.0),
        live.auth_message(KEY),
        pick_points,
        on_notice=notices,
        pause=pauses or Pauses(),
        rng=lambda: 0.5,
        monotonic=lambda: 0.0,
    )


def _values(stream: Stream[LivePoint], count: int) -> list[Any]:
    return [next(stream).value for _ in range(count)]


# --- what arrives -------------------------------------------------------------------------------------------


def test_points_come_one_by_one() -> None:
    with scripted(sends(telemetry(1, 2), telemetry("on"))) as server, _stream(server) as stream:
        assert next(stream) == LivePoint("a1", "battery.voltage", 1, 5)
        assert _values(stream, 2) == [2, "on"]


def test_the_client_asks_for_its_metrics_and_says_its_key_first() -> None:
    with scripted(sends(telemetry(1))) as server, PlexusAPI(KEY, server.url) as api:
        with api.metrics.stream("a1", ["battery.voltage", "größe"]) as stream:
            assert next(stream).value == 1
        assert (
            server.targets.get(timeout=5) == "/v1/sources/a1/metrics/stream?metrics=battery.voltage%2Cgr%C3%B6%C3%9Fe"
        )
        assert json.loads(server.hellos.get(timeout=5)) == {"type": "auth", "api_key": KEY}


def test_events_come_one_by_one() -> None:
    frame = live.event_message("a1", "mode", {"to": "auto"}, 5_000_000, {"by": "hand"})
    with scripted(sends(frame, telemetry(1), frame)) as server, PlexusAPI(KEY, server.url) as api:
        with api.events.stream("a1") as stream:
            expected = Event("mode", {"to": "auto"}, 5, {"by": "hand"}, "a1")
            assert [next(stream), next(stream)] == [expected, expected]
        assert server.targets.get(timeout=5) == "/v1/sources/a1/events/stream"


def test_values_that_are_no_finite_numbers_come_as_they_were() -> None:
    point = live.point_object("a1", "m", -math.inf, 5_000_000)
    with scripted(sends(live.points_message([point]))) as server, _stream(server) as stream:
        assert next(stream).value == -math.inf


def test_frames_of_unknown_types_are_passed_over() -> None:
    with scripted(sends('{"type":"weather","sun":true}', telemetry(1))) as server, _stream(server) as stream:
        assert next(stream).value == 1


def test_a_frame_that_breaks_the_contract_is_named_and_the_stream_goes_on() -> None:
    bad = '{"type":"telemetry","points":[{"source_id":"a1","value":1,"timestamp":5}]}'
    with scripted(sends(bad, telemetry(1))) as server, _stream(server) as stream:
        with pytest.raises(ProtocolError, match="metric must be a string"):
            next(stream)
        assert next(stream).value == 1


def test_waiting_can_end_without_a_point() -> None:
    with scripted(sends(telemetry(1))) as server, _stream(server) as stream:
        assert next(stream).value == 1
        assert stream.receive(timeout=0.01) is None
        assert stream.receive(timeout=0.0) is None


def test_it_connects_when_first_asked_without_a_with() -> None:
    with scripted(sends(telemetry(1))) as server:
        stream = _stream(server)
        assert next(stream).value == 1
        stream.close()


# --- losses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [breaks(telemetry(1)), closes(1000, telemetry(1)), closes(1011, telemetry(1))])
def test_a_stream_that_is_lost_is_made_again(loss: Any) -> None:
    pauses = Pauses()
    with scripted(loss, sends(telemetry(2))) as server, _stream(server, pauses=pauses) as stream:
        assert _values(stream, 2) == [1, 2]
        assert stream.reconnects == 1
        assert pauses.asked == [1.0]
        assert [json.loads(server.hellos.get(timeout=5))["api_key"] for _ in range(2)] == [KEY, KEY]


def test_a_server_that_goes_away_is_looked_for_within_half_a_second() -> None:
    pauses = Pauses()
    with scripted(closes(1001, telemetry(1)), sends(telemetry(2))) as server, _stream(server, pauses=pauses) as stream:
        assert _values(stream, 2) == [1, 2]
        assert pauses.asked == [pytest.approx(0.3)]


def test_a_server_that_says_later_is_asked_later_and_later() -> None:
    pauses = Pauses()
    script = [closes(1013)] * 6 + [sends(telemetry(1))]
    with scripted(*script) as server, _stream(server, pauses=pauses) as stream:
        assert next(stream).value == 1
        assert pauses.asked == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_stream_that_works_again_forgets_its_failures() -> None:
    pauses = Pauses()
    script = [closes(1013), closes(1013, telemetry(1)), sends(telemetry(2))]
    with scripted(*script) as server, _stream(server, pauses=pauses) as stream:
        assert _values(stream, 2) == [1, 2]
        assert pauses.asked == [1.0, 1.0]


def test_a_server_that_is_down_for_a_while_is_found_again() -> None:
    notices: list[StreamNotice] = []
    with scripted(breaks(telemetry(1))) as first:
        stream = _stream(first, notices=notices.append)
        assert next(stream).value == 1
    # Now nobody listens there: the next tries fail, until the address leads to another server.
    with scripted(sends(telemetry(2))) as second:

        def come_back(tries: int) -> None:
            if tries == 3:
                stream._connect = lambda: LiveSocket(f"ws://127.0.0.1:{second.port}/", 5.0)

        stream._pause = Pauses(then=come_back)
        assert next(stream).value == 2
        stream.close()
    assert [notice.state for notice in notices] == ["connected", "lost", "lost", "lost", "connected"]
    assert "refuses connections" in notices[2].detail


def test_what_becomes_of_the_connection_is_told() -> None:
    notices: list[StreamNotice] = []
    doubt = '{"type":"gateway_reconnecting","attempt":2,"max_attempts":5,"delay_s":2}'
    script = [closes(1013, doubt, telemetry(1)), sends(telemetry(2))]
    with scripted(*script) as server, _stream(server, notices=notices.append) as stream:
        assert _values(stream, 2) == [1, 2]
    assert [notice.state for notice in notices] == ["connected", "gateway_reconnecting", "lost", "connected"]
    assert (notices[1].attempt, notices[1].delay_s) == (2, 2)
    assert "closed the stream (1013: as the script says)" in notices[2].detail


def test_a_gateway_that_reconnects_keeps_the_stream() -> None:
    doubt = '{"type":"gateway_reconnecting","attempt":1,"delay_s":2}'
    with scripted(sends(telemetry(1), doubt, telemetry(2))) as server, _stream(server) as stream:
        assert _values(stream, 2) == [1, 2]
        assert stream.reconnects == 0


# --- refusals -----------------------------------------------------------------------------------------------


def test_a_key_that_is_refused_ends_the_stream() -> None:
    with scripted(closes(4401)) as server, _stream(server) as stream:
        with pytest.raises(AuthenticationError, match=r"4401.*plexus init"):
            next(stream)
        assert list(stream) == []


@pytest.mark.parametrize(
    ("code", "status", "words"), [(4402, 402, "plan"), (1008, 403, "may not read"), (4999, 0, "4999")]
)
def test_other_refusals_end_the_stream_with_their_reason(code: int, status: int, words: str) -> None:
    with scripted(closes(code)) as server, _stream(server) as stream:
        with pytest.raises(ApiError, match=words) as caught:
            next(stream)
        assert caught.value.status == status
        assert isinstance(caught.value.__cause__, TransportClosed)


def test_a_key_that_is_revoked_later_ends_the_stream_too() -> None:
    with scripted(closes(1001, telemetry(1)), closes(4401)) as server, _stream(server) as stream:
        assert next(stream).value == 1
        with pytest.raises(AuthenticationError):
            next(stream)


def test_a_first_connection_that_fails_is_an_error_at_once() -> None:
    with PlexusAPI(KEY, "http://127.0.0.1:1") as api:
        stream = api.metrics.stream("a1")
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:1 refuses connections"):
            stream.__enter__()
        with pytest.raises(TransportError):
            next(stream)


def test_what_is_no_websocket_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(TransportError, match="answered 404 to the upgrade"):
            LiveSocket(f"ws://127.0.0.1:{listener.getsockname()[1]}/", 5.0).open("hi")
        thread.join(10)


def test_a_server_that_never_answers_runs_into_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with PlexusAPI(KEY, url, timeout=0.1) as api, pytest.raises(TransportError, match=r"within 0.1 s"):
            api.metrics.stream("a1").__enter__()


def test_a_silent_server_that_answers_a_ping_is_kept() -> None:
    def answer_ping(peer: socket.socket) -> None:
        head = peer.recv(6)
        assert head[0] & 0x0F == 0x9
        peer.sendall(b"\x8a\x00" + b"\x81\x05hello")

    with _upgraded(answer_ping) as url:
        live_socket = LiveSocket(url, 5.0, ping_every_s=0.5)
        live_socket.open("hi")
        assert live_socket.receive(None) == "hello"
        live_socket.close()


def test_a_silent_server_that_answers_no_ping_is_gone() -> None:
    with _upgraded(lambda _peer: None) as url:
        live_socket = LiveSocket(url, 5.0, ping_every_s=0.05)
        live_socket.open("hi")
        with pytest.raises(TransportError, match="nothing was heard"):
            live_socket.receive(None)
        live_socket.close()


@contextlib.contextmanager
def _upgraded(then: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server of bare frames: it takes the upgrade and the first message, calls `then`, and waits for the end."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(1)
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
            assert key is not None
            accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            peer.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            assert len(peer.recv(8)) == 8
            then(peer)
            while peer.recv(4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(10)
        assert not thread.is_alive()


# --- TLS ----------------------------------------------------------------------------------------------------


def _over_tls(server: Scripted) -> LiveSocket:
    return LiveSocket(f"wss://localhost:{server.port}/", 5.0)


def test_a_stream_runs_over_tls_and_another_thread_can_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    first, left = threading.Event(), threading.Event()
    with scripted(sends(telemetry(1)), tls=server_tls()) as server:
        stream = Stream(lambda: _over_tls(server), live.auth_message(KEY), pick_points)

        def consume() -> None:
            for _point in stream:
                first.set()
            left.set()

        thread = threading.Thread(target=consume)
        thread.start()
        assert first.wait(5)
        stream.close()
        assert left.wait(5)
        thread.join(5)


def test_a_stream_trusts_no_unknown_authority() -> None:
    with scripted(sends(telemetry(1)), tls=server_tls()) as server:
        with pytest.raises(TransportError, match="certificate of localhost"):
            _over_tls(server).open(live.auth_message(KEY))
        assert server.hellos.empty()


def test_an_address_with_https_is_streamed_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with scripted(sends(telemetry(1)), tls=server_tls()) as server, PlexusAPI(KEY, _https(server)) as api:
        stream = api.metrics.stream("a1")
        assert next(stream).value == 1
        stream.close()


def _https(server: Scripted) -> str:
    return f"https://localhost:{server.port}"


# --- closing ------------------------------------------------------------------------------------------------


def test_another_thread_can_end_a_stream_that_waits() -> None:
    got: queue.Queue[list[Any]] = queue.Queue()
    first = threading.Event()
    with scripted(sends(telemetry(1))) as server:
        stream = _stream(server)

        def consume() -> None:
            values = []
            for point in stream:
                values.append(point.value)
                first.set()
            got.put(values)

        thread = threading.Thread(target=consume)
        thread.start()
        assert first.wait(5)
        stream.close()
        assert got.get(timeout=5) == [1]
        thread.join(5)
        assert server.ended.get(timeout=5) == 1000


def test_another_thread_can_end_a_stream_that_waits_to_connect_again() -> None:
    waiting, left = threading.Event(), threading.Event()

    def pause(closed: threading.Event, _seconds: float) -> None:
        waiting.set()
        closed.wait(10)

    with scripted(breaks()) as server:
        stream = _stream(server)
        stream._pause = pause

        def consume() -> None:
            assert list(stream) == []
            left.set()

        thread = threading.Thread(target=consume)
        thread.start()
        assert waiting.wait(5)
        stream.close()
        assert left.wait(5)
        thread.join(5)


def test_waiting_for_a_point_ends_in_time_while_the_connection_is_away() -> None:
    pauses = Pauses()
    with scripted(breaks(telemetry(1))) as server, _stream(server, pauses=pauses) as stream:
        assert next(stream).value == 1
        assert stream.receive(timeout=0.25) is None
        assert stream.receive(timeout=0.5) is None
        assert pauses.asked == [0.25, 0.5]


def test_closing_says_goodbye_and_twice_is_fine() -> None:
    with scripted(sends(telemetry(1))) as server:
        with _stream(server) as stream:
            assert next(stream).value == 1
        stream.close()
        assert server.ended.get(timeout=5) == 1000
        assert stream.receive() is None


def test_the_key_is_in_no_error_and_no_url() -> None:
    with scripted(closes(4401)) as server, _stream(server) as stream:
        with pytest.raises(AuthenticationError) as caught:
            next(stream)
        assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(stream)
        assert KEY not in server.targets.get(timeout=5)


# --- anything at all ----------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_no_frame_makes_a_stream_fail_in_another_way(message: str | bytes) -> None:
    class Fed:
        def receive(self, _timeout: float | None) -> str | bytes | None:
            return fed.pop() if fed else None

    for pick in (pick_points, pick_events):
        fed = [message]
        stream: Stream[Any] = Stream(lambda: None, "", pick)  # type: ignore[arg-type, return-value]
        stream._socket = Fed()  # type: ignore[assignment]
        try:
            while stream.receive(0.0) is not None:
                pass
        except PlexusError:
            pass
