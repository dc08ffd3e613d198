"""`POST /ingest` over real HTTP: what is answered, what is stored, what is never read."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
import tracemalloc
from typing import Any

import pytest
import zstandard

from plexus.adapters.store.memory import MemoryStore
from plexus.gateway import Gateway, asgi
from plexus.gateway.asgi import HttpError
from plexus.gateway.core import Limits
from plexus.gateway.gate import Gate
from plexus.gateway.ingest import IngestHandler
from plexus.ports.store import Window
from tests.gateway.test_gate import hello
from tests.support.gateway import KEY, Answered, MoodyStore, ask, core_of, http, make_key, running
from tests.support.waiting import eventually

STREAM = "0123456789abcdef0123456789abcdef"
EVER = Window(-(2**63), 2**63 - 1)


def point(value: Any = 1.5, **fields: Any) -> dict[str, Any]:
    return {"metric": "motor.rpm", "value": value, "timestamp": 1746969660000, **fields}


def stored(gateway: Gateway, source_id: str = "rig-01", org: str = "default") -> list[Any]:
    raw = gateway.core.store.raw(org, source_id, None, EVER, 100_000)
    return [value for series in raw.series.values() for value in series.value]


def post(gateway: Gateway, body: Any, key: str = KEY, path: str = "/ingest", **headers: str) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with http(gateway, key) as client:
        answer = client.post(path, content=content, headers=headers)
    return answer.status_code, answer.json()


class TestAnswers:
    @pytest.mark.parametrize("path", ["/ingest", "/api/ingest"])
    def test_good_points_are_stored_and_counted(self, gateway: Gateway, path: str) -> None:
        answer = post(gateway, {"source_id": "rig-01", "points": [point(1), point(2)]}, path=path)
        assert answer == (200, {"success": True, "count": 2, "dropped": 0, "source_id": "rig-01"})
        assert stored(gateway) == [1, 2]

    def test_a_points_own_source_wins(self, gateway: Gateway) -> None:
        post(gateway, {"source_id": "rig-01", "points": [point(1), point(2, source_id="rig-02")]})
        assert (stored(gateway), stored(gateway, "rig-02")) == ([1], [2])

    def test_the_envelope_may_name_no_source_when_every_point_does(self, gateway: Gateway) -> None:
        status, body = post(gateway, {"points": [point(1, source_id="rig-02")]})
        assert (status, body["source_id"], stored(gateway, "rig-02")) == (200, "rig-02", [1])

    def test_good_points_are_stored_beside_bad_ones_which_are_named(self, gateway: Gateway) -> None:
        points = [point(1), point(2, timestamp="now"), point(3), {"metric": "m"}]
        status, body = post(gateway, {"source_id": "rig-01", "points": points})
        assert (status, body["count"], body["dropped"]) == (200, 2, 2)
        assert body["errors"] == [
            {"index": 1, "error": "timestamp must be a number"},
            {"index": 3, "error": "value is required"},
        ]
        assert stored(gateway) == [1, 3]

    def test_when_no_point_is_good_the_first_is_named_in_a_400(self, gateway: Gateway) -> None:
        status, body = post(gateway, {"source_id": "rig-01", "points": [point(1, timestamp="now"), 7]})
        assert (status, body["error"]) == (400, "points[0].timestamp must be a number")
        assert post(gateway, {"source_id": "rig-01", "points": [7]})[1]["error"] == "points[0] must be an object"
        assert stored(gateway) == []

    def test_no_points_are_the_probe_of_a_device(self, gateway: Gateway) -> None:
        answer = post(gateway, {"source_id": "rig-01", "points": []})
        assert answer == (200, {"success": True, "count": 0, "dropped": 0, "source_id": "rig-01"})

    def test_many_faults_are_counted_and_the_first_hundred_told(self, gateway: Gateway) -> None:
        _, body = post(gateway, {"source_id": "rig-01", "points": [point()] + [7] * 150})
        assert (body["dropped"], len(body["errors"])) == (150, 100)

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (b"", "not valid JSON"),
            (b"{", "not valid JSON"),
            (b"[]", "object"),
            (b'{"source_id":"rig-01"}', "points must be an array"),
            (b'{"source_id":"rig-01","points":{}}', "points must be an array"),
            (b'{"source_id":"../etc","points":[]}', "source_id"),
            (b'{"source_id":7,"points":[]}', "source_id"),
            (b'{"points":[{"metric":"m","value":1}]}', "source_id is required"),
            (b'{"source_id":"rig-01","points":[{"metric":"m","value":NaN}]}', "NaN"),
            (b'{"source_id":"rig-01","points":[{"metric":"m","value":1e999}]}', "64-bit"),
            (b'{"source_id":"rig-01","points":[{"metric":"m","value":"\\ud800"}]}', "not valid JSON"),
            (b'{"source_id":"rig-01","points":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not valid JSON"),
            (b'{"source_id":"rig-01","points":[{"metric":"m","value":' + b"9" * 5000 + b"}]}", ""),
            (b"\xff\xfe{}", "not valid JSON"),
            (b'{"source_id":"rig-01","points":[],"batch":{"stream":"x"}}', "batch.stream"),
        ],
    )
    def test_a_malformed_body_is_a_400_that_says_why(self, shared: Gateway, body: bytes, told: str) -> None:
        status, answer = post(shared, body)
        assert status == 400
        assert told in answer["error"]

    @pytest.mark.parametrize(
        "value", [True, 2**53 - 1, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), 0.1, "text", {"a": [1]}, [1, "b"], -0.0]
    )
    def test_any_value_comes_back_as_it_went_in(self, gateway: Gateway, value: Any) -> None:
        post(gateway, {"source_id": "rig-01", "points": [point(value, **{"class": "metric"})]})
        assert [(type(kept), kept) for kept in stored(gateway)] == [(type(value), value)]

    def test_the_source_counts_as_heard_once_its_points_are_stored(self, gateway: Gateway) -> None:
        post(gateway, {"source_id": "rig-01", "points": [point(1), point(2, source_id="rig-02")]})
        assert all(gateway.core.presence.online("default", name) for name in ("rig-01", "rig-02"))


class TestKeys:
    def test_a_key_that_may_not_write_is_refused(self, shared: Gateway) -> None:
        key = make_key(shared, "read", "commands", "admin")
        assert post(shared, {"source_id": "rig-01", "points": [point()]}, key)[0] == 403

    def test_a_key_of_one_source_writes_that_source_only(self, gateway: Gateway) -> None:
        key = make_key(gateway, "write", source_id="rig-01")
        assert post(gateway, {"source_id": "rig-01", "points": [point(1)]}, key)[0] == 200
        for body in (
            {"source_id": "rig-02", "points": [point(2)]},
            {"source_id": "rig-02", "points": []},
            {"source_id": "rig-01", "points": [point(2), point(2, source_id="rig-02")]},
            {"points": [point(2, source_id="rig-02")]},
        ):
            status, answer = post(gateway, body, key)
            assert (status, "rig-01" in answer["error"]) == (403, True)
        assert (stored(gateway), stored(gateway, "rig-02")) == ([1], [])

    def test_organisations_do_not_see_each_others_points(self, gateway: Gateway) -> None:
        post(gateway, {"source_id": "rig-01", "points": [point(1)]}, make_key(gateway, "write", org="umbrella"))
        assert (stored(gateway), stored(gateway, org="umbrella")) == ([], [1])


class TestBatches:
    def named(self, n: int, value: Any = 1, base: int = 1, digest: str = "ab") -> dict[str, Any]:
        batch = {"stream": STREAM, "n": n, "base": base, "digest": digest}
        return {"source_id": "rig-01", "points": [point(value)], "batch": batch}

    def test_a_batch_is_answered_with_its_name(self, gateway: Gateway) -> None:
        status, body = post(gateway, self.named(1))
        assert (status, body["batch"]) == (200, self.named(1)["batch"])

    def test_a_repeat_is_acknowledged_and_not_stored(self, gateway: Gateway) -> None:
        for _ in range(3):
            assert post(gateway, self.named(1))[0] == 200
        assert stored(gateway) == [1]

    def test_a_name_is_a_name_with_the_header_of_extensions_and_without_it(self, gateway: Gateway) -> None:
        for offer in ({"x-plexus-ext": "batch=1"}, {}, {"x-plexus-ext": "warp=1"}):
            status, body = post(gateway, self.named(1), **offer)
            assert (status, body["batch"]["n"]) == (200, 1)
        assert stored(gateway) == [1], "a proxy that takes the header away stores nothing twice"

    def test_a_gap_is_told_what_is_expected(self, gateway: Gateway) -> None:
        post(gateway, self.named(1))
        status, body = post(gateway, self.named(3))
        assert (status, body["type"], body["stream"], body["expected"]) == (409, "batch_nack", STREAM, 2)

    def test_other_content_under_a_known_name_is_a_fork(self, gateway: Gateway) -> None:
        post(gateway, self.named(1))
        status, body = post(gateway, self.named(1, value=2, digest="cd"))
        assert (status, body["type"], body["stream"]) == (409, "batch_fork", STREAM)
        assert stored(gateway) == [1]

    def test_a_batch_of_a_stream_that_was_silent_for_400_days_is_a_fork_that_is_counted(self, gateway: Gateway) -> None:
        post(gateway, self.named(1))
        gateway.core.store.maintain(time.time_ns() + 401 * 86_400 * 10**9)
        for n in (1, 2, 57):
            status, body = post(gateway, self.named(n, value=n, base=n))
            assert (status, body["type"], body["stream"]) == (409, "batch_fork", STREAM)
        assert stored(gateway) == [1]
        with http(gateway) as client:
            assert client.get("/v1/sources/rig-01/delivery").json()["forks"] == 3

    def test_a_batch_without_a_good_point_is_refused_for_good(self, gateway: Gateway) -> None:
        body = {**self.named(1), "points": [7]}
        assert post(gateway, body)[0] == 400
        assert post(gateway, self.named(2, value=2, base=2))[0] == 200
        assert stored(gateway) == [2]

    def test_an_empty_batch_moves_the_watermark(self, gateway: Gateway) -> None:
        assert post(gateway, {**self.named(1), "points": []})[0] == 200
        assert post(gateway, self.named(2, value=2))[0] == 200


class TestExtensions:
    def answered(self, gateway: Gateway, **headers: str) -> str | None:
        with http(gateway) as client:
            answer = client.post("/ingest", json={"source_id": "rig-01", "points": []}, headers=headers)
        told: str | None = answer.headers.get("x-plexus-ext")
        return told

    def test_the_common_ones_are_answered(self, shared: Gateway) -> None:
        assert self.answered(shared, **{"x-plexus-ext": "batch=3,warp=1,non_finite=1"}) == "batch=1,non_finite=1"

    def test_without_an_offer_there_is_no_answer(self, shared: Gateway) -> None:
        assert self.answered(shared) is None
        assert self.answered(shared, **{"x-plexus-ext": "warp=1,,=,batch=x"}) is None


BODY = json.dumps({"source_id": "rig-01", "points": [point(7)]}).encode()


class TestEncodings:
    def test_gzip_of_any_size_is_taken(self, gateway: Gateway) -> None:
        large = json.dumps({"source_id": "rig-01", "points": [point(value) for value in range(20_000)]}).encode()
        for body, count in ((BODY, 1), (large, 20_000)):
            packed = gzip.compress(body, compresslevel=1)
            status, answer = post(gateway, packed, **{"content-encoding": "gzip"})
            assert (status, answer["count"]) == (200, count)

    def test_zstd_is_taken(self, gateway: Gateway) -> None:
        assert post(gateway, zstandard.compress(BODY), **{"content-encoding": "zstd"})[0] == 200
        assert stored(gateway) == [7]

    @pytest.mark.parametrize(
        ("encoding", "body", "status"),
        [
            ("gzip", BODY, 400),
            ("gzip", gzip.compress(BODY)[:-9], 400),
            ("gzip", b"", 400),
            ("gzip", gzip.compress(b"") * 65 + gzip.compress(BODY), 400),
            ("gzip", gzip.compress(BODY[:5]) + gzip.compress(BODY[5:]), 200),
            ("zstd", BODY, 400),
            ("zstd", zstandard.compress(BODY)[:-4], 400),
            ("br", BODY, 415),
            ("gzip, gzip", gzip.compress(gzip.compress(BODY)), 415),
            ("identity", BODY, 200),
        ],
        ids=range(10),  # gzip writes the time into its head
    )
    def test_a_body_must_be_what_it_says(self, shared: Gateway, encoding: str, body: bytes, status: int) -> None:
        assert post(shared, body, **{"content-encoding": encoding})[0] == status

    @pytest.mark.parametrize("encoding", ["gzip", "zstd"])
    def test_the_limit_of_an_unpacked_body_is_exact(self, encoding: str) -> None:
        pack = gzip.compress if encoding == "gzip" else zstandard.compress
        assert asgi.unpack(encoding, pack(b"x" * 1000), 1000) == b"x" * 1000
        with pytest.raises(HttpError) as refused:
            asgi.unpack(encoding, pack(b"x" * 1001), 1000)
        assert refused.value.status == 413

    @pytest.mark.parametrize("encoding", ["gzip", "zstd"])
    def test_a_bomb_is_defused_before_it_takes_memory(self, encoding: str) -> None:
        pack = gzip.compress if encoding == "gzip" else zstandard.compress
        bomb = pack(bytes(200 * 1024 * 1024))
        tracemalloc.start()
        try:
            with pytest.raises(HttpError):
                asgi.unpack(encoding, bomb, 1024 * 1024)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 16 * 1024 * 1024

    def test_a_zstd_frame_that_asks_for_a_huge_window_is_refused(self) -> None:
        parameters = zstandard.ZstdCompressionParameters(window_log=27)
        packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        body = packed.compress(b"x" * 1000) + packed.flush()
        with pytest.raises(HttpError):
            asgi.unpack("zstd", body, 16 * 1024 * 1024)


class TestLimits:
    def refused(self, limits: Limits, points: int) -> Answered:
        async def run() -> Answered:
            core = core_of(limits=limits)
            core.committer.start()
            gate = Gate(core, {"/ingest": IngestHandler(core)}, lambda _: None, hello)
            body = json.dumps({"source_id": "rig-01", "points": [point()] * points}).encode()
            answer = await ask(gate, "POST", "/ingest", chunks=[body])
            await core.committer.stop()
            return answer

        return asyncio.run(run())

    def test_the_limit_of_points_is_exact(self) -> None:
        limits = Limits(message_points=3)
        assert [self.refused(limits, count).status for count in (3, 4)] == [200, 413]

    def test_the_limit_of_bytes_is_exact(self) -> None:
        size = len(json.dumps({"source_id": "rig-01", "points": [point()] * 3}))
        assert self.refused(Limits(body_bytes=size), 3).status == 200
        assert self.refused(Limits(body_bytes=size - 1), 3).status == 413

    def test_a_whole_backlog_of_100_000_points_is_taken_in_one_message(self, gateway: Gateway) -> None:
        points = [{"metric": "m", "value": index} for index in range(100_000)]
        status, body = post(gateway, {"source_id": "rig-01", "points": points})
        assert (status, body.get("count")) == (200, 100_000)

    def test_16_mib_and_a_byte_are_refused_over_the_wire(self, shared: Gateway) -> None:
        assert post(shared, b" " * (16 * 1024 * 1024 + 1))[0] == 413


class TestStoreTrouble:
    def test_a_store_that_fails_is_a_503_to_be_tried_again(self) -> None:
        store = MoodyStore()
        with running(store=store) as gateway, http(gateway) as client:
            store.full()
            body = {"source_id": "rig-01", "points": [point(1)]}
            answer = client.post("/ingest", json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "journal.db" not in answer.text
            store.failure = None
            assert client.post("/ingest", json=body).status_code == 200
            assert stored(gateway) == [1]

    def test_the_answer_waits_for_the_commit(self) -> None:
        store = MoodyStore()
        with running(store=store) as gateway:
            store.open.clear()
            answers: list[int] = []
            body = {"source_id": "rig-01", "points": [point(1)]}
            sender = threading.Thread(target=lambda: answers.append(post(gateway, body)[0]))
            sender.start()
            assert store.entered.acquire(timeout=10)
            assert answers == []
            store.open.set()
            sender.join(10)
            eventually(lambda: answers == [200])


def test_the_embedded_store_takes_and_gives_back(embedded: Gateway) -> None:
    assert not isinstance(embedded.core.store, MemoryStore)
    post(embedded, {"source_id": "rig-01", "points": [point(1), point("RUNNING", **{"class": "metric"})]})
    assert stored(embedded) == [1, "RUNNING"]
