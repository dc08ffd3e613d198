"""`POST /api/v1/write`: what a Prometheus sends, byte for byte, and what becomes of it."""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.gateway import Gateway, writerequest
from plexus.gateway.writerequest import STALE, read, source_of, unpack
from plexus.protocol.columnar import TooManyPointsError
from tests.gateway.test_bounds import limited
from tests.gateway.test_ingest import EVER
from tests.support.gateway import MoodyStore, http, make_key, running

T_MS = 1_746_969_660_123
STALE_VALUE = struct.unpack("<d", struct.pack("<Q", STALE))[0]
HEADERS = {
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "0.1.0",
}

# {__name__="up", instance="10.0.0.7:9100", job="node"} 1 at 1746969660123, taken apart by hand after Prometheus's
# types.proto, in a snappy block of one literal.
GOLDEN = bytes.fromhex(
    "0a4a"  # timeseries, 74 bytes
    "0a0e 0a08 5f5f6e616d655f5f 1202 7570"
    "0a19 0a08 696e7374616e6365 120d 31302e302e302e373a39313030"
    "0a0b 0a03 6a6f62 1204 6e6f6465"
    "1210 09 000000000000f03f 10 db9586fceb32"
)
GOLDEN_SNAPPY = bytes.fromhex("4c f0 4b") + GOLDEN


def varint(number: int) -> bytes:
    out = bytearray()
    number &= 2**64 - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def part(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


Samples = Sequence[tuple[float, int]]


def series(labels: Mapping[str, str], samples: Samples) -> bytes:
    written = b"".join(part(1, part(1, name.encode()) + part(2, text.encode())) for name, text in labels.items())
    for value, ms in samples:
        written += part(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(ms))
    return part(1, written)


def packed(*parts: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(b"".join(parts)))


def write(gateway: Gateway, body: bytes, key: str | None = None, **headers: str) -> tuple[int, str]:
    with http(gateway) as client:
        sent = {**HEADERS, **headers, **({} if key is None else {"x-api-key": key})}
        answer = client.post("/api/v1/write", content=body, headers=sent)
    return answer.status_code, answer.text


def raw(gateway: Gateway, source_id: str) -> dict[str, list[Any]]:
    found = gateway.core.store.raw("default", source_id, None, EVER, 1_000)
    return {name: list(one.value) for name, one in found.series.items()}


UP = {"__name__": "up", "source_id": "rig-01", "job": "node"}


class TestBytes:
    def test_what_prometheus_writes_is_read(self) -> None:
        columns = read(unpack(GOLDEN_SNAPPY, 1_000), 10).columns
        assert columns.metric == ["up"]
        assert columns.source_id == ["10.0.0.7_9100"]
        assert columns.value == [1.0]
        assert columns.t_ns == [T_MS * 1_000_000]
        assert columns.tags == [{"instance": "10.0.0.7:9100", "job": "node"}]
        assert columns.is_event == [False]

    def test_the_golden_bytes_are_those_of_the_tests_own_writer(self) -> None:
        labels = {"__name__": "up", "instance": "10.0.0.7:9100", "job": "node"}
        assert series(labels, [(1.0, T_MS)]) == GOLDEN

    def test_fields_that_it_does_not_know_are_passed_over(self) -> None:
        metadata = part(3, b"\x08\x01" + part(2, b"up"))
        exemplar = part(3, b"\x09" + bytes(8))
        strange = b"\x28\x05" + b"\x2d" + bytes(4) + b"\x31" + bytes(8)
        body = series(UP, [(1.0, T_MS)])
        body = part(1, body[2:] + exemplar + strange)
        assert read(metadata + strange + body, 10).columns.value == [1.0]

    def test_a_zero_that_protobuf_leaves_out_is_a_zero(self) -> None:
        labels = series(UP, [])
        assert read(part(1, labels[2:] + part(2, b"\x10\x05")), 10).columns.value == [0.0]

    def test_a_time_before_1970_is_one(self) -> None:
        assert read(series(UP, [(1.0, -5)]), 10).columns.t_ns == [-5_000_000]

    @pytest.mark.parametrize(
        "body",
        [
            b"\x0a\x05ab",
            b"\x0a",
            b"\xff" * 11,
            b"\x0b",
            b"\x09\x00",
            part(1, part(1, part(1, b"\xff"))),
        ],
    )
    def test_what_is_no_message_is_refused(self, body: bytes) -> None:
        with pytest.raises(ProtocolError):
            read(body, 10)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=60))
    def test_no_bytes_at_all_do_any_harm(self, body: bytes) -> None:
        for attempt in (lambda: read(body, 10), lambda: unpack(body, 1_000), lambda: read(part(1, body), 10)):
            try:
                attempt()
            except ProtocolError:
                continue

    def test_a_length_over_the_limit_is_refused_before_it_is_unpacked(self) -> None:
        with pytest.raises(ProtocolError, match="more than 1000"):
            unpack(packed(bytes(200_000_000)), 1_000)

    def test_too_many_samples_are_refused(self) -> None:
        with pytest.raises(TooManyPointsError):
            read(series(UP, [(1.0, T_MS)] * 3), 2)


