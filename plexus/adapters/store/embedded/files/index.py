"""The index of a sealed file: where each series begins. It lies in the file's footer, so that nothing is searched.

A file is sorted by organisation, metric, source and time, and written in row groups of `GROUP` rows, so the place of a
row says its group. The first time of each group finds a stretch of time inside a series that fills several of them.
"""

from __future__ import annotations

import base64
from typing import Any

import attrs
import msgspec
import numpy as np
import zstandard

from plexus.adapters.store.embedded.files.bridge import Array
from plexus.domain.errors import StoreError

GROUP = 32_768
"""Rows of a row group: one is read in 0.4 ms, and a dictionary of its values is worth its bytes."""

KEY = "plexus"
"""Of the footer's metadata: the index, as msgpack, zstd and base64."""

FORMAT = 1


@attrs.frozen(eq=False)
class Index:
    """Where what lies.

    Attributes:
        series: the ids in the order of the file (a series that fills several parts may be there again).
        ends: where the rows of each end.
        group_ns: the time of the first row of each row group.
        columns: which of the columns that are often empty or the same are not.
    """

    series: Array
    ends: Array
    group_ns: Array
    columns: frozenset[str]
    _order: Array = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_order", np.argsort(self.series, kind="stable"))

    @property
    def rows(self) -> int:
        """How many rows the file has."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def find(self, wanted: Array, start_ns: int, end_ns: int) -> tuple[Array, Array, Array]:
        """The rows of these series (ascending ids) that may lie in the window: series, first and end, as in the file.

        Row groups of a series that lie before or after the window are left out.
        """
        found = self._places(wanted)
        firsts, ends = np.where(found > 0, self.ends[found - 1], 0), self.ends[found]
        long = np.flatnonzero(firsts // GROUP != (ends - 1) // GROUP)
        if len(long):
            firsts, ends = firsts.copy(), ends.copy()
        for i in long.tolist():
            firsts[i], ends[i] = self._narrowed(int(firsts[i]), int(ends[i]), start_ns, end_ns)
        kept = ends > firsts
        return self.series[found][kept], firsts[kept], ends[kept]

    def counts(self, wanted: Array) -> Array:
        """How many rows each of these series (ascending ids) has in the file."""
        found = self._places(wanted)
        lengths = self.ends[found] - np.where(found > 0, self.ends[found - 1], 0)
        owners = np.searchsorted(wanted, self.series[found])
        return np.bincount(owners, lengths, len(wanted)).astype(np.int64)

    def holds(self, wanted: Array) -> Array:
        """Which of these series (ascending ids) are in the file."""
        held = self.series[self._places(wanted)]
        return np.isin(wanted, held)

    def _places(self, wanted: Array) -> Array:
        ordered = self.series[self._order]
        first = np.searchsorted(ordered, wanted, "left")
        last = np.searchsorted(ordered, wanted, "right")
        once = last - first
        if not once.any():
            return self._order[:0]
        starts = np.repeat(first - np.append(0, np.cumsum(once)[:-1]), once)
        return np.sort(self._order[starts + np.arange(int(once.sum()))])

    def _narrowed(self, first: int, end: int, start_ns: int, end_ns: int) -> tuple[int, int]:
        group, last = first // GROUP, (end - 1) // GROUP
        times = self.group_ns[group + 1 : last + 1]  # of the groups that begin inside the series
        skipped = int(np.searchsorted(times, start_ns, "left"))
        reached = int(np.searchsorted(times, end_ns, "left"))
        if skipped:
            first = (group + skipped) * GROUP
        if reached < len(times):
            end = (group + 1 + reached) * GROUP
        return first, end


class _Written(msgspec.Struct, array_like=True):
    format: int
    series: bytes
    counts: bytes
    group_ns: bytes
    columns: list[str]


def pack(index: Index) -> str:
    """The index as it lies in the footer."""
    counts = np.diff(index.ends, prepend=0).astype("<i8")
    written = _Written(
        FORMAT,
        index.series.astype("<i4").tobytes(),
        counts.tobytes(),
        index.group_ns.astype("<i8").tobytes(),
        sorted(index.columns),
    )
    return base64.b64encode(zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(written))).decode()


def unpack(metadata: dict[bytes, bytes] | None, path: Any) -> Index:
    """The index of a footer's metadata; StoreError when there is none that can be read."""
    try:
        packed = base64.b64decode((metadata or {})[KEY.encode()])
        written = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed), type=_Written)
    except (KeyError, ValueError, zstandard.ZstdError, msgspec.MsgspecError) as exc:
        raise StoreError(f"{path}: its footer has no index of Plexus's; it is damaged, or no file of ours") from exc
    if written.format != FORMAT:
        raise StoreError(f"{path}: a newer version of Plexus wrote it; update Plexus")
    counts = np.frombuffer(written.counts, "<i8")
    return Index(
        np.frombuffer(written.series, "<i4"),
        np.cumsum(counts),
        np.frombuffer(written.group_ns, "<i8"),
        frozenset(written.columns),
    )
