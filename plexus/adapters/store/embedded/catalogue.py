"""What is known without a look at the points: series and their ids, the latest value of each, when sources sent.

A series is (org, source, metric), and an id of its own stands for it in the hot tables and the files. Metrics and
events of the same name are two series. Ids are given out in the order in which the journal has the points, so reading
the same rows again on top of what was loaded gives the same ids again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from operator import getitem, itemgetter
from typing import Any

import attrs
import numpy as np

from plexus.adapters.store.embedded import values
from plexus.adapters.store.embedded.parts import ArrayPart, End, ListPart, Part
from plexus.adapters.store.embedded.record import Block, Lost, columns_of, spread, tags_of
from plexus.domain.loss import Loss, merged
from plexus.domain.values import Value
from plexus.protocol.columnar.arrays import ArrayColumns


@attrs.define(eq=False)
class Known:
    """A series: what it is, and what is known of its points.

    Attributes:
        series: its id, never given out again.
        org, source_id, metric, is_event: what it is.
        stored_source: its source's name in the files that were written before a rename; the same otherwise.
        end: the times of its first and its newest point, and the newest value; None before it has any.
    """

    series: int
    org: str
    source_id: str
    metric: str
    is_event: bool
    stored_source: str
    end: End | None = None


@attrs.frozen
class SeriesRow:
    """A series as it is kept on the disk; `latest` as `values.pack` has it, the rest as in `Known`."""

    series: int
    org: str
    source_id: str
    metric: str
    is_event: bool
    stored_source: str
    first_ns: int
    last_ns: int
    latest: bytes


class _Book:
    """Every series by id, and the id that comes next."""

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}
        self.next_id = 1

    def made(self, org: str, source_id: str, metric: str, *, is_event: bool) -> int:
        """A new series; returns its id."""
        series = self.next_id
        self.next_id += 1
        self.known[series] = Known(series, org, source_id, metric, is_event, source_id)
        return series


class _Names(dict[str, int]):
    """Ids of one source's series by name. A name that is not there gets the next id: `map` does that at C speed."""

    def __init__(self, book: _Book, org: str, source_id: str, *, is_event: bool) -> None:
        super().__init__()
        self._book = book
        self._whose = (org, source_id)
        self._is_event = is_event

    def __missing__(self, name: str) -> int:
        made = self[name] = self._book.made(*self._whose, name, is_event=self._is_event)
        return made


class _Sources(dict[str, _Names]):
    """Names by source."""

    def __init__(self, book: _Book, org: str, *, is_event: bool) -> None:
        super().__init__()
        self._book = book
        self._org = org
        self._is_event = is_event

    def __missing__(self, source_id: str) -> _Names:
        made = self[source_id] = _Names(self._book, self._org, source_id, is_event=self._is_event)
        return made


class _Organisation:
    def __init__(self, book: _Book, org: str) -> None:
        self.metrics = _Sources(book, org, is_event=False)
        self.events = _Sources(book, org, is_event=True)
        self.seen_ns: dict[str, int] = {}


Picked = dict[int, tuple[str, str]]
"""Series that a question is about: (source, metric) by id."""


