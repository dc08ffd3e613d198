"""The questions, each over a cut: the sealed files and hot tables of one moment.

`Cut` is made by who owns both; `raw`, `buckets`, `events`, `scan` and `count` answer. Files are found by the manifest's
times, rows in them by their indexes; pieces of the answer are worked on as columns and merged. A question's budget
counts the rows that were taken from files, roll-ups and hot tables.
"""

from __future__ import annotations

from collections.abc import Iterator

from plexus.adapters.store.embedded.files.reading import Reader
from plexus.adapters.store.embedded.queries import aggregates, scanning, series
from plexus.adapters.store.embedded.queries.cut import Cut, Picked, asked
from plexus.domain.event import Event
from plexus.domain.series import BucketSeries
from plexus.ports.store import Question, RawSeries, Window
from plexus.protocol.columns import Columns

__all__ = ["Cut", "Picked", "buckets", "count", "events", "raw", "scan"]


def raw(
    reader: Reader, cut: Cut, picked: Picked, window: Window, limit: int, question: Question | None = None
) -> RawSeries:
    """Raw values of series of one source, by metric."""
    return series.raw(asked(reader, cut, "points", picked, window, question), picked, limit)


def buckets(
    reader: Reader, cut: Cut, picked: Picked, window: Window, bucket_ms: int, question: Question | None = None
) -> dict[str, dict[str, BucketSeries]]:
    """Aggregates by source and metric."""
    return aggregates.buckets(asked(reader, cut, "points", picked, window, question), picked, bucket_ms)


def events(
    reader: Reader,
    cut: Cut,
    picked: Picked,
    window: Window,
    limit: int,
    *,
    newest: bool,
    question: Question | None = None,
) -> list[Event]:
    """Events in ascending time: the oldest of the window, or the newest."""
    return series.events(asked(reader, cut, "events", picked, window, question), picked, limit, newest=newest)


def scan(
    reader: Reader, cut: Cut, picked: Picked, window: Window | None, question: Question | None = None
) -> Iterator[Columns]:
    """Points ascending by source, metric and time, in parts; the cut stays open until the last one."""
    return scanning.scan(asked(reader, cut, "points", picked, window, question), picked)


def count(reader: Reader, cut: Cut, picked: Picked, window: Window | None, question: Question | None = None) -> int:
    """How many points `scan` gives."""
    return scanning.count(asked(reader, cut, "points", picked, window, question))
