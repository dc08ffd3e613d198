"""How the points of a stretch are parted into files: by the day, or by the year where days have next to nothing.

A clock that is wrong, or a counter in its place, stamps points over thousands of days. A file for each of them would
take minutes to flush, and a question about all of time would open them all: what is scattered so lies in one file a
year.

Which day has files of its own is decided for good. From the first one on, nothing of that day is scattered again: so
what is scattered of a day was committed before all that is in files of the day, and of equal times the order of commit
stays the order of the files, whatever is merged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator

import numpy as np

from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.rows import Rows
from plexus.adapters.store.embedded.files.sealedfile import DAY_NS

FEW_DAYS = 8
"""Days that a stretch may have without a thought: late data, and a midnight."""

WORTH_A_FILE = 1_000
"""Points from which on a day has a file of its own, however many days there are."""

Owning = Callable[[], Collection[str]]
"""Asked for the days that have files of their own already; only when there are more than a few."""

_log = logging.getLogger(__name__)


def parted(rows: Rows, owning: Owning) -> Iterator[tuple[str, Rows]]:
    """The rows of each file that is to be made, in their order, under the name of its day or year."""
    if not len(rows):
        return
    days = rows.t_ns // DAY_NS
    first, last = int(days.min()), int(days.max())
    if first == last:
        yield _day(first), rows
        return
    present, counts = np.unique(days, return_counts=True)
    scattered = _scattered(present, counts, owning)
    for number in present[~scattered].tolist():
        yield _day(number), rows.take(np.flatnonzero(days == number))
    if scattered.any():
        yield from _by_year(rows, days, present[scattered])


def _scattered(present: Array, counts: Array, owning: Owning) -> Array:
    """Which of these days have no file of their own."""
    found = np.zeros(len(present), bool)
    if len(present) > FEW_DAYS:
        small = np.flatnonzero(counts < WORTH_A_FILE)
        own = owning()
        found[small] = [_day(number) not in own for number in present[small].tolist()]
    return found


def _by_year(rows: Rows, days: Array, scattered: Array) -> Iterator[tuple[str, Rows]]:
    which = np.flatnonzero(np.isin(days, scattered))
    _log.info(
        "%d points are stamped over %d days, from %s to %s, and sealed by the year; is a device's clock wrong?",
        len(which),
        len(scattered),
        _day(int(scattered[0])),
        _day(int(scattered[-1])),
    )
    years = days[which].astype("datetime64[D]").astype("datetime64[Y]")
    for year in np.unique(years):
        yield str(year), rows.take(which[years == year])


def _day(number: int) -> str:
    """The name of a day, counted from 1970."""
    return str(np.datetime64(number, "D"))
