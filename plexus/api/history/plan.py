"""Which windows to ask for, one after the other or several at once, until a whole stretch of time is there. Pure.

A data API answers a raw question with so many rows at most and says `truncated` when there are more; which rows those
are is not in its contract. So an answer that was cut is never used, but for a guess of how dense the points lie: its
window is asked for again in narrower pieces. What is used are complete answers about half open windows that touch and
do not overlap, which is why no value is missing at a seam, and none is there twice, whatever is stamped there.

A window of one step (a microsecond, which is as fine as the API takes a moment) that is still cut is divided by metric.
One metric that has more values in it than an answer holds cannot be fetched: that is said, and nothing is left out.

    plan = Plan(span, metrics)
    piece = plan.take()                     None: nothing to ask for now
    plan.put(piece, page)                   what came back
    plan.ready()                            pages that are complete, in the order of time
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import attrs

P = TypeVar("P")

GROWTH = 4
"""How many times wider the next piece is at most; what is empty is crossed in few steps all the same."""

FULLNESS = 0.7
"""How much of what an answer holds a piece is made to have, so that few are cut."""


@attrs.frozen
class Span:
    """A stretch of time, half open, in microseconds since 1970 UTC; it is cut at whole multiples of `step_us`."""

    start_us: int
    end_us: int
    step_us: int = 1

    @property
    def length_us(self) -> int:
        """How long it is."""
        return self.end_us - self.start_us


@attrs.define(eq=False)
class Piece:
    """A window to ask for. `metrics` None: all of them."""

    start_us: int
    end_us: int
    metrics: tuple[str, ...] | None
    asked: bool = False
    done: bool = False
    whole: bool = False
    """To be asked for as it is: it is taken to be empty."""

    @property
    def length_us(self) -> int:
        """How long it is."""
        return self.end_us - self.start_us


@attrs.frozen
class Found(Generic[P]):
    """What came back for a piece: the answer, how many rows it has, whether it was cut, and then the times of its first
    and last row.
    """

    page: P
    rows: int
    truncated: bool
    first_us: int | None = None
    last_us: int | None = None


class TooDense(Exception):  # noqa: N818 - told to the reader as a QueryError, in words that know the source
    """One metric has more values within one step than an answer holds."""

    def __init__(self, piece: Piece, rows: int) -> None:
        super().__init__(f"more than {rows} values of one metric within one step")
        self.piece = piece
        self.rows = rows


class Plan(Generic[P]):
    """The pieces of one stretch of time.

    `rows` is how many rows a piece is to have at most; it becomes fewer when an answer is cut that has fewer, unless
    `told` says that the server's limit is known. `widest_us` is how long a piece is at most. `ahead` bounds the pieces
    that are asked for or answered and not yet taken by `ready`, and so the memory.
    """

    def __init__(
        self,
        span: Span,
        metrics: Sequence[str] | None,
        *,
        rows: int,
        ahead: int,
        widest_us: int | None = None,
    ) -> None:
        self.span = span
        self.rows = rows
        self.told = False
        self._ahead = ahead
        self._width = max(span.step_us, min(widest_us or span.length_us, span.length_us))
        self._widest = self._width
        self._pieces: deque[Piece] = deque(
            [Piece(span.start_us, span.end_us, None if metrics is None else (*metrics,))]
        )
        self._pages: dict[int, P] = {}
        self._unnamed: list[Piece] = []
        self.reached_us = span.start_us

    @property
    def finished(self) -> bool:
        """Whether everything was handed out by `ready`."""
        return not self._pieces

    @property
    def wants_names(self) -> bool:
        """Whether the names of all metrics are needed to go on; give them to `name`."""
        return bool(self._unnamed)

    @property
    def share(self) -> float:
        """How much of the time was handed out, from 0 to 1."""
        return (self.reached_us - self.span.start_us) / self.span.length_us

    def take(self) -> Piece | None:
        """The next piece to ask for; None when there is none now: answers are to come, or pages to be taken."""
        for place, piece in enumerate(self._pieces):
            if place >= self._ahead:
                return None
            if not piece.asked:
                self._cut(place, piece)
                piece.asked = True
                return piece
        return None

    def put(self, piece: Piece, found: Found[P]) -> None:
        """Note what came back for a piece. Raises TooDense."""
        if not found.truncated:
            piece.done = True
            self._pages[id(piece)] = found.page
            self._learn(piece, found.rows)
        elif piece.length_us > self.span.step_us:
            if found.rows and not self.told:
                self.rows = max(1, min(self.rows, int(found.rows * FULLNESS)))
            self._width = self._narrower(piece, found)
            self._again(piece, found.first_us)
        elif piece.metrics is None:
            self._unnamed.append(piece)
        else:
            self._divide(piece, found.rows)

    def name(self, metrics: Sequence[str]) -> None:
        """The names of all metrics, for pieces that have to be divided by them."""
        for piece in self._unnamed:
            piece.metrics = (*metrics,)
            piece.asked = False
            self._divide(piece, self.rows)
        self._unnamed = []

    def ready(self) -> Iterator[P]:
        """The complete pages up to the first that is not there yet, in the order of time."""
        while self._pieces and self._pieces[0].done:
            piece = self._pieces.popleft()
            self.reached_us = piece.end_us
            yield self._pages.pop(id(piece))

    # --- how wide -------------------------------------------------------------------------------------------------

    def _cut(self, place: int, piece: Piece) -> None:
        """Leave the piece no longer than it is to be; the rest is a piece behind it."""
        if piece.whole:
            return
        step = self.span.step_us
        end = (piece.start_us + self._width) // step * step
        if end <= piece.start_us:
            end = (piece.start_us // step + 1) * step
        if end < piece.end_us:
            self._pieces.insert(place + 1, Piece(end, piece.end_us, piece.metrics))
            piece.end_us = end

    def _learn(self, piece: Piece, rows: int) -> None:
        fitting = int(piece.length_us * min(GROWTH, self.rows / max(rows, 1)))
        if rows > self.rows:
            self._width = max(self.span.step_us, min(self._width, fitting))
        else:
            self._width = min(self._widest, max(self._width, fitting))

    def _narrower(self, piece: Piece, found: Found[P]) -> int:
        half = piece.length_us // 2
        if found.first_us is not None and found.last_us is not None and found.last_us > found.first_us:
            half = min(half, (found.last_us - found.first_us) * self.rows // found.rows)
        return max(self.span.step_us, half)

    def _again(self, piece: Piece, first_us: int | None) -> None:
        """Have it asked for once more. Many servers answer with the oldest rows: then nothing is before the first."""
        piece.asked = False
        middle = (
            piece.start_us if first_us is None or piece.whole else first_us // self.span.step_us * self.span.step_us
        )
        piece.whole = piece.start_us + self._width < middle < piece.end_us
        if piece.whole:
            self._pieces.insert(self._pieces.index(piece) + 1, Piece(middle, piece.end_us, piece.metrics))
            piece.end_us = middle

    def _divide(self, piece: Piece, rows: int) -> None:
        metrics = piece.metrics or ()
        if len(metrics) < 2:
            raise TooDense(piece, rows)
        place = self._pieces.index(piece)
        middle = len(metrics) // 2
        piece.metrics, piece.asked = metrics[:middle], False
        self._pieces.insert(place + 1, Piece(piece.start_us, piece.end_us, metrics[middle:]))
