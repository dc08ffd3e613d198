"""Everything that a selection holds, in parts, and how much that is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import attrs
import numpy as np

from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.index import GROUP
from plexus.adapters.store.embedded.files.rows import Rows, sorted_rows
from plexus.adapters.store.embedded.queries.cut import Asked, Picked
from plexus.adapters.store.embedded.queries.turn import alone
from plexus.protocol.columns import Columns

PART = 50_000
"""Points that a part has at most."""

AT_ONCE = 250_000
"""Points that are read at once: row groups are read once for all series in them that fit."""


def scan(asked: Asked, picked: Picked) -> Iterator[Columns]:
    """Points ascending by source, metric and time, in parts."""
    for batch in _batches(asked, picked):
        position = np.argsort(batch)
        own = attrs.evolve(asked, series=batch[position])
        for part in _stretches(own):
            rows = part.all_rows(extras=True)
            if rows is not None:
                ranked = position[np.searchsorted(own.series, rows.series)]
                for columns in _columns(sorted_rows(rows, ranked), picked):
                    asked.question.check()
                    yield columns


def count(asked: Asked) -> int:
    """How many points `scan` gives: of files that the window holds whole nothing is read."""
    asked.question.check()
    sealed = sum(
        asked.reader.count(file, asked.series, asked.start_ns, asked.end_ns, look=asked.question.read)
        for file in asked.files()
    )
    return sealed + asked.hot_count()


def _batches(asked: Asked, picked: Picked) -> Iterator[Array]:
    """The series in the order of the answer, as many together as files hold `AT_ONCE` points of, but one at least."""
    ordered = np.array(sorted(asked.series.tolist(), key=picked.__getitem__), np.int32)
    counts = np.zeros(len(ordered), np.int64)
    for file in asked.files():
        counts += asked.reader.index(file).counts(asked.series)
    known = counts[np.searchsorted(asked.series, ordered)].tolist()
    begin, total = 0, 0
    for place, own in enumerate(known):
        if place > begin and total + own > AT_ONCE:
            yield ordered[begin:place]
            begin, total = place, 0
        total += own
    if begin < len(ordered):
        yield ordered[begin:]


def _stretches(asked: Asked) -> Iterator[Asked]:
    """The window in halves and halves of them, until each is small enough."""
    files = asked.files()
    most = sum(asked.reader.reach(file, asked.series, asked.start_ns, asked.end_ns) for file in files)
    # Of a series, no less than the row groups that a stretch begins and ends in are read.
    if most <= max(AT_ONCE, 2 * GROUP * len(files) * len(asked.series)):
        yield asked
        return
    first = max(asked.start_ns, min(file.first_ns for file in files))
    middle = (first + min(asked.end_ns, max(file.last_ns for file in files) + 1)) // 2
    if middle <= first:
        yield asked
        return
    yield from _stretches(asked.within(asked.start_ns, middle))
    yield from _stretches(asked.within(middle, asked.end_ns))


def _columns(rows: Rows, picked: Picked) -> Iterator[Columns]:
    with alone(len(rows)):
        values = rows.values()
        tags = _tags(rows)
        run_ids: list[str | None] = [None] * len(rows) if rows.run_id is None else rows.run_id.to_pylist()
    for begin in range(0, len(rows), PART):
        part = slice(begin, min(len(rows), begin + PART))
        with alone(part.stop - begin):
            series = rows.series[part]
            names = [picked[number] for number in series.tolist()]
            columns = Columns(
                source_id=[source_id for source_id, _ in names],
                metric=[metric for _, metric in names],
                t_ns=rows.t_ns[part].tolist(),
                is_event=[False] * len(names),
                value=values[part],
                tags=tags[part],
                run_id=run_ids[part],
            )
        yield columns


def _tags(rows: Rows) -> list[Mapping[str, str] | None]:
    if rows.tags is None:
        return [None] * len(rows)
    written = rows.tags.to_pylist()
    known = {text: json.loads(text) for text in set(written) if text is not None}
    return [known.get(text) for text in written]
