"""Exports: any window or run of any sources as CSV, Parquet or MCAP, streamed to disk.

    order         what is asked for, checked, its window pinned
    plan          into which parts it is cut
    folder        where the parts are kept until the file is made: an interrupted export goes on from there
    exporting     all of it as steps, run by `sync` and `asynchronous`
    csvfile, parquetfile, mcapfile      the file of all parts

Nothing here loads pyarrow, mcap or rich before an export needs them.
"""

from __future__ import annotations

from plexus.api.export.exporting import Exported
from plexus.api.export.progress import OnProgress, Progress

__all__ = ["Exported", "OnProgress", "Progress"]
