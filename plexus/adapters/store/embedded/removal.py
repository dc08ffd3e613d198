"""Removal: points leave the history for ever, by source, metric and window.

What is not sealed is sealed first, so that files are all there is to change: those that hold any of the points are
written anew without them. One transaction has the new ones in, the old ones out, and series of which nothing is left
forgotten; the old files are unlinked when no question looks at them any more, at the latest at the next start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import attrs

from plexus.adapters.store.embedded import files as history
from plexus.adapters.store.embedded import queries, values
from plexus.adapters.store.embedded.catalogue import Catalogue, Known, SeriesRow
from plexus.adapters.store.embedded.files.sealedfile import SealedFile
from plexus.adapters.store.embedded.inside import Inside, Names
from plexus.adapters.store.embedded.manifest import Change
from plexus.adapters.store.embedded.parts import End
from plexus.adapters.store.embedded.queries import Cut
from plexus.adapters.store.embedded.sealing import undone, unlink
from plexus.domain.errors import StoreError
from plexus.ports.store import Selection, Window

HOUR_MS = 3_600_000
_NS_PER_MS = 1_000_000
_ALWAYS = Window(-(2**63), 2**63 - 1)


@attrs.define
class _Rewritten:
    """Files that come in the place of others."""

    out: list[SealedFile] = attrs.field(factory=list)
    into: list[SealedFile] = attrs.field(factory=list)
    removed: int = 0


def remove(inside: Inside, org: str, selection: Selection) -> int:
    """Remove what is sealed of it; returns how many points. Everything up to now is sealed, by the caller."""
    while _delete_row_lot(inside):  # which are kept for streams that were away, and hold what is to go
        inside.reached("removal.rows")
    with inside.newest.still() as catalogue:
        series = frozenset(_chosen(catalogue, org, selection))
        names = Names(catalogue)
    inside.reached("removal.begun")
    rewritten = _Rewritten()
    try:
        for file in inside.shelf.files:
            if _overlaps(file, selection.window):
                _rewrite(inside, file, series, selection.window, names, rewritten)
                inside.reached("removal.written")
    except StoreError:
        unlink(inside, rewritten.into)
        raise
    _swap(inside, series, selection.window, rewritten)
    return rewritten.removed


def _delete_row_lot(inside: Inside) -> bool:
    with inside.journal.writing:
        return inside.journal.delete_sealed(keep=False)


def _rewrite(
    inside: Inside,
    file: SealedFile,
    series: Collection[int],
    window: Window | None,
    names: Names,
    rewritten: _Rewritten,
) -> None:
    left = history.without(inside.folder, file, series, window, names)
    if not left.removed:
        return
    rewritten.removed += left.removed
    rewritten.out.append(file)
    if left.file is not None:
        rewritten.into.append(left.file)


def _swap(inside: Inside, series: Collection[int], window: Window | None, rewritten: _Rewritten) -> None:
    """In one step for who asks, and one transaction: commits go on, questions wait for it."""
    with inside.newest.fed() as catalogue:
        touched = [known for known in map(catalogue.known, series) if _may_differ(known, window)]
        gone = {file.name for file in rewritten.out}
        with inside.newest.cut() as cut:
            files = [file for file in cut.files if file.name not in gone] + rewritten.into
            files.sort(key=lambda file: (file.first_seq, file.name))
            ends = _ends(inside, attrs.evolve(cut, files=files), touched)
        empty = [known.series for known in touched if known.series not in ends]
        change = Change(
            into=rewritten.into,
            out=rewritten.out,
            ends=_rows(catalogue, ends),
            forgotten=empty,
            sources=catalogue.emptied(empty),
        )
        with undone(inside, rewritten.into):
            inside.manifest.change(change)
        inside.reached("removal.swapped")
        inside.shelf.swap(rewritten.out, rewritten.into)
        for one, end in ends.items():
            catalogue.set_end(one, end)
        catalogue.forget(empty)
    inside.reached("removal.shown")


def _chosen(catalogue: Catalogue, org: str, selection: Selection) -> Iterable[int]:
    yield from catalogue.pick(org, selection.source_ids, selection.metrics)
    for source_id in catalogue.sources(org) if selection.source_ids is None else selection.source_ids:
        for series, (_source_id, name) in catalogue.pick_events(org, source_id, None).items():
            if selection.metrics is None or name in selection.metrics:
                yield series


def _overlaps(file: SealedFile, window: Window | None) -> bool:
    return window is None or (file.first_ns < window.end_ns and window.start_ns <= file.last_ns)


def _may_differ(known: Known, window: Window | None) -> bool:
    """Whether the removal may have taken the series' first or newest point."""
    if known.end is None or window is None:
        return True
    return any(window.start_ns <= t_ns < window.end_ns for t_ns in known.end[:2])


def _rows(catalogue: Catalogue, ends: dict[int, End]) -> list[SeriesRow]:
    rows = {row.series: row for row in catalogue.rows_for(ends)}
    return [
        attrs.evolve(rows[series], first_ns=first, last_ns=last, latest=values.pack(value))
        for series, (first, last, value) in ends.items()
    ]


def _ends(inside: Inside, cut: Cut, touched: Sequence[Known]) -> dict[int, End]:
    """First and newest point of each of these series that has any left, newest value included."""
    ends: dict[int, End] = {}
    metrics = {known.series: (known.source_id, known.metric) for known in touched if not known.is_event}
    if metrics:
        ends.update(_ends_of_metrics(inside, cut, metrics))
    for known in touched:
        if known.is_event and (end := _end_of_events(inside, cut, known)) is not None:
            ends[known.series] = end
    return ends


def _ends_of_metrics(inside: Inside, cut: Cut, picked: dict[int, tuple[str, str]]) -> dict[int, End]:
    """By the hour from roll-ups, then from the points of each hour that holds a first or a newest one."""
    ids = {name: series for series, name in picked.items()}
    hours: dict[int, set[int]] = {}
    found = queries.buckets(inside.reader, cut, picked, _ALWAYS, HOUR_MS, None)
    for source_id, by_metric in found.items():
        for metric, buckets in by_metric.items():
            for hour_ms in (buckets.timestamp_ms[0], buckets.timestamp_ms[-1]):
                hours.setdefault(int(hour_ms), set()).add(ids[source_id, metric])
    ends: dict[int, End] = {}
    for hour_ms, own in sorted(hours.items()):
        window = Window(hour_ms * _NS_PER_MS, (hour_ms + HOUR_MS) * _NS_PER_MS)
        chosen = {series: picked[series] for series in own}
        for part in queries.scan(inside.reader, cut, chosen, window, None):
            for source_id, metric, t_ns, value in zip(part.source_id, part.metric, part.t_ns, part.value, strict=True):
                series = ids[source_id, metric]
                ends[series] = (ends.get(series, (t_ns, t_ns, value))[0], t_ns, value)
    return ends


def _end_of_events(inside: Inside, cut: Cut, known: Known) -> End | None:
    """To the microsecond, which is all that is asked of it: it says when nothing can be left."""
    picked = {known.series: (known.source_id, known.metric)}
    ends = [queries.events(inside.reader, cut, picked, _ALWAYS, 1, newest=newest) for newest in (False, True)]
    if not ends[0]:
        return None
    first, last = ends[0][0], ends[1][0]
    return int(first.timestamp_ms * _NS_PER_MS) - 1_000, int(last.timestamp_ms * _NS_PER_MS) + 1_000, last.value
