"""What is known of a sealed file without opening it: a row of the manifest."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import attrs

Kind = Literal["points", "events"]

ROLLUP_NS = {"1m": 60_000_000_000, "10m": 600_000_000_000, "1h": 3_600_000_000_000}
"""Lengths of the roll-ups' buckets in nanoseconds, the finest first."""

DAY_NS = 86_400_000_000_000
_EPOCH = date(1970, 1, 1).toordinal()


@attrs.frozen
class SeriesName:
    """What a series is called in the files: the organisation, its source, and the metric or event."""

    org: str
    source_id: str
    metric: str


@attrs.frozen
class SealedFile:
    """Points or events of one UTC day, and the roll-ups made of them; or of days of one year with next to nothing each.

    Attributes:
        name: of the file, without the suffix; no two files of a directory ever have the same.
        day: "YYYY-MM-DD", or "YYYY" of points that are scattered over the year.
        kind: "points" or "events".
        points: how many rows it has.
        first_ns, last_ns: the lowest and the highest time in it.
        bytes: its size on disk, with its roll-ups.
        first_seq, last_seq: the journal rows that its points came in; those of two files of a day never overlap, and
            of equal times those of the lower rows were committed first.
        rollups: the roll-ups that were worth making, "1m,10m,1h" or fewer, and "" for none.
    """

    name: str
    day: str
    kind: Kind
    points: int
    first_ns: int
    last_ns: int
    bytes: int
    first_seq: int
    last_seq: int
    rollups: str = ""

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of its roll-ups, the finest first."""
        return tuple(self.rollups.split(",")) if self.rollups else ()

    @property
    def scattered(self) -> bool:
        """Whether it is of a year and not of a day."""
        return "-" not in self.day

    @property
    def bounds_ns(self) -> tuple[int, int]:
        """Where its day or year begins and ends (not included)."""
        begins = date.fromisoformat(f"{self.day}-01-01" if self.scattered else self.day)
        days = date(begins.year + 1, 1, 1) - begins if self.scattered else timedelta(1)
        start = begins.toordinal() - _EPOCH
        return start * DAY_NS, (start + days.days) * DAY_NS

    def path(self, folder: Path, level: str = "") -> Path:
        """Where it lies under the history's folder, or its roll-up of this level."""
        if self.scattered:
            return folder / f"scattered_{self.kind}" / f"year={self.day}" / f"{self.name}.parquet"
        return folder / (f"rollup_{level}" if level else self.kind) / f"day={self.day}" / f"{self.name}.parquet"

    def paths(self, folder: Path) -> list[Path]:
        """Every file of it: what goes into a backup, and what is unlinked when it is let go of."""
        return [self.path(folder), *(self.path(folder, level) for level in self.levels)]
