"""The device's end of `POST /ingest`: which answers release a batch, which condemn it, and which do neither."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest

from plexus.domain.command import CommandOutcome
from plexus.protocol import extensions
from plexus.protocol.batch import Batch
from plexus.protocol.columns import PointFault
from plexus.protocol.messages import (
    AuthRefused,
    Delivered,
    DeviceEvent,
    Ended,
    Forked,
    HttpAnswer,
    HttpRequest,
    Oversized,
    Ready,
    Refused,
    Rewound,
)
from plexus.protocol.request import ANSWER_TIMEOUT_S, RequestSession
from tests.support.pair import STREAM, batch_of

OURS = {extensions.HEADER: "batch=1,any_metric=1,teleport=3"}
PORTAL = b"<html>Welcome to our hotel</html>"


class Line:
    """A session and the one at the other end of it, who answers by hand."""

    def __init__(self) -> None:
        self.tick_ns = 0
        self.session = RequestSession("plx_secret", "drone-01", "1.0", lambda: self.tick_ns)
        self.session.opened(0.0)

    def request(self) -> HttpRequest:
        (message,) = self.session.take_messages()
        assert isinstance(message, HttpRequest)
        return message

    def answer(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> list[DeviceEvent]:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.session.receive(HttpAnswer(status, headers or {}, raw), 1.0)
        return self.session.take_events()

    def ready(self, headers: Mapping[str, str] | None = None) -> Line:
        self.request()
        self.answer(200, {"success": True, "count": 0}, headers)
        return self

    def post(self, batch: Batch, base: int = 1) -> HttpRequest:
        self.session.submit(batch, base, batch.body, 1.0)
        return self.request()


def body_of(request: HttpRequest) -> Any:
    packed = request.headers.get("content-encoding") == "gzip"
    return json.loads(gzip.decompress(request.body) if packed else request.body)


class TestProbe:
    def test_the_link_opens_with_an_ingest_of_no_points(self) -> None:
        request = Line().request()
        assert (request.method, request.path) == ("POST", "/ingest")
        assert body_of(request) == {"source_id": "drone-01", "points": []}
        assert request.headers["x-api-key"] == "plx_secret"
        assert request.headers[extensions.HEADER] == extensions.format_header(extensions.DEVICE_OFFERS)

    @pytest.mark.parametrize(
        ("status", "body"),
        [(200, {"success": True}), (400, {"error": "no points"}), (422, {"detail": "no points"}), (400, None)],
    )
    def test_what_any_release_answers_means_ready(self, status: int, body: Any) -> None:
        line = Line()
        assert not line.session.has_room(1)
        (ready,) = line.answer(status, body)
        assert ready == Ready("drone-01", frozenset(), confirms=True)
        assert line.session.has_room(1)

    def test_only_what_both_ends_have_is_agreed(self) -> None:
        (ready,) = Line().answer(200, {"success": True}, OURS)
        assert isinstance(ready, Ready)
        assert ready.features == {"batch", "any_metric"}

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_ends_the_link(self, status: int) -> None:
        refused, ended = Line().answer(status, {"error": "invalid API key"})
        assert refused == AuthRefused(str(status), "invalid API key", key_at_fault=True)
        assert isinstance(ended, Ended)

    @pytest.mark.parametrize(("status", "body"), [(200, PORTAL), (200, {}), (400, PORTAL), (302, None), (503, None)])
    def test_what_is_not_the_gateways_answer_ends_the_link(self, status: int, body: Any) -> None:
        (ended,) = Line().answer(status, body)
        assert isinstance(ended, Ended)
        assert str(status) in ended.reason


class TestBatches:
    def test_a_batch_carries_its_name_where_names_are_agreed(self) -> None:
        batch = batch_of(3)
        body = body_of(Line().ready(OURS).post(batch, base=2))
        assert body["batch"] == {"stream": STREAM, "n": 3, "base": 2, "digest": batch.digest}
        assert body["points"] == json.loads(batch.body)

    def test_an_older_gateway_sees_nothing_that_it_does_not_know(self) -> None:
        assert set(body_of(Line().ready().post(batch_of(1)))) == {"source_id", "points"}

    def test_one_is_in_flight_at_a_time(self) -> None:
        line = Line().ready()
        line.post(batch_of(1, points=7))
        assert not line.session.has_room(1)
        assert line.session.in_flight() == 7
        line.answer(200, {"success": True})
        assert line.session.has_room(1)
        assert line.session.in_flight() == 0

    def test_a_body_over_1_kb_is_packed(self) -> None:
        line = Line().ready()
        small = line.post(batch_of(1))
        assert "content-encoding" not in small.headers
        line.answer(200, {"success": True})
        large = line.post(batch_of(2, points=100))
        assert large.headers["content-encoding"] == "gzip"
        assert len(body_of(large)["points"]) == 100


class TestAnswers:
    def answered(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> list[DeviceEvent]:
        self.batch = batch_of(1, points=5)
        line = Line().ready(OURS)
        line.post(self.batch)
        return line.answer(status, body, headers)

    def test_success_is_delivered(self) -> None:
        assert self.answered(200, {"success": True, "count": 5, "dropped": 0}) == [Delivered((self.batch,))]

    def test_what_was_dropped_for_rate_is_counted(self) -> None:
        assert self.answered(200, {"success": True, "dropped": 2}) == [Delivered((self.batch,), 2, "rate_limited")]

    def test_what_was_dropped_for_a_reason_is_counted_with_it(self) -> None:
        errors = [{"index": 3, "error": "timestamp must be a number"}]
        (done,) = self.answered(200, {"success": True, "dropped": 1, "errors": errors})
        fault = PointFault(3, "timestamp must be a number")
        assert done == Delivered((self.batch,), 1, "timestamp must be a number", (fault,))

    def test_more_faults_or_drops_than_there_are_points_are_not_counted(self) -> None:
        errors = [{"index": 3, "error": "a"}, {"index": 5, "error": "b"}, {"index": -1, "error": "c"}, "d"]
        (done,) = self.answered(200, {"success": True, "dropped": 9, "errors": errors})
        assert done == Delivered((self.batch,), self.batch.count, "a", (PointFault(3, "a"),))

    def test_a_message_that_is_too_large_is_said_to_be_so(self) -> None:
        (oversized,) = self.answered(413, {"error": "too large"})
        assert oversized == Oversized((self.batch,), "POST /ingest was answered with 413: too large")

    @pytest.mark.parametrize("dropped", [None, True, -1, "3", 1.5])
    def test_a_count_that_is_none_counts_nothing(self, dropped: Any) -> None:
        assert self.answered(200, {"success": True, "dropped": dropped}) == [Delivered((self.batch,))]

    @pytest.mark.parametrize(
        ("status", "body"), [(400, {"error": "points must be an array"}), (422, {"detail": "bad"}), (400, None)]
    )
    def test_what_the_gateway_calls_malformed_is_refused_for_good(self, status: int, body: Any) -> None:
        (refused,) = self.answered(status, body)
        assert isinstance(refused, Refused)
        assert (refused.batches, refused.code) == ((self.batch,), str(status))

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, PORTAL),
            (200, None),
            (200, {"success": False}),
            (200, {"ok": 1}),
            (200, [1]),
            (204, None),
            (302, None),
            (400, PORTAL),
            (404, {"error": "no such route"}),
            (408, None),
            (409, PORTAL),
            (409, {"error": "conflict"}),
            (429, {"error": "too many"}),
            (500, None),
            (503, PORTAL),
        ],
    )
    def test_everything_else_is_kept_and_tried_again(self, status: int, body: Any) -> None:
        (rewound,) = self.answered(status, body)
        assert isinstance(rewound, Rewound)
        assert rewound.batches == (self.batch,)
        assert str(status) in rewound.detail

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [("2", 2.0), (" 120 ", 120.0), ("0", 0.0), ("99999999", 3_600.0), ("soon", None), ("-1", None), ("", None)],
    )
    def test_retry_after_is_obeyed_within_reason(self, header: str, seconds: float | None) -> None:
        (rewound,) = self.answered(429, None, {"retry-after": header})
        assert isinstance(rewound, Rewound)
        assert rewound.retry_after_s == seconds

    @pytest.mark.parametrize(
        ("header", "date", "seconds"),
        [
            ("Fri, 31 Dec 2021 23:59:59 GMT", "Fri, 31 Dec 2021 23:59:29 GMT", 30.0),
            ("Fri, 31 Dec 2021 23:59:59 GMT", "Sat, 01 Jan 2022 00:00:00 GMT", 0.0),
            ("Fri, 31 Dec 2049 23:59:59 GMT", "Sat, 01 Jan 2022 00:00:00 GMT", 3_600.0),
            ("Friday, 31-Dec-21 23:59:59 GMT", "Fri, 31 Dec 2021 23:59:58 -0000", 1.0),
            ("Fri, 31 Dec 2021 23:59:59 GMT", "", None),
            ("Fri, 31 Dec 2021 23:59:59 GMT", "yesterday", None),
            ("Fri, 99 Dec 99999 23:59:59 GMT", "Sat, 01 Jan 2022 00:00:00 GMT", None),
        ],
    )
    def test_a_date_to_retry_after_is_obeyed_by_the_clock_of_whoever_answered(
        self, header: str, date: str, seconds: float | None
    ) -> None:
        (rewound,) = self.answered(503, None, {"retry-after": header, "date": date})
        assert isinstance(rewound, Rewound)
        assert rewound.retry_after_s == seconds

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_key_that_is_refused_later_keeps_the_batch(self, status: int) -> None:
        rewound, refused = self.answered(status, {"error": "key revoked"})
        assert isinstance(rewound, Rewound)
        assert rewound.batches == (self.batch,)
        assert refused == AuthRefused(str(status), "key revoked", key_at_fault=True)

    def test_a_gap_is_sent_again(self) -> None:
        (rewound,) = self.answered(409, {"type": "batch_nack", "stream": STREAM, "expected": 4})
        assert isinstance(rewound, Rewound)
        assert "expects batch 4" in rewound.detail

    def test_a_fork_takes_a_new_stream(self) -> None:
        assert self.answered(409, {"type": "batch_fork", "stream": STREAM}) == [Forked(STREAM, (self.batch,))]


class TestTheEnd:
    def test_no_answer_for_30_seconds_ends_the_link_and_returns_the_batch(self) -> None:
        line = Line().ready()
        batch = batch_of(1)
        line.post(batch)
        assert line.session.next_deadline() == 1.0 + ANSWER_TIMEOUT_S
        line.session.tick(ANSWER_TIMEOUT_S)
        assert line.session.take_events() == []
        line.session.tick(1.0 + ANSWER_TIMEOUT_S)
        (ended,) = line.session.take_events()
        assert isinstance(ended, Ended)
        assert ended.batches == (batch,)
        assert line.session.next_deadline() is None

    def test_it_ends_once(self) -> None:
        line = Line().ready()
        line.session.ended("host is gone")
        line.session.ended("host is gone again")
        assert len(line.session.take_events()) == 1
        assert not line.session.has_room(1)
        assert line.answer(200, {"success": True}) == []

    def test_an_idle_link_has_nothing_to_wait_for(self) -> None:
        assert Line().ready().session.next_deadline() is None

    def test_commands_do_not_travel_here(self) -> None:
        line = Line().ready()
        line.session.answer(CommandOutcome("1", "reboot", "ack"))
        line.session.written()
        assert line.session.take_messages() == []

    def test_a_key_is_in_no_event(self) -> None:
        line = Line()
        assert "plx_secret" not in repr(line.answer(401, {"error": "invalid API key"}))