class Catalogue:
    """Used under its owner's lock."""

    def __init__(self) -> None:
        self._book = _Book()
        self._orgs: dict[str, _Organisation] = {}
        self._losses: dict[tuple[str, str], dict[str, Loss]] = {}

    def absorb(self, block: Block) -> list[Part]:
        """Take note of a block; returns its points under their series' ids. Raises DamagedRecord."""
        org = self._organisation(block.org)
        org.seen_ns.update(block.seen_ns)
        columns = columns_of(block)
        if isinstance(columns, ArrayColumns):
            parts = _array_parts(org, str(block.source_id), columns)
        else:
            parts = _list_parts(org, columns)
        for part in parts:
            for series, end in part.ends().items():
                _note(self._book.known[series], end)
        return parts

    def note_loss(self, lost: Lost) -> None:
        """A device declared a loss."""
        record = self._losses.setdefault((lost.org, lost.source_id), {})
        merged(record, [Loss(lost.reason, lost.count, lost.first_ms, lost.last_ms)])

    # --- questions -----------------------------------------------------------------------------------------------

    def losses(self, org: str, source_id: str) -> list[Loss]:
        """What was declared of a source, sorted by reason."""
        return [loss for _reason, loss in sorted(self._losses.get((org, source_id), {}).items())]

    def all_losses(self) -> Mapping[tuple[str, str], Mapping[str, Loss]]:
        """What was declared, by (org, source) and reason."""
        return self._losses

    def sources(self, org: str) -> dict[str, int]:
        """When each source was heard, ns."""
        known = self._orgs.get(org)
        return dict(known.seen_ns) if known else {}

    def all_sources(self) -> dict[tuple[str, str], int]:
        """The same of every organisation, by (org, source)."""
        return {(name, source): when for name, org in self._orgs.items() for source, when in org.seen_ns.items()}

    def names(self, org: str, source_id: str) -> list[str]:
        """Names of a source's metrics, sorted."""
        return sorted(self._metrics(org).get(source_id, ()))

    def latest(self, org: str, source_id: str) -> dict[str, tuple[int, Value]]:
        """The newest value of each of a source's metrics."""
        ends = ((name, self._book.known[series].end) for name, series in self._metrics(org).get(source_id, {}).items())
        return {name: end[1:] for name, end in ends if end is not None}

    def pick(self, org: str, source_ids: Iterable[str] | None, metrics: Iterable[str] | None) -> Picked:
        """The series of these sources and metrics, all of them for None."""
        known = self._metrics(org)
        wanted = None if metrics is None else frozenset(metrics)
        return {
            series: (source_id, name)
            for source_id in (known if source_ids is None else frozenset(source_ids) & known.keys())
            for name, series in known[source_id].items()
            if wanted is None or name in wanted
        }

    def pick_events(self, org: str, source_id: str, name: str | None) -> Picked:
        """The series of a source's events."""
        known = self._orgs.get(org)
        names: Mapping[str, int] = known.events.get(source_id, {}) if known else {}
        return {series: (source_id, own) for own, series in names.items() if name in (None, own)}

    def ids(self) -> list[int]:
        """Every series."""
        return list(self._book.known)

    def emptied(self, ids: Iterable[int]) -> list[tuple[str, str]]:
        """(org, source) of sources that are no longer known once `forget` was told of these series."""
        gone = set(ids)
        found = {(known.org, known.source_id) for series in gone if (known := self._book.known.get(series))}
        return [
            (name, source_id)
            for name, source_id in found
            if (org := self._orgs[name])
            and gone.issuperset(org.metrics.get(source_id, {}).values())
            and gone.issuperset(org.events.get(source_id, {}).values())
        ]

    def known(self, series: int) -> Known:
        """A series by its id; KeyError when there is none."""
        return self._book.known[series]

    # --- what is kept on the disk --------------------------------------------------------------------------------

    @property
    def next_id(self) -> int:
        """The id that the next new series gets."""
        return self._book.next_id

    def load(
        self,
        rows: Iterable[SeriesRow],
        next_id: int,
        seen_ns: Mapping[tuple[str, str], int],
        losses: Iterable[Lost] = (),
    ) -> None:
        """Begin with what was kept: series, the id that comes next, arrival times by (org, source), declared losses.

        Called before anything is absorbed.
        """
        for row in rows:
            org = self._organisation(row.org)
            (org.events if row.is_event else org.metrics)[row.source_id].update({row.metric: row.series})
            end = (row.first_ns, row.last_ns, values.unpack(row.latest))
            self._book.known[row.series] = Known(
                row.series, row.org, row.source_id, row.metric, row.is_event, row.stored_source, end
            )
        for (name, source_id), when in seen_ns.items():
            self._organisation(name).seen_ns[source_id] = when
        for lost in losses:
            self.note_loss(lost)
        self._book.next_id = next_id

    def rows_for(self, ids: Iterable[int]) -> list[SeriesRow]:
        """These series as they are to be kept; ids of none are passed over."""
        found = (self._book.known.get(series) for series in ids)
        return [
            SeriesRow(
                known.series,
                known.org,
                known.source_id,
                known.metric,
                known.is_event,
                known.stored_source,
                *known.end[:2],
                values.pack(known.end[2]),
            )
            for known in found
            if known is not None and known.end is not None
        ]

    # --- what people do to it ------------------------------------------------------------------------------------

    def rename(self, org: str, source_id: str, new: str) -> list[int]:
        """Give a source another name, which has no points yet; returns its series. Files keep the stored name."""
        known, touched = self._organisation(org), []
        for table in (known.metrics, known.events):
            for name, series in table.pop(source_id, {}).items():
                table[new][name] = series
                self._book.known[series].source_id = new
                touched.append(series)
        if source_id in known.seen_ns:
            known.seen_ns[new] = known.seen_ns.pop(source_id)
        if (org, source_id) in self._losses:
            merged(self._losses.setdefault((org, new), {}), self._losses.pop((org, source_id)).values())
        return touched

    def forget(self, ids: Iterable[int]) -> None:
        """These series have no points any more; a source without any is no longer known."""
        for series in ids:
            gone = self._book.known.pop(series, None)
            if gone is None:
                continue
            org = self._orgs[gone.org]
            table = org.events if gone.is_event else org.metrics
            del table[gone.source_id][gone.metric]
            if not table[gone.source_id]:
                del table[gone.source_id]
            if gone.source_id not in org.metrics and gone.source_id not in org.events:
                org.seen_ns.pop(gone.source_id, None)
                self._losses.pop((gone.org, gone.source_id), None)

    def set_end(self, series: int, end: End) -> None:
        """What is true of a series now that some of its points are gone."""
        self._book.known[series].end = end

    def _organisation(self, name: str) -> _Organisation:
        org = self._orgs.get(name)
        if org is None:
            org = self._orgs[name] = _Organisation(self._book, name)
        return org

    def _metrics(self, org: str) -> Mapping[str, Mapping[str, int]]:
        known = self._orgs.get(org)
        return known.metrics if known else {}


