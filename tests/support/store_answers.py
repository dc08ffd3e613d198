"""All that can be asked of a store, in a form that two stores can be compared by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs

from plexus.ports.store import Store, Window
from plexus.testing.contracts.store.suite import ALWAYS


@attrs.frozen
class Answers:
    """`exact` must be equal to the letter (1, 1.0, True and -0.0 differ); `means` may differ in the last digits."""

    exact: str
    means: tuple[float | None, ...]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Answers)
            and self.exact == other.exact
            and len(self.means) == len(other.means)
            and all(map(_close, self.means, other.means))
        )

    __hash__ = None  # type: ignore[assignment]


def answers(
    store: Store,
    org: str = "acme",
    sources: Sequence[str] = ("rig-01", "rig-02"),
    *,
    window: Window = ALWAYS,
    limit: int = 1_000,
    bucket_ms: int = 60_000,
) -> Answers:
    """Everything that the store says of an organisation and its sources."""
    found: list[Any] = [sorted(store.sources(org).items())]
    means: list[float | None] = []
    for source_id in sources:
        raw = store.raw(org, source_id, None, window, limit)
        found.append(store.names(org, source_id))
        found.append(sorted(store.latest(org, source_id).items()))
        found.append((sorted((metric, list(series)) for metric, series in raw.series.items()), raw.truncated))
        for newest in (True, False):
            found.append(store.events(org, source_id, window, None, limit, newest=newest))
    for source_id, metrics in sorted(store.buckets(org, None, None, window, bucket_ms).items()):
        for metric, series in sorted(metrics.items()):
            ends = [[_unsigned(number) for number in column] for column in (series.min, series.max)]
            found.append((source_id, metric, attrs.evolve(series, min=ends[0], max=ends[1], avg=())))
            means.extend(series.avg)
    return Answers(repr(found), tuple(means))


def _unsigned(number: float | None) -> float | None:
    """Zero without its sign: 0.0 and -0.0 are equal, and so either may be the least of the two."""
    return None if number is None else number + 0.0


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9)
