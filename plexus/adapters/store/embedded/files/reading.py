"""Reading what a question needs from sealed files: the row groups that hold it, and of these the columns."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plexus.adapters.store.embedded.files.bridge import Array, arrow, numbers, united
from plexus.adapters.store.embedded.files.index import GROUP, Index, unpack
from plexus.adapters.store.embedded.files.layout import NS_PER_MS
from plexus.adapters.store.embedded.files.output import faults
from plexus.adapters.store.embedded.files.partials import Partials
from plexus.adapters.store.embedded.files.rows import TEXT_COLUMNS, Rows
from plexus.adapters.store.embedded.files.sealedfile import SealedFile
from plexus.adapters.store.embedded.values import PACKED

MAX_CHUNKS = 100_000
"""Columns of row groups that open files may have together: a footer takes a KiB of memory for each."""

MAX_FILES = 256
"""Files that are kept open: a file descriptor each, of which a process may have as few as 1,024 in all."""

PART_GROUPS = 16
"""Row groups that are read at once, and half a million rows."""

PART_GROUPS_OF_TEXT = 4
"""The same of a file with values that are no numbers."""

_AGGREGATES = {
    "low": "min",
    "high": "max",
    "sum": "sum",
    "rest": "rest",
    "numbers": "numbers",
    "count": "count",
    "num": "last",
}
"""Columns of a roll-up by what partials call them."""

_Look = Callable[[int], None]
"""Told how many rows are looked at before and after they are."""


def _nothing(_: int) -> None:
    """Nobody counts."""


@attrs.frozen(eq=False)
class _Open:
    path: Path
    file: Any
    index: Index
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def chunks(self) -> int:
        return int(self.file.metadata.num_row_groups) * int(self.file.metadata.num_columns)


class Reader:
    """Files of one history, with the footers of those used last in memory. For any thread; raises StoreError."""

    def __init__(self, folder: Path, max_chunks: int = MAX_CHUNKS, max_files: int = MAX_FILES) -> None:
        self._folder = folder
        self._max_chunks = max_chunks
        self._max_files = max_files
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], _Open] = OrderedDict()
        self._chunks = 0

    def index(self, file: SealedFile, level: str = "") -> Index:
        """The index of a file, or of its roll-up of this level."""
        return self._opened(file, level).index

    def rows(
        self,
        file: SealedFile,
        series: Array,
        start_ns: int,
        end_ns: int,
        *,
        extras: bool = False,
        look: _Look = _nothing,
    ) -> Iterator[Rows]:
        """Rows of these series (ascending ids) in the window, in parts; with `extras` their tags and run ids too."""
        opened = self._opened(file, "")
        names = ["t", "value", *_wanted(opened.index, ("ns", "kind", "json"))]
        names += _wanted(opened.index, ("tags", "run_id")) if extras else ()
        names += ["place"] if file.kind == "events" else ()
        whole = start_ns <= file.first_ns and file.last_ns < end_ns
        for spans in _parts(opened.index, series, start_ns, end_ns):
            look(0)
            table = _read(opened, spans, names)
            t_ns = _time(table, "t", "ns")
            which, owners = spans.select(t_ns, None if whole else (start_ns, end_ns))
            look(len(owners))
            yield _rows(table, t_ns, which, owners)

    def partials(
        self, file: SealedFile, level: str, series: Array, start_ns: int, end_ns: int, *, look: _Look = _nothing
    ) -> Iterator[Partials]:
        """The roll-up's rows of these series whose buckets begin in the window, in parts."""
        opened = self._opened(file, level)
        names = ["t", *_AGGREGATES.values(), "last_t"]
        names += _wanted(opened.index, ("last_ns", "last_kind", "last_json"))
        for spans in _parts(opened.index, series, start_ns, end_ns):
            look(0)
            table = _read(opened, spans, names)
            t_ns = _time(table, "t", "")
            which, owners = spans.select(t_ns, (start_ns, end_ns))
            look(len(owners))
            yield _partials(table, t_ns, which, owners)

    def reach(self, file: SealedFile, series: Array, start_ns: int, end_ns: int) -> int:
        """How many rows are looked at to find those of the window: at most what is in the row groups it touches."""
        _, firsts, ends = self._opened(file, "").index.find(series, start_ns, end_ns)
        return int((ends - firsts).sum())

    def count(self, file: SealedFile, series: Array, start_ns: int, end_ns: int, *, look: _Look = _nothing) -> int:
        """How many rows these series (ascending ids) have in the window; nothing is read when all of it is inside."""
        opened = self._opened(file, "")
        if start_ns <= file.first_ns and file.last_ns < end_ns:
            return int(opened.index.counts(series).sum())
        total = 0
        for spans in _parts(opened.index, series, start_ns, end_ns):
            look(0)
            table = _read(opened, spans, ["t", *_wanted(opened.index, ("ns",))])
            total += len(spans.select(_time(table, "t", "ns"), (start_ns, end_ns))[1])
        return total

    def forget(self, names: Iterable[str]) -> None:
        """Let go of files that are about to be removed."""
        gone = set(names)
        with self._lock:
            for key in [key for key in self._open if key[0] in gone]:
                self._drop(key)

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            for key in list(self._open):
                self._drop(key)

    def _opened(self, file: SealedFile, level: str) -> _Open:
        key = (file.name, level)
        with self._lock:
            if (found := self._open.get(key)) is not None:
                self._open.move_to_end(key)
                return found
        made = open_file(file.path(self._folder, level))
        with self._lock:
            if key not in self._open:
                self._open[key] = made
                self._chunks += made.chunks
            while self._is_much() and len(self._open) > 1:
                self._drop(next(iter(self._open)))
            return made

    def _is_much(self) -> bool:
        return self._chunks > self._max_chunks or len(self._open) > self._max_files

    def _drop(self, key: tuple[str, str]) -> None:
        # Not closed: who reads from it at this moment goes on, and the last one to let go of it closes it.
        self._chunks -= self._open.pop(key).chunks


