"""Sealed history: plain Parquet files of points and events, one a UTC day and stretch of the journal, with roll-ups.

Points that a stretch has scattered over many days lie in one file a year in place of one a day.

Invariants:
- a file is written under a temporary name, flushed, and only then gets its own; it never changes after that;
- rows are sorted by organisation, metric, source and time, and equal times stay in the order of commit;
- where each series begins is in the file's footer, so a question reads the row groups that hold its answer, no others;
- a roll-up has the partial aggregates of one file's points, for those series whose buckets stand for `WORTH` points and
  more; merged with those of other files and of points that have none, they are what the points themselves give.

Modules: `sealedfile` is what the manifest knows of a file; `rows` and `partials` are points and aggregates as columns,
`sums` how floats are added; `layout` and `index` are what lies in a file, `output` and `reading` write and read one;
`parting` says which points of a stretch of the journal share a file, `writing` makes it, `merging` makes files of
files, `checking` verifies them.
"""

from __future__ import annotations

from plexus.adapters.store.embedded.files.checking import check
from plexus.adapters.store.embedded.files.merging import AT_ONCE, Remainder, merge, series_of, without
from plexus.adapters.store.embedded.files.reading import Reader
from plexus.adapters.store.embedded.files.sealedfile import SealedFile, SeriesName
from plexus.adapters.store.embedded.files.writing import Extras, write

__all__ = [
    "AT_ONCE",
    "Extras",
    "Reader",
    "Remainder",
    "SealedFile",
    "SeriesName",
    "check",
    "merge",
    "series_of",
    "without",
    "write",
]
