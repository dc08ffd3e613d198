from __future__ import annotations

from typing import Any

from plexus.domain.loss import Loss
from plexus.domain.source import ClockReport
from plexus.ports.store import Submission
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Columns
from tests.gateway.rest.house import NOW_MS, House

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