def open_file(path: Path, *, verify: bool = False) -> _Open:
    """A file with its index; `verify` checks every page that is read against its checksum."""
    with faults(path, "opened"):
        file = pq.ParquetFile(path, page_checksum_verification=verify)
    return _Open(path, file, unpack(file.metadata.metadata, path))


@attrs.frozen(eq=False)
class _Spans:
    """What is to be read: row groups, and of each stretch of rows its series and where it lies among those read."""

    groups: list[int]
    series: Array
    first: Array
    lengths: Array

    def select(self, t_ns: Array, window: tuple[int, int] | None) -> tuple[Array | slice, Array]:
        """Which of the rows that were read are asked for, and the series of each."""
        owners = np.repeat(self.series, self.lengths)
        ends = self.first + self.lengths
        which: Array | slice
        if (self.first[1:] == ends[:-1]).all():
            which = slice(int(self.first[0]), int(ends[-1]))
        else:
            before = np.cumsum(self.lengths) - self.lengths
            which = np.arange(len(owners)) + np.repeat(self.first - before, self.lengths)
        if window is None:
            return which, owners
        times = t_ns[which]
        inside = (times >= window[0]) & (times < window[1])
        if inside.all():
            return which, owners
        kept = np.flatnonzero(inside)
        return (kept + which.start if isinstance(which, slice) else which[kept]), owners[kept]


def _parts(index: Index, series: Array, start_ns: int, end_ns: int) -> Iterator[_Spans]:
    owners, firsts, ends = index.find(series, start_ns, end_ns)
    if not len(owners):
        return
    # One stretch a series and row group that it lies in.
    first_group = firsts // GROUP
    many = (ends - 1) // GROUP - first_group + 1
    stretch = np.repeat(np.arange(len(owners)), many)
    group = first_group[stretch] + np.arange(len(stretch)) - np.repeat(np.cumsum(many) - many, many)
    first = np.maximum(firsts[stretch], group * GROUP)
    lengths = np.minimum(ends[stretch], (group + 1) * GROUP) - first
    groups = np.unique(group)
    at_once = PART_GROUPS_OF_TEXT if index.columns & {"json", "last_json", "tags"} else PART_GROUPS
    for begin in range(0, len(groups), at_once):
        part = groups[begin : begin + at_once]
        low, high = np.searchsorted(group, part[0], "left"), np.searchsorted(group, part[-1], "right")
        own = slice(int(low), int(high))
        place = np.searchsorted(part, group[own]) * GROUP + first[own] - group[own] * GROUP
        yield _Spans(part.tolist(), owners[stretch[own]], place, lengths[own])


def _wanted(index: Index, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in index.columns]


def _read(opened: _Open, spans: _Spans, names: Sequence[str]) -> pa.Table:
    with faults(opened.path, "read"), opened.lock:
        return opened.file.read_row_groups(spans.groups, columns=names, use_threads=False)


def _time(table: pa.Table, milliseconds: str, nanoseconds: str) -> Array:
    t_ns = numbers(table.column(milliseconds)) * NS_PER_MS
    return t_ns + numbers(table.column(nanoseconds)) if nanoseconds in table.column_names else t_ns


def _rows(table: pa.Table, t_ns: Array, which: Array | slice, owners: Array) -> Rows:
    kind = _kind(table, "kind", which, owners)
    text = _text(table, "json", which) if (kind == PACKED).any() else None
    tags, run_id = (_text(table, name, which) for name in TEXT_COLUMNS[1:])
    place = numbers(table.column("place"))[which] if "place" in table.column_names else None
    return Rows(owners, t_ns[which], kind, numbers(table.column("value"))[which], text, tags, run_id, place)


def _partials(table: pa.Table, t_ns: Array, which: Array | slice, owners: Array) -> Partials:
    kind = _kind(table, "last_kind", which, owners)
    columns: dict[str, Any] = {name: numbers(table.column(column))[which] for name, column in _AGGREGATES.items()}
    return Partials(
        series=owners,
        start_ns=t_ns[which],
        last_ns=_time(table, "last_t", "last_ns")[which],
        kind=kind,
        text=_text(table, "last_json", which) if (kind == PACKED).any() else None,
        **columns,
    )


def _kind(table: pa.Table, name: str, which: Array | slice, owners: Array) -> Array:
    if name not in table.column_names:
        return np.zeros(len(owners), np.uint8)
    return numbers(table.column(name))[which]


def _text(table: pa.Table, name: str, which: Array | slice) -> pa.Array | None:
    if name not in table.column_names:
        return None
    column = table.column(name)
    if isinstance(which, slice):
        return united(column.slice(which.start, which.stop - which.start))
    return united(column.take(arrow(which)))