def _note(known: Known, end: End) -> None:
    if known.end is None:
        known.end = end
        return
    first, last, value = known.end
    newest = end[1:] if end[1] >= last else (last, value)
    known.end = (min(first, end[0]), *newest)


def _array_parts(org: _Organisation, source_id: str, columns: ArrayColumns) -> list[Part]:
    parts: list[Part] = []
    for section in columns.sections:
        names = (org.events if section.is_event else org.metrics)[source_id]
        parts.append(ArrayPart(section, np.array(list(map(names.__getitem__, section.metrics)), np.int32)))
    return parts


def _list_parts(org: _Organisation, block: Block) -> list[Part]:
    if True not in block.is_event:
        series = _ids(org.metrics, block.source_id, block.metric)
        return [ListPart(False, series, block.t_ns, block.value, block.tags, block.run_id)]  # noqa: FBT003 - `is_event`
    flags = block.is_event
    return [
        _chosen(org.metrics, block, [not flag for flag in flags], is_event=False),
        _chosen(org.events, block, flags, is_event=True),
    ]


def _chosen(table: _Sources, block: Block, flags: list[bool], *, is_event: bool) -> Part:
    """The points of a block that has both kinds, of one of them."""

    def column(whole: list[Any]) -> list[Any]:
        return list(itertools.compress(whole, flags))

    series = _ids(table, column(spread(block.source_id, len(flags))), column(block.metric))
    tags = None if block.tags is None else column(tags_of(block))
    run_ids = column(block.run_id) if isinstance(block.run_id, list) else block.run_id
    return ListPart(is_event, series, column(block.t_ns), column(block.value), tags, run_ids)


def _ids(sources: _Sources, source_id: list[str] | str, metric: Sequence[str]) -> list[int]:
    if isinstance(source_id, str):
        names = sources[source_id]
        # One call for all of them; with a single name it would return the id itself.
        return list(itemgetter(*metric)(names)) if len(metric) > 1 else [names[name] for name in metric]
    return list(map(getitem, map(sources.__getitem__, source_id), metric))
