"""How an export is cut into parts that are fetched one by one.

CSV and Parquet ascend by source, metric and time, as the gateway's own exports do: a part is some sources, else some
metrics of one source, else a stretch of one metric, and all parts in order are what one answer would be. MCAP ascends
by time: a part is a stretch of time of everything, and the events of a source are parts of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import attrs

from plexus.api import calls
from plexus.api.export import requests
from plexus.api.export.order import Order, bucket_us
from plexus.api.export.requests import Cut
from plexus.api.export.steps import ExportSteps
from plexus.api.pinned import Window
from plexus.api.steps import Ask
from plexus.domain.errors import ProtocolError, QueryError

T = TypeVar("T")

Kind = Literal["rows", "events"]

SLACK = 1.5
"""A part may have so many times the rows that it should, before it is cut again."""
MAX_PIECES = 64
"""Into so many pieces something is cut at once; what is still too large is cut again."""


@attrs.frozen
class Part:
    """One piece of the work: rows of metrics as a file of the gateway's, or the events of one source.

    `rows` is what the gateway said of it: of buckets at most so many, of events nothing.
    """

    cut: Cut
    rows: int
    kind: Kind = "rows"


@attrs.frozen
class Plan:
    """The whole work. `sources` and `metrics` are the names that are meant, sorted."""

    start_us: int
    end_us: int
    sources: tuple[str, ...]
    metrics: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """How many rows there are; of buckets at most."""
        return sum(part.rows for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return attrs.asdict(self)


def from_json(raw: Any) -> Plan:
    """A plan that was kept; ProtocolError when it is none."""
    try:
        return Plan(
            start_us=int(raw["start_us"]),
            end_us=int(raw["end_us"]),
            sources=tuple(raw["sources"]),
            metrics=tuple(raw["metrics"]),
            parts=tuple(_part(part) for part in raw["parts"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ProtocolError("it is no plan of an export") from exc


def planned(wanted: Order) -> ExportSteps[Plan]:
    """Ask what there is and how much, and cut it into parts."""
    sources = wanted.sources
    if sources is None:
        sources = tuple((yield Ask(requests.source_ids())))
        if not sources:
            raise QueryError("this key sees no source yet, so there is nothing to export")
    names = yield from _names(wanted, sources)
    window = wanted.window
    whole = Cut(sources, wanted.metrics, window.start_us, window.end_us)
    if wanted.format == "mcap":
        parts = yield from _by_time(wanted, whole)
    else:
        parts = yield from _by_series(wanted, whole, names)
    metrics = sorted({name for own in names.values() for name in own})
    return Plan(window.start_us, window.end_us, sources, tuple(metrics), tuple(parts) or (Part(_one(whole), 0),))


def _names(wanted: Order, sources: Sequence[str]) -> ExportSteps[dict[str, tuple[str, ...]]]:
    """The metrics that are meant, by source."""
    found: dict[str, tuple[str, ...]] = {}
    for source_id in sources:
        known = wanted.metrics
        if known is None:
            known = tuple(sorted((yield Ask(calls.metric_names(source_id)))))
        found[source_id] = known
    return found


# --- ascending by source, metric and time ---------------------------------------------------------------------


def _by_series(wanted: Order, cut: Cut, names: dict[str, tuple[str, ...]]) -> ExportSteps[list[Part]]:
    pieces: list[Cut]
    if requests.is_too_long(wanted, cut):
        pieces = _pieces(wanted, cut, names, 2)
    else:
        rows = yield Ask(requests.rows(wanted, cut))
        if not rows:
            return []
        pieces = _pieces(wanted, cut, names, _count(rows, wanted.part_rows))
        if len(pieces) == 1:
            return [Part(cut, rows)]
    parts: list[Part] = []
    for piece in pieces:
        parts += yield from _by_series(wanted, piece, names)
    return parts


def _pieces(wanted: Order, cut: Cut, names: dict[str, tuple[str, ...]], count: int) -> list[Cut]:
    """A cut in up to so many pieces, in order; in one if it is small enough or cannot be cut."""
    assert cut.sources is not None  # `planned` names them
    sources, first = cut.sources, cut.sources[0]
    if len(sources) > 1:
        return [attrs.evolve(cut, sources=tuple(some)) for some in _groups(sources, count)]
    metrics = names[first] if cut.metrics is None else cut.metrics
    if len(metrics) > 1:
        return [cut] if count == 1 else [attrs.evolve(cut, metrics=tuple(some)) for some in _groups(metrics, count)]
    return _stretches(wanted, cut, count)


# --- ascending by time ----------------------------------------------------------------------------------------


def _by_time(wanted: Order, cut: Cut) -> ExportSteps[list[Part]]:
    sources = cut.sources or ()
    asked = attrs.evolve(cut, sources=wanted.sources)
    if requests.is_too_long(wanted, asked):
        raise QueryError("too many names for one MCAP file: name fewer sources and metrics, or leave them out for all")
    parts = yield from _in_time(wanted, asked)
    if wanted.metrics is None:
        parts += [Part(Cut((source_id,), None, cut.start_us, cut.end_us), 0, "events") for source_id in sources]
    return parts


def _in_time(wanted: Order, cut: Cut) -> ExportSteps[list[Part]]:
    rows = yield Ask(requests.rows(wanted, cut))
    if not rows:
        return []
    pieces = _stretches(wanted, cut, _count(rows, wanted.part_rows))
    if len(pieces) == 1:
        return [Part(cut, rows)]
    parts: list[Part] = []
    for piece in pieces:
        parts += yield from _in_time(wanted, piece)
    return parts


# --- cutting --------------------------------------------------------------------------------------------------


def _count(rows: int, part_rows: int) -> int:
    return 1 if rows <= part_rows * SLACK else min(MAX_PIECES, max(2, -(-rows // part_rows)))


def _groups(names: Sequence[T], count: int) -> list[Sequence[T]]:
    count = min(count, len(names))
    bounds = [len(names) * place // count for place in range(count + 1)]
    return [names[start:end] for start, end in itertools.pairwise(bounds)]


def _stretches(wanted: Order, cut: Cut, count: int) -> list[Cut]:
    """Even stretches of time; they meet where a bucket begins, so that none is counted twice."""
    step = bucket_us(wanted.resolution)
    length = cut.end_us - cut.start_us
    inner = {(cut.start_us + length * place // count) // step * step for place in range(1, count)}
    bounds = [cut.start_us, *sorted(at for at in inner if cut.start_us < at < cut.end_us), cut.end_us]
    return [attrs.evolve(cut, start_us=a, end_us=b) for a, b in itertools.pairwise(bounds)]


def _one(cut: Cut) -> Cut:
    """A part of an export in which there is nothing: a short one of the same, for the head of the file."""
    metrics = None if cut.metrics is None else cut.metrics[:1]
    return attrs.evolve(cut, sources=None if cut.sources is None else cut.sources[:1], metrics=metrics)


def _part(raw: Any) -> Part:
    cut = raw["cut"]
    sources, metrics = (None if cut[name] is None else tuple(cut[name]) for name in ("sources", "metrics"))
    kind: Kind = "events" if raw["kind"] == "events" else "rows"
    return Part(Cut(sources, metrics, int(cut["start_us"]), int(cut["end_us"])), int(raw["rows"]), kind)


def same_window(plan: Plan, window: Window) -> bool:
    """Whether the plan, made earlier, has the window that is asked for now."""
    return window.still_meant(plan.end_us)
