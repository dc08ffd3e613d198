"""The manifest: what is known of the history and of what its rows said, in the tables of `journal.db`.

Everything here is one short transaction. What grows with the number of series or sources is written in lots, ahead of
the transaction that needs it: it says what is true now, which rows that are read again at start only say once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

import attrs

from plexus.adapters.store.embedded.catalogue import SeriesRow
from plexus.adapters.store.embedded.files.sealedfile import SealedFile
from plexus.adapters.store.embedded.journal import Journal
from plexus.adapters.store.embedded.record import Lost

LOT = 500
"""Rows of series or sources that one transaction writes: some milliseconds."""

_Item = TypeVar("_Item")


@attrs.frozen
class Rename:
    """A source of one organisation has another name after journal row `seq`."""

    seq: int
    org: str
    source_id: str
    new: str


@attrs.frozen
class Change:
    """What one transaction does to the history.

    Attributes:
        into, out: files that come, and those that go.
        cut: the last row that is sealed from now on; None when no row is sealed by it.
        losses: what the rows that are sealed by it declare.
        ends: series as they are now that some of their points are gone.
        forgotten: ids of series of which nothing is left.
        sources: (org, source) of sources of which nothing is left.
    """

    into: Sequence[SealedFile] = ()
    out: Sequence[SealedFile] = ()
    cut: int | None = None
    losses: Sequence[Lost] = ()
    ends: Sequence[SeriesRow] = ()
    forgotten: Sequence[int] = ()
    sources: Sequence[tuple[str, str]] = ()


class Manifest:
    """Over an open journal; every method takes its `writing` lock. Raises StoreError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seen_ns = self._sources()

    # --- at start ------------------------------------------------------------------------------------------------

    def files(self) -> list[SealedFile]:
        """Every file of the history, in the order in which their points were committed."""
        return [SealedFile(*row) for row in self._ask(f"SELECT {_FILE} FROM files ORDER BY first_seq, name")]  # noqa: S608 - names of ours

    def series(self) -> list[SeriesRow]:
        """Every series."""
        return [_series_row(*row) for row in self._ask("SELECT * FROM series")]

    def next_series(self) -> int:
        """The id that the next new series gets."""
        found = self._ask("SELECT value FROM counters WHERE name = 'next_series'")
        return int(found[0][0]) if found else 1

    def sources(self) -> dict[tuple[str, str], int]:
        """Arrival times by (org, source)."""
        return dict(self._seen_ns)

    def losses(self) -> list[Lost]:
        """What sealed rows declare."""
        return [Lost(*row) for row in self._ask("SELECT * FROM losses")]

    def renames(self) -> list[Rename]:
        """What was renamed while there are rows that name it as before, in this order."""
        return [Rename(*row) for row in self._ask("SELECT * FROM renames ORDER BY rowid")]

    # --- later ---------------------------------------------------------------------------------------------------

    def keep_series(self, rows: Iterable[SeriesRow], next_id: int) -> Iterator[int]:
        """Write series in lots; yields after each, with nothing held, how many it wrote."""
        for lot in _lots(map(_PLAIN_SERIES, rows)):
            with self._journal.writing, self._journal.transaction() as connection:
                connection.executemany(_PUT_SERIES, lot)
                # Ids that are written are taken, whatever becomes of the rest.
                connection.execute("INSERT OR REPLACE INTO counters VALUES ('next_series', ?)", (next_id,))
            yield len(lot)

    def keep_sources(self, seen_ns: Mapping[tuple[str, str], int]) -> Iterator[int]:
        """The same of arrival times, those that are not written already."""
        changed = [(*source, when) for source, when in seen_ns.items() if self._seen_ns.get(source) != when]
        for lot in _lots(changed):
            with self._journal.writing, self._journal.transaction() as connection:
                connection.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", lot)
            self._seen_ns.update({(org, source_id): when for org, source_id, when in lot})
            yield len(lot)

    def change(self, change: Change) -> None:
        """Swap files, and with them all that goes with it; all or nothing."""
        journal = self._journal
        with journal.writing:
            with journal.transaction() as connection:
                connection.executemany("DELETE FROM files WHERE name = ?", [(file.name,) for file in change.out])
                connection.executemany(_PUT_FILE, map(_PLAIN_FILE, change.into))
                connection.executemany(_PUT_SERIES, map(_PLAIN_SERIES, change.ends))
                connection.executemany("DELETE FROM series WHERE series = ?", [(one,) for one in change.forgotten])
                for table in ("sources", "losses"):
                    connection.executemany(
                        f"DELETE FROM {table} WHERE org = ? AND source_id = ?",  # noqa: S608 - one of two names
                        change.sources,
                    )
                connection.executemany(_ADD_LOSS, map(_astuple, change.losses))
                if change.cut is not None:
                    journal.move_cut(connection, change.cut)
            if change.cut is not None:
                journal.moved(change.cut)
            for source in change.sources:
                self._seen_ns.pop(source, None)

    def rename(self, org: str, source_id: str, new: str) -> Rename:
        """Give a source another name from the last row on; the journal's lock is the caller's."""
        rename = Rename(self._journal.last, org, source_id, new)
        with self._journal.transaction() as connection:
            connection.execute("INSERT INTO renames VALUES (?, ?, ?, ?)", attrs.astuple(rename))
            for table in ("series", "sources", "streams"):
                connection.execute(
                    f"UPDATE {table} SET source_id = ? WHERE org = ? AND source_id = ?",  # noqa: S608 - of these names
                    (new, org, source_id),
                )
            own = "FROM losses WHERE org = ? AND source_id = ?"
            losses = connection.execute(f"SELECT reason, count, first_ms, last_ms {own}", (org, source_id)).fetchall()
            connection.execute(f"DELETE {own}", (org, source_id))
            connection.executemany(_ADD_LOSS, [(org, new, *loss) for loss in losses])
        if (org, source_id) in self._seen_ns:
            self._seen_ns[org, new] = self._seen_ns.pop((org, source_id))
        return rename

    def _sources(self) -> dict[tuple[str, str], int]:
        return {(org, source_id): when for org, source_id, when in self._ask("SELECT * FROM sources")}

    def _ask(self, sql: str) -> list[Any]:
        with self._journal.writing:
            return self._journal.ask(sql)


