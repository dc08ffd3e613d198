"""How long somebody waits at a gateway that is being bothered, beside a gateway at which nobody else is.

Both are asked in turns, so that whatever else this machine does meets both alike: the quotient is about the gateway,
and no speed of the machine decides it.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import httpx

from tests.security.target import Target
from tests.support import plain

MOST = 2.0 if "STRICT_P99" in os.environ else 3.0
"""How many times as long others may wait. Twice is what is promised, and asked for by `make test-faults`, which has the
machine to itself; beside other tests three times still tells a tenfold wait from a noisy machine."""
ROUND = 50
QUANTILES = (0.5, 0.99)
"""What a noisy machine hides in the worst it does not hide in the usual."""


def wait_ratio(target: Target, control: Target, lasts: Callable[[], bool]) -> float:
    """How many times as long as at `control` somebody waits at `target` while it `lasts`: the median over rounds of the
    quotient of their medians, or that of their p99s if it is larger. No request counts that came when it was over.
    """
    rounds: list[list[float]] = []
    with _client(target) as bothered, _client(control) as quiet:
        while (found := _round(bothered, quiet)) and lasts():
            rounds.append(found)
    assert rounds, "it did not last for as long as one round"
    return max(statistics.median(quotients[place] for quotients in rounds) for place in range(len(QUANTILES)))


def _client(target: Target) -> httpx.Client:
    return plain.client(base_url=target.url, headers={"x-api-key": target.key}, timeout=60)


def _round(bothered: httpx.Client, quiet: httpx.Client) -> list[float]:
    """The quotient of their waits at each of QUANTILES."""
    took: dict[httpx.Client, list[float]] = {bothered: [], quiet: []}
    for _ in range(ROUND):
        for client, times in took.items():
            began = time.perf_counter()
            answer = client.post("/ingest", json={"source_id": "rig-05", "points": [{"metric": "a.b", "value": 1}]})
            times.append(time.perf_counter() - began)
            assert answer.status_code == 200
    beside, alone = (sorted(times) for times in took.values())
    return [beside[place] / alone[place] for place in (int(ROUND * quantile) - 1 for quantile in QUANTILES)]
