"""Points in sealed files and hot tables of one's own making, without a store around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import duckdb
import pyarrow as pa

from plexus.adapters.store.embedded.arrow import Extras, Numbers, Rows, tables_of
from plexus.adapters.store.embedded.files import Reader, SealedFile, SeriesName, merge, write
from plexus.adapters.store.embedded.parts import ListPart
from plexus.adapters.store.embedded.queries import Cut

DAY_NS = 86_400 * 10**9
T0_NS = 20_600 * DAY_NS
"""The beginning of a day in 2026."""

NUMBERS = Numbers()

COLUMNS = {
    "points": "series INTEGER, t_ns BIGINT, kind UTINYINT, num DOUBLE, packed BLOB, extra INTEGER",
    "events": "series INTEGER, t_ns BIGINT, packed BLOB, extra INTEGER",
}

Point = tuple[int, int, Any]
"""Series, nanoseconds since 1970, value."""


def rows_of(points: Iterable[Point], *, is_event: bool = False, tags: Sequence[Any] | None = None) -> Rows:
    """Points in the order of commit as rows of Arrow."""
    listed = list(points)
    rows = Rows(Extras(NUMBERS))
    series, t_ns, values = ([point[i] for point in listed] for i in range(3))
    part: Any = ListPart(is_event, series, t_ns, values, tags)
    rows.add([part])
    return rows


@attrs.define(slots=False)
class History:
    """Series 1, 2, … are metrics `m1`, `m2`, … of `rig-01`; what is added first was committed first."""

    folder: Path
    files: list[SealedFile] = attrs.field(factory=list)
    segments: list[int] = attrs.field(factory=list)
    seq: int = 0
    extras: dict[int, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        self.reader = Reader(self.folder)
        self.names = {series: SeriesName("acme", "rig-01", f"m{series}") for series in range(1, 200)}
        self.picked = {series: (name.source_id, name.metric) for series, name in self.names.items()}

    def seal(self, rows: Rows) -> list[SealedFile]:
        """Rows become files."""
        self.seq += 1
        tables = tables_of(rows)
        made = write(
            self.folder,
            tables.points,
            tables.events,
            self.names,
            extras=tables.extras,
            first_seq=self.seq,
            last_seq=self.seq,
            owning=lambda kind: {file.day for file in self.files if file.kind == kind},
        )
        self.files += made
        return made

    def heat(self, rows: Rows) -> None:
        """Rows become a hot segment."""
        self.seq += 1
        self.segments.append(self.seq)
        self.extras.update(rows.extras.pairs)
        for kind, batches in (("points", rows.points), ("events", rows.events)):
            self.connection.execute(f"CREATE TABLE {kind}_{self.seq} ({COLUMNS[kind]})")
            if batches:
                self.connection.register("block", pa.Table.from_batches(batches))
                self.connection.execute(f"INSERT INTO {kind}_{self.seq} SELECT * FROM block")

    def merge(self, files: Sequence[SealedFile]) -> SealedFile:
        """Files become one."""
        made = merge(self.folder, files, self.names)
        gone = {file.name for file in files}
        self.files = sorted([*(f for f in self.files if f.name not in gone), made], key=lambda file: file.first_seq)
        return made

    def cut(self) -> Cut:
        """All there is."""
        return Cut(list(self.files), self.connection, list(self.segments), self.extras)