class TestNames:
    @pytest.mark.parametrize(
        ("labels", "source"),
        [
            ({"source_id": "rig-01", "instance": "a:1"}, "rig-01"),
            ({"instance": "Host.Example:9100", "job": "node"}, "host.example_9100"),
            ({"job": "node exporter"}, "node_exporter"),
            ({"instance": "[::1]:9090"}, "1__9090"),
            ({"source_id": "___", "job": "node"}, "node"),
            ({"source_id": "x" * 300}, "x" * 256),
        ],
    )
    def test_the_source_is_made_of_a_label(self, labels: dict[str, str], source: str) -> None:
        found = source_of(labels)
        assert found is not None
        assert found[0] == source

    def test_the_label_that_is_the_source_is_no_tag_and_the_others_are(self) -> None:
        assert read(series(UP, [(1.0, T_MS)]), 10).columns.tags == [{"job": "node"}]

    def test_sixteen_labels_are_kept(self) -> None:
        labels = {**UP, **{f"label{number:02d}": "v" for number in range(20)}}
        (tags,) = read(series(labels, [(1.0, T_MS)]), 10).columns.tags
        assert tags is not None
        assert list(tags) == sorted(labels.keys() - {"__name__", "source_id"})[:16]

    def test_a_series_without_a_name_or_a_source_is_a_fault_of_each_of_its_samples(self) -> None:
        body = series({"job": "node"}, [(1.0, 1), (2.0, 2)]) + series({"__name__": "up"}, [(3.0, 3)])
        decoded = read(body + series(UP, [(4.0, 4)]), 10)
        assert [fault.index for fault in decoded.faults] == [0, 1, 2]
        assert decoded.columns.value == [4.0]


class TestValues:
    def test_a_staleness_marker_is_no_value_and_another_nan_is(self) -> None:
        columns = read(series(UP, [(STALE_VALUE, 1), (float("nan"), 2), (float("inf"), 3)]), 10).columns
        assert columns.t_ns == [2_000_000, 3_000_000]
        assert math.isnan(float(columns.value[0]))  # type: ignore[arg-type]

    def test_a_time_out_of_range_is_a_fault(self) -> None:
        decoded = read(series(UP, [(1.0, 2**62), (2.0, T_MS)]), 10)
        assert ([fault.index for fault in decoded.faults], decoded.columns.value) == ([0], [2.0])


class TestAnswers:
    def test_what_is_stored_is_answered_without_content(self, gateway: Gateway) -> None:
        body = packed(series(UP, [(1.0, T_MS), (2.0, T_MS + 1)]), series({**UP, "__name__": "load"}, [(0.5, T_MS)]))
        assert write(gateway, body) == (204, "")
        assert raw(gateway, "rig-01") == {"up": [1.0, 2.0], "load": [0.5]}

    def test_bad_samples_are_named_and_the_good_ones_stored(self, gateway: Gateway) -> None:
        status, told = write(gateway, packed(series({"job": "x"}, [(1.0, 1)]), series(UP, [(2.0, T_MS)])))
        assert status == 400
        assert "1 samples are refused" in told
        assert raw(gateway, "rig-01") == {"up": [2.0]}

    def test_nothing_but_markers_is_fine(self, gateway: Gateway) -> None:
        assert write(gateway, packed(series(UP, [(STALE_VALUE, T_MS)]))) == (204, "")
        assert raw(gateway, "rig-01") == {}

    def test_only_post_is_taken(self, gateway: Gateway) -> None:
        with http(gateway) as client:
            assert client.get("/api/v1/write").status_code == 405

    def test_a_key_without_the_scope_is_refused(self, gateway: Gateway) -> None:
        assert write(gateway, GOLDEN_SNAPPY, make_key(gateway, "read"))[0] == 403
        assert write(gateway, GOLDEN_SNAPPY, "plx_nobody")[0] == 401

    def test_a_key_of_one_source_writes_for_no_other(self, gateway: Gateway) -> None:
        key = make_key(gateway, "write", source_id="rig-02")
        assert write(gateway, packed(series(UP, [(1.0, T_MS)])), key)[0] == 400
        assert raw(gateway, "rig-01") == {}

    @pytest.mark.parametrize(
        "headers",
        [
            {"content-type": "application/json"},
            {"content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
            {"content-encoding": "gzip"},
        ],
    )
    def test_another_form_is_refused(self, gateway: Gateway, headers: dict[str, str]) -> None:
        assert write(gateway, GOLDEN_SNAPPY, **headers)[0] == 415

    def test_what_is_no_snappy_block_is_refused(self, gateway: Gateway) -> None:
        assert write(gateway, b"\x05not snappy")[0] == 400
        assert write(gateway, b"")[0] == 400

    def test_too_many_samples_are_a_413(self) -> None:
        with limited(message_points=1) as gateway:
            assert write(gateway, packed(series(UP, [(1.0, 1), (2.0, 2)])))[0] == 413

    def test_whoever_writes_too_often_is_told_when_to_come_back(self) -> None:
        with limited(source_messages_s=0.001, burst_messages=1) as gateway:
            assert [write(gateway, GOLDEN_SNAPPY)[0] for _ in range(2)] == [204, 429]

    def test_a_full_disk_is_a_503(self) -> None:
        store = MoodyStore()
        store.full()
        with running(store=store) as gateway:
            assert write(gateway, GOLDEN_SNAPPY)[0] == 503

    def test_a_source_that_writes_is_there(self, gateway: Gateway) -> None:
        write(gateway, GOLDEN_SNAPPY)
        assert gateway.core.presence.online("default", "10.0.0.7_9100")

    def test_a_large_message_is_read_in_a_thread(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        import threading

        threads: list[threading.Thread] = []
        inner = writerequest.read

        def watched(message: bytes, max_points: int) -> Any:
            threads.append(threading.current_thread())
            return inner(message, max_points)

        monkeypatch.setattr(writerequest, "read", watched)
        body = packed(*[series({**UP, "n": str(number)}, [(number * 0.7, T_MS + number)]) for number in range(4_000)])
        assert len(body) > 32 * 1024
        assert write(gateway, body)[0] == 204
        assert write(gateway, GOLDEN_SNAPPY)[0] == 204
        assert threads[0] is not threads[1]
