"""Whether a sealed file and its roll-ups are what was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.index import Index
from plexus.adapters.store.embedded.files.merging import AT_ONCE
from plexus.adapters.store.embedded.files.output import faults
from plexus.adapters.store.embedded.files.partials import merged, of_rows
from plexus.adapters.store.embedded.files.reading import Reader, open_file
from plexus.adapters.store.embedded.files.rows import Rows, joined
from plexus.adapters.store.embedded.files.sealedfile import ROLLUP_NS, SealedFile
from plexus.domain.errors import StoreError

_MIN_NS, _MAX_NS = -(2**63), 2**63 - 1


def check(folder: Path, file: SealedFile) -> str:
    """Read all of it, every page against its checksum; returns a sentence about what is wrong, "" for nothing.

    The roll-ups are made again from the points and compared.
    """
    try:
        for path in file.paths(folder):
            _verify(path)
        return _content(folder, file)
    except StoreError as exc:
        return str(exc)


def _verify(path: Path) -> None:
    opened = open_file(path, verify=True)
    if opened.index.rows != opened.file.metadata.num_rows:
        raise StoreError(f"{path}: its index is of another file")
    with faults(path, "read"):
        for group in range(opened.file.metadata.num_row_groups):
            opened.file.read_row_group(group, use_threads=False)


def _content(folder: Path, file: SealedFile) -> str:
    path = file.path(folder)
    reader = Reader(folder)
    index = reader.index(file)
    if index.rows != file.points:
        return f"{path}: it has {index.rows} rows, and the manifest says {file.points}"
    begins_ns, ends_ns = file.bounds_ns
    for batch in _batches(index):
        rows = joined(list(reader.rows(file, batch, _MIN_NS, _MAX_NS)))
        if int(rows.t_ns.min()) < begins_ns or int(rows.t_ns.max()) >= ends_ns:
            return f"{path}: it has times of another {'year' if file.scattered else 'day'}"
        if ((rows.t_ns[1:] < rows.t_ns[:-1]) & (rows.series[1:] == rows.series[:-1])).any():
            return f"{path}: its times are not ascending"
        for level in file.levels:
            held = batch[reader.index(file, level).holds(batch)]
            if len(held) and not _agrees(reader, file, level, held, rows):
                return f"{file.path(folder, level)}: it does not agree with the points"
    return ""


def _batches(index: Index) -> Iterator[Array]:
    """Series that lie together in the file, at most `AT_ONCE` rows of them but one series at least."""
    begin = 0
    while begin < len(index.series):
        before = int(index.ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(index.ends, before + AT_ONCE, "right")))
        while end < len(index.series) and index.series[end] == index.series[end - 1]:
            end += 1  # a large series was written in parts
        yield np.unique(index.series[begin:end])
        begin = end


def _agrees(reader: Reader, file: SealedFile, level: str, series: Array, rows: Rows) -> bool:
    pieces = list(reader.partials(file, level, series, _MIN_NS, _MAX_NS))
    own = (
        rows if len(series) == len(np.unique(rows.series)) else rows.take(np.flatnonzero(np.isin(rows.series, series)))
    )
    kept, made = merged(pieces, ROLLUP_NS[level]), merged([of_rows(own, ROLLUP_NS[level])], ROLLUP_NS[level])
    same = all(
        np.array_equal(getattr(kept, name), getattr(made, name), equal_nan=True)
        for name in ("series", "start_ns", "low", "high", "numbers", "count", "last_ns", "kind", "num")
    )
    return same and bool(np.allclose(kept.sum, made.sum, rtol=1e-12, atol=0))