_FILE = ", ".join(field.name for field in attrs.fields(SealedFile))
_PUT_FILE = f"INSERT INTO files ({_FILE}) VALUES ({', '.join('?' * len(attrs.fields(SealedFile)))})"  # noqa: S608 - fields
_PUT_SERIES = f"INSERT OR REPLACE INTO series VALUES ({', '.join('?' * len(attrs.fields(SeriesRow)))})"  # noqa: S608
_PLAIN_FILE = attrgetter(*(field.name for field in attrs.fields(SealedFile)))
_PLAIN_SERIES = attrgetter(*(field.name for field in attrs.fields(SeriesRow)))
_ADD_LOSS = """
INSERT INTO losses VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (org, source_id, reason) DO UPDATE SET
    count = count + excluded.count,
    first_ms = min(coalesce(first_ms, excluded.first_ms), coalesce(excluded.first_ms, first_ms)),
    last_ms = max(coalesce(last_ms, excluded.last_ms), coalesce(excluded.last_ms, last_ms))"""


def _astuple(lost: Lost) -> tuple[Any, ...]:
    return lost.org, lost.source_id, lost.reason, lost.count, lost.first_ms, lost.last_ms


def _lots(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    left = iter(items)
    while lot := list(islice(left, LOT)):
        yield lot


def _series_row(series: int, org: str, source_id: str, metric: str, is_event: int, *rest: Any) -> SeriesRow:
    return SeriesRow(series, org, source_id, metric, bool(is_event), *rest)
