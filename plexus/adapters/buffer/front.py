"""Which rows of the spool are the oldest that are kept, found once and remembered, so that depth costs nothing."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right


class Front:
    """The ids of the oldest rows, as far as they were asked for, without gaps; `gone` are those that are not kept.

    A row in `gone` is delivered, lost or read no more, and still in the file. It is not among the oldest.
    """

    def __init__(self) -> None:
        self.gone: set[int] = set()
        self._rows: list[int] = []

    def row(self, connection: sqlite3.Connection, position: int) -> int | None:
        """The id of the row at this place in the order of age, None behind the youngest."""
        rows = self._rows
        while (missing := position + 1 - len(rows)) > 0:
            # On from the last one, never from the first.
            query = "SELECT id FROM batches WHERE id > ? ORDER BY id LIMIT ?"
            found = connection.execute(query, (rows[-1] if rows else 0, missing + len(self.gone))).fetchall()
            rows += [row for (row,) in found if row not in self.gone][:missing]
            if len(found) < missing + len(self.gone):
                break
        return rows[position] if position < len(rows) else None

    def leave(self, row: int) -> None:
        """This row is not kept any more, and still in the file."""
        self.gone.add(row)
        self.drop(row)

    def drop(self, row: int) -> None:
        """This row is not in the file any more."""
        place = bisect_left(self._rows, row)
        if place < len(self._rows) and self._rows[place] == row:
            del self._rows[place]

    def cut(self, last_id: int) -> None:
        """Rows above this one were never there: the transaction that made them was undone."""
        del self._rows[bisect_right(self._rows, last_id) :]

    def clear(self) -> None:
        """Know nothing: the file is another one."""
        self.gone.clear()
        self._rows.clear()
