"""What a question looks at: the files and hot tables of one moment, so that nothing is seen twice or missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import duckdb
import numpy as np
import pyarrow as pa

from plexus.adapters.store.embedded.files.bridge import Array, arrow, numbers
from plexus.adapters.store.embedded.files.reading import Reader
from plexus.adapters.store.embedded.files.rows import Rows, joined, of_table, sorted_rows
from plexus.adapters.store.embedded.files.sealedfile import Kind, SealedFile
from plexus.adapters.store.embedded.queries.turn import alone
from plexus.domain.errors import StoreError
from plexus.ports.store import Question, Window

MIN_NS, MAX_NS = -(2**63), 2**63 - 1

Picked = Mapping[int, tuple[str, str]]
"""Series that a question is about: (source, metric) by id."""


@attrs.frozen(eq=False)
class Cut:
    """Held open until the question has its answer.

    Attributes:
        files: in the order of the journal rows that they hold.
        cursor: of DuckDB, in a transaction that began with the cut.
        segments: numbers of the hot tables, `points_<n>` and `events_<n>`, in the order of commit; what is in files is
            in none of them, and later than all of it.
        extras: tags and run ids by the numbers that the hot tables' rows have.
    """

    files: Sequence[SealedFile]
    cursor: Any
    segments: Sequence[int]
    extras: Mapping[int, tuple[str | None, str | None]]


@attrs.frozen(eq=False)
class Asked:
    """A question: over which cut, about which series (ascending ids) of one kind, from when to when (not included)."""

    reader: Reader
    cut: Cut
    kind: Kind
    series: Array
    start_ns: int
    end_ns: int
    question: Question

    def files(self) -> list[SealedFile]:
        """Those that may hold something of it."""
        return [
            file
            for file in self.cut.files
            if file.kind == self.kind and file.first_ns < self.end_ns and file.last_ns >= self.start_ns
        ]

    def within(self, start_ns: int, end_ns: int) -> Asked:
        """The same for a part of the window."""
        return attrs.evolve(self, start_ns=start_ns, end_ns=end_ns)

    def sealed(self, *, extras: bool = False) -> Iterator[Rows]:
        """The rows in files, file by file, in parts."""
        for file in self.files():
            for rows in self.reader.rows(
                file, self.series, self.start_ns, self.end_ns, extras=extras, look=self.question.read
            ):
                if len(rows):
                    yield rows

    def hot(self) -> Iterator[Rows]:
        """The rows in hot tables, segment by segment; those of a series lie together."""
        for number in self.cut.segments:
            table = self._fetch(f"SELECT rowid, * FROM {self.kind}_{number:d}")  # noqa: S608 - ours
            self.question.read(len(table))
            if len(table):
                rowid = numbers(table.column("rowid"))
                if (rowid[1:] < rowid[:-1]).any():
                    table = table.take(arrow(np.argsort(rowid)))
                with alone(len(table)):
                    rows = of_table(table, self.cut.extras, places=self.kind == "events")
                yield sorted_rows(rows, np.searchsorted(self.series, rows.series))

    def hot_count(self) -> int:
        """How many rows they have."""
        return sum(
            int(numbers(self._fetch(f"SELECT count(*) FROM {self.kind}_{number:d}").column(0))[0])  # noqa: S608 - ours
            for number in self.cut.segments
        )

    def all_rows(self, *, extras: bool = False) -> Rows | None:
        """Everything, the rows of a series together and ascending in time; None for nothing."""
        pieces = [*self.sealed(extras=extras), *self.hot()]
        if len(pieces) < 2:
            return pieces[0] if pieces else None
        rows = joined(pieces)
        return sorted_rows(rows, np.searchsorted(self.series, rows.series))

    def _fetch(self, select: str) -> pa.Table:
        cursor = self.cut.cursor
        everything = self.start_ns <= MIN_NS and self.end_ns >= MAX_NS
        parameters: list[Any] = [self.series.tolist()]
        where = "series IN (SELECT unnest(?::INTEGER[]))"
        if len(self.series) == 1:  # what is compared with one number is looked up in the statistics first
            where, parameters = "series = ?", [int(self.series[0])]
        if not everything:
            where += " AND t_ns >= ? AND t_ns < ?"
            parameters += [self.start_ns, self.end_ns]
        try:
            with self.question.interrupted_by(cursor.interrupt):
                return cursor.sql(f"{select} WHERE {where}", params=parameters).to_arrow_table()
        except duckdb.Error as exc:
            self.question.check()
            raise StoreError(f"the newest points cannot be asked: {exc}") from exc


def asked(
    reader: Reader, cut: Cut, kind: Kind, picked: Picked, window: Window | None, question: Question | None
) -> Asked:
    """A question about these series; no window is all of time."""
    start_ns, end_ns = (MIN_NS, MAX_NS) if window is None else bounds(window)
    series = np.array(sorted(picked), np.int32)
    return Asked(reader, cut, kind, series, start_ns, end_ns, question or Question())


def bounds(window: Window) -> tuple[int, int]:
    """A window's ends as 64 bits hold them."""
    return max(MIN_NS, min(MAX_NS, window.start_ns)), max(MIN_NS, min(MAX_NS, window.end_ns))
