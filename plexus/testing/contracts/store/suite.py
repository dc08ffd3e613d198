"""What the parts of the store's contract share: points, names, and questions in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Union

from plexus.domain.errors import StoreError
from plexus.domain.loss import Loss
from plexus.domain.series import BucketSeries
from plexus.ports.store import Store, Submission, Window
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Columns
from plexus.testing.contracts import Contract

NS_PER_MS = 1_000_000
T0_MS = 1_746_969_660_000
ALWAYS = Window(-(2**63), 2**63 - 1)
STREAM = "0123456789abcdef0123456789abcdef"

VALUES: tuple[Any, ...] = (
    *(0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308, float("nan"), float("inf"), float("-inf")),
    *(0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**64 - 1),
    *(True, False, "", "RUNNING", "1", "-3.5", "nul \x00 inside", "ünïcode ☃ 🚀", "'; DROP TABLE points; --"),
    *({}, [], {"a": 1, "b": [1.0, True, "x", {"deep": [-0.0, 2**64 - 1]}]}, [[], {}, [1, 1.0, "1", True, None]]),
)

Item = Union[tuple[str, float, Any], tuple[str, float, Any, Mapping[str, str]]]
"""`(metric, milliseconds after T0_MS, value)`, and tags."""


def columns(items: Sequence[Item], source_id: str = "rig-01", *, is_event: bool = False) -> Columns:
    """Points of one source."""
    made = Columns()
    for metric, offset_ms, value, *tags in items:
        t_ns = T0_MS * NS_PER_MS + round(offset_ms * NS_PER_MS)
        made.add(source_id, metric, t_ns, is_event=is_event, value=value, tags=tags[0] if tags else None)
    return made


def submission(
    *items: Item,
    org: str = "acme",
    source_id: str = "rig-01",
    is_event: bool = False,
    batch: BatchName | None = None,
    arrival_ns: int = 1,
    losses: Sequence[Loss] = (),
) -> Submission:
    """A submission of one source's points."""
    return Submission(org, source_id, columns(items, source_id, is_event=is_event), arrival_ns, batch, losses)


def named(n: int, base: int = 1, *, stream: str = STREAM, digest: str | None = None) -> BatchName:
    """A batch's name; its digest says which one it is."""
    return BatchName(stream, n, base, digest or f"{n:032x}")


def raw_of(store: Store, *, org: str = "acme", source_id: str = "rig-01", window: Window = ALWAYS) -> dict[str, str]:
    """Everything a source has, by metric, as text that tells 1, 1.0, True and -0.0 apart."""
    found = store.raw(org, source_id, None, window, 100_000)
    return {metric: repr(list(series)) for metric, series in found.series.items()}


def values_of(store: Store, metric: str, *, org: str = "acme", source_id: str = "rig-01") -> list[Any]:
    """The values of one metric."""
    series = store.raw(org, source_id, [metric], ALWAYS, 100_000).series
    return list(series[metric].value) if metric in series else []


def bucket_rows(series: BucketSeries) -> list[tuple[Any, ...]]:
    """A bucket a row: start after T0_MS, min, max, avg, count, last."""
    starts = [start - T0_MS for start in series.timestamp_ms]
    return list(zip(starts, series.min, series.max, series.avg, series.count, series.last, strict=True))


def after(start_ms: float, end_ms: float) -> Window:
    """A window, in milliseconds after T0_MS."""
    return Window(round((T0_MS + start_ms) * NS_PER_MS), round((T0_MS + end_ms) * NS_PER_MS))


class StoreSuite(Contract):
    """What the parts of the contract share."""

    def make(self) -> Store:
        """A fresh, empty store."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its store")

    @contextmanager
    def store(self) -> Iterator[Store]:
        """A fresh store, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)


def refuses(question: Any) -> bool:
    """Whether this raises a StoreError."""
    try:
        question()
    except StoreError:
        return True
    return False
