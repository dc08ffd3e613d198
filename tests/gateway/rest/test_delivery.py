from __future__ import annotations

import time
from typing import Any

import pytest

from plexus.domain.loss import Loss
from plexus.domain.source import ClockReport
from plexus.gateway import Gateway
from plexus.ports.store import Submission
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Columns
from tests.gateway.rest.house import NOW_MS, House
from tests.gateway.test_ingest import point
from tests.support.gateway import device, http

STREAM = "0" * 32
OTHER = "1" * 32
LEDGER = "/v1/sources/rig/delivery"


def _take(house: House, stream: str, n: int, *losses: Loss, digest: str = "ab", base: int = 1) -> None:
    """One batch as the committer takes it."""
    batch = BatchName(stream, n, base, digest)
    item = Submission("acme", "rig", Columns(), house.now_ns, batch, losses)
    (receipt,) = house.store.commit([item])
    house.core.committer.deliveries.note(item, receipt)


def test_the_ledger_says_what_was_lost_and_what_came_twice(house: House) -> None:
    house.registry.claim("acme", "rig", "install")
    for _ in range(2):
        _take(house, STREAM, 1, Loss("buffer_full", 7, 10.0, 20.0))
    _take(house, STREAM, 3)
    _take(house, STREAM, 1, digest="other")
    assert house.get(LEDGER) == {
        "source_id": "rig",
        "lost": 7,
        "gaps": [{"reason": "buffer_full", "count": 7, "first_ms": 10.0, "last_ms": 20.0}],
        "batches": 1,
        "duplicates": 1,
        "gaps_refused": 1,
        "forks": 1,
        "dead_letters": 0,
        "streams": [{"stream": STREAM, "watermark": 1, "last_heard_ms": NOW_MS}],
        "clock": None,
    }


def test_the_ledger_counts_what_was_refused_for_good_by_itself(house: House) -> None:
    house.registry.claim("acme", "rig", "install")
    _take(house, STREAM, 1, Loss("refused", 2), Loss("malformed", 3), Loss("rate_limited", 4), Loss("buffer_full", 5))
    told = house.get(LEDGER)
    assert (told["lost"], told["dead_letters"]) == (14, 5)


def test_streams_are_told_with_their_watermarks_the_one_heard_of_last_first(house: House) -> None:
    house.registry.claim("acme", "rig", "install")
    _take(house, STREAM, 1)
    _take(house, STREAM, 2)
    house.now_ns += 5_000_000_000
    _take(house, OTHER, 8, base=8)
    assert house.get(LEDGER)["streams"] == [
        {"stream": OTHER, "watermark": 8, "last_heard_ms": NOW_MS + 5_000},
        {"stream": STREAM, "watermark": 2, "last_heard_ms": NOW_MS},
    ]


def test_what_the_device_said_of_its_clock_is_told_with_when_it_said_so(house: House) -> None:
    house.registry.claim("acme", "rig", "install")
    house.core.committer.deliveries.told_clock("acme", "rig", ClockReport(-250.5, 1.25, NOW_MS))
    assert house.get(LEDGER)["clock"] == {"offset_ms": -250.5, "error_ms": 1.25, "told_ms": NOW_MS}


def test_the_ledger_of_a_source_without_losses_is_empty_and_of_none_a_404(house: House) -> None:
    house.stored("rig", "t", 1)
    told: Any = house.get(LEDGER)
    assert (told["gaps"], told["streams"], told["batches"]) == ([], [], 0)
    assert house.refused("GET", "/v1/sources/nobody/delivery")[0] == 404


NAMED = {"stream": STREAM, "n": 1, "base": 1, "digest": "ab"}
LOST = {"reason": "buffer_full", "count": 7, "first_ms": 10.0, "last_ms": 20.0}
SENT: list[dict[str, Any]] = [
    {"batch": NAMED, "gaps": [LOST]},
    {"batch": NAMED, "gaps": [LOST]},
    {"batch": {**NAMED, "n": 3}},
    {"batch": {**NAMED, "digest": "cd"}},
]
"""A batch, the same again, one after a gap, and the first one's name on something else."""


@pytest.mark.parametrize("way", ["socket", "http"])
def test_a_running_gateway_counts_what_devices_send(gateway: Gateway, way: str) -> None:
    answers = _over_a_socket(gateway) if way == "socket" else _over_http(gateway)
    assert answers[2:] == ["batch_nack", "batch_fork"]
    with http(gateway) as client:
        told = client.get(LEDGER).json()
    counted = {name: told[name] for name in ("batches", "duplicates", "gaps_refused", "forks", "lost")}
    assert counted == {"batches": 1, "duplicates": 1, "gaps_refused": 1, "forks": 1, "lost": 7}
    assert told["gaps"] == [LOST]
    assert [(one["stream"], one["watermark"]) for one in told["streams"]] == [(STREAM, 1)]


def _over_a_socket(gateway: Gateway) -> list[str]:
    with device(gateway, "rig", acks=True, ext={"batch": 1, "gaps": 1}) as wire:
        answers: list[str] = []
        for fields in SENT:
            wire.telemetry(point(1), **fields)
            answers.append(wire.hear()["type"])
        return answers


def _over_http(gateway: Gateway) -> list[str]:
    with http(gateway) as client:
        offered = {"x-plexus-ext": "batch=1,gaps=1"}
        sent = [{"source_id": "rig", "points": [point(1)], **fields} for fields in SENT]
        return [client.post("/ingest", json=body, headers=offered).json().get("type", "") for body in sent]


def test_what_a_heartbeat_says_of_a_devices_clock_is_in_its_ledger(gateway: Gateway) -> None:
    before_ms = time.time_ns() // 1_000_000
    with device(gateway, "rig", acks=True, ext={"clock": 1}) as wire:
        wire.say(type="heartbeat", source_id="rig", clock={"offset_ms": -250.5, "error_ms": 1.25})
        wire.telemetry(point(1), seq=1)
        assert wire.hear() == {"type": "telemetry_ack", "seq": 1}
    with http(gateway) as client:
        clock = client.get(LEDGER).json()["clock"]
    assert (clock["offset_ms"], clock["error_ms"]) == (-250.5, 1.25)
    assert before_ms <= clock["told_ms"] <= time.time_ns() / 1e6 + 1
