"""How far an export is: told to a callback, or shown as a bar where a person looks on and it takes long."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

import attrs

from plexus.api.history.progress import Progress as Bar

FETCHING_SHARE = 0.8
"""How much of the work fetching is taken to be; the rest is writing."""


@attrs.frozen
class Progress:
    """How far an export is.

    Attributes:
        phase: "fetching" while parts come in, "writing" while the file is made of them.
        parts_done, parts: of how many parts how many are done, in this phase.
        rows_done, rows: the same in rows; of buckets `rows` is what there are at most.
        size_bytes: so many bytes came over the network by now.
    """

    phase: Literal["fetching", "writing"]
    parts_done: int
    parts: int
    rows_done: int
    rows: int
    size_bytes: int

    @property
    def share(self) -> float:
        """How much of the whole is done, from 0 to 1."""
        done = self.parts_done / self.parts if self.parts else 1.0
        if self.phase == "fetching":
            return done * FETCHING_SHARE
        return FETCHING_SHARE + done * (1.0 - FETCHING_SHARE)


OnProgress = Callable[[Progress], None]


@contextlib.contextmanager
def shown(what: str, on_progress: OnProgress | None, bar: Bar | None = None) -> Iterator[OnProgress]:
    """What is to be told of the progress: the callback, else a bar where stderr is a terminal and it takes long.

    `bar` takes the place of that one, for tests.
    """
    if on_progress is not None:
        yield on_progress
        return
    with bar or Bar(f"export {what}") as shown_bar:
        yield lambda progress: shown_bar.tell(progress.share, progress.rows_done)
