"""Cursors: a place in the store's order of commits, as text that is opaque to whoever holds it.

A place is what comes next: row `row` of the source's points in group `seq`. The text names the order too (`Head.log`),
so that one of another data directory, or of a gateway in memory that is gone, is known for what it is.
"""

from __future__ import annotations

import re

Place = tuple[int, int]
"""`(seq, row)`: everything before it was seen."""

_text = re.compile(r"([0-9a-z]{1,32})-([0-9]{1,18})-([0-9]{1,9})")


def write(log: str, place: Place) -> str:
    """A cursor's text."""
    return f"{log}-{place[0]}-{place[1]}"


def read(text: str, log: str) -> Place | None:
    """The place that a cursor means in the order `log`; None when it means none."""
    found = _text.fullmatch(text)
    if found is None or found[1] != log:
        return None
    return int(found[2]), int(found[3])
