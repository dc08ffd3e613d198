"""The store port: what the gateway keeps of points. `commit` is the truth, the rest answers questions about it.

All times are nanoseconds since 1970 UTC, and milliseconds in answers; windows are half open, `start_ns <= t < end_ns`.
Every method may be called from any thread; `commit` by one at a time. `org` keeps organisations apart: nothing
crosses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import attrs

from plexus.domain import quick
from plexus.domain.errors import QueryError
from plexus.domain.event import Event
from plexus.domain.loss import Loss
from plexus.domain.series import BucketSeries, Series
from plexus.domain.values import Value
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Columns
from plexus.protocol.ledger import Verdict


@quick.frozen
class Submission:
    """Points that arrived together, stored all or none. `source_id` is the session's or the envelope's.

    `losses` are what the device declares, under the batch's name, to have dropped: kept once, as points are.
    """

    org: str
    source_id: str
    columns: Columns
    arrival_ns: int
    batch: BatchName | None = None
    losses: Sequence[Loss] = ()


@quick.frozen
class Receipt:
    """What became of a submission.

    Attributes:
        verdict: "store", or why it was not: a repeat, a gap before it, a fork. Without a batch name always "store".
        stored: how many points were stored: all of them, or 0.
        upto: its stream's watermark after it (0 without a batch name).
        seq: the number of the group that it was committed in, in the store's order of commits (see `Store.replay`).
    """

    verdict: Verdict
    stored: int
    upto: int = 0
    seq: int = attrs.field(default=0, eq=False)


@attrs.frozen
class Window:
    """A question's stretch of time, half open, ns since 1970 UTC."""

    start_ns: int
    end_ns: int


@attrs.frozen
class RawSeries:
    """Raw series by metric; `truncated` when `limit` rows cut the window.

    The limit counts over all metrics together, oldest first, and equal times by the metrics' names.
    """

    series: Mapping[str, Series]
    truncated: bool


@attrs.frozen
class Selection:
    """Points of one organisation: of these sources and metrics (None: all), inside the window (None: of any time)."""

    source_ids: Sequence[str] | None = None
    metrics: Sequence[str] | None = None
    window: Window | None = None


@attrs.frozen
class StreamInfo:
    """One stream of batches: everything up to `watermark` is stored or was given up; last heard of at `seen_ns`."""

    stream: str
    watermark: int
    seen_ns: int


@attrs.frozen
class Head:
    """The order of commits: its name, another one where numbers mean other groups, and the number of its last group."""

    log: str
    seq: int


@attrs.frozen
class Replayed:
    """A source's points by the numbers of their groups, ascending; `next_seq` is the group to go on with."""

    groups: Sequence[tuple[int, Columns]]
    next_seq: int


class Question:
    """What one question may cost, and the way to end it from outside: one object a question, made by who asks.

    The store calls `read` with the rows it is about to look at and `check` between steps; who waits calls `cancel` from
    any thread when the client left or time is up. Both end the question with QueryError.
    """

    def __init__(self, max_rows: int | None = None) -> None:
        self.rows = 0
        self._max_rows = max_rows
        self._reason = ""
        self._interrupt: Callable[[], None] | None = None

    def cancel(self, reason: str = "nobody waits for the answer any more") -> None:
        """End it: `check` raises from now on, and what runs in the database is interrupted."""
        self._reason = self._reason or reason
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()

    def check(self) -> None:
        """Raise QueryError when it was cancelled."""
        if self._reason:
            raise QueryError(f"the question was ended: {self._reason}")

    def read(self, rows: int) -> None:
        """The store is about to look at so many rows more; QueryError when that is over what it may."""
        self.check()
        self.rows += rows
        if self._max_rows is not None and self.rows > self._max_rows:
            raise QueryError(
                f"the question would read more than {self._max_rows} rows; narrow the window, name fewer sources or "
                "metrics, or take a longer interval"
            )

    @contextmanager
    def interrupted_by(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """While this lasts, `cancel` calls `interrupt`, from another thread: the adapter's way to stop what runs."""
        self._interrupt = interrupt
        try:
            self.check()
            yield
        finally:
            self._interrupt = None


class Store(Protocol):
    """Truth and questions about it.

    Contract:
    - when `commit` returns, what its receipts call stored survives a power cut, together with the watermarks;
      when it raises StoreError, nothing of the group is stored and no watermark moved;
    - a value that is none of the domain's (an object of a class, an integer over 64 bits) is a StoreError of the whole
      group: whoever decodes keeps it out;
    - receipts come in the order of submissions; within a group earlier submissions count for later ones;
    - streams are kept by (org, stream): a repeat is a repeat under whatever source it comes, and the first commit fixes
      the source: anything else of another one is a fork, moves no watermark, and is not stored. A renamed source is
      the same;
    - a stream that nobody heard of for 400 days may be let go of by `maintain`, and stays known as such, however the
      store is opened, copied, renamed in or removed from: every batch of it is a fork from then on, never stored as
      that of a new stream, and a warning in the log;
    - what a receipt calls stored is in every answer from then on, once; values come back as they went in, with their
      type: 1, 1.0, True and "1" are four values, NaN and -0.0 stay what they are;
    - series are ascending in time; equal times keep the order of commit;
    - metrics and events (by the point's class) are kept apart: `raw`, `buckets`, `names`, `latest` see metrics only;
    - declared losses are kept with the points, by the submission's source, and only under a batch's name: without one
      nobody could tell a repeat from a second loss;
    - what has nothing to show (a metric without a value in the window, a bucket, a source) is left out of an answer;
    - a method that cannot answer raises StoreError, also after `close`.
    """

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        """Store a group in one transaction."""
        ...

    def sources(self, org: str) -> Mapping[str, int]:
        """Every source that has points, with the arrival time of its submission that was committed last (ns)."""
        ...

    def names(self, org: str, source_id: str) -> list[str]:
        """Names of the source's metrics, sorted."""
        ...

    def latest(self, org: str, source_id: str) -> Mapping[str, tuple[int, Value]]:
        """The value with the highest time of each metric, by name, with that time (ns)."""
        ...

    def raw(
        self,
        org: str,
        source_id: str,
        metrics: Sequence[str] | None,
        window: Window,
        limit: int,
        *,
        question: Question | None = None,
    ) -> RawSeries:
        """Raw values of the named metrics (None: all) of one source."""
        ...

    def buckets(
        self,
        org: str,
        source_ids: Sequence[str] | None,
        metrics: Sequence[str] | None,
        window: Window,
        bucket_ms: int,
        *,
        question: Question | None = None,
    ) -> Mapping[str, Mapping[str, BucketSeries]]:
        """Aggregates by source and metric (None: all of them).

        Buckets start at whole multiples of `bucket_ms` since 1970, before it too; the window cuts the first and last.
        `min`, `max` and `avg` are floats over the finite numbers (a bool is none), `count` counts every value.
        """
        ...

    def events(
        self,
        org: str,
        source_id: str,
        window: Window,
        name: str | None,
        limit: int,
        *,
        newest: bool,
        question: Question | None = None,
    ) -> list[Event]:
        """Events in ascending time; when there are more than `limit`, the oldest ones, or with `newest` the newest."""
        ...

    def losses(self, org: str, source_id: str) -> Sequence[Loss]:
        """What the source's devices declared to have dropped, one for each reason, sorted by it."""
        ...

    def head(self) -> Head:
        """Where the order of commits is. Groups that stored points are numbered from 1 on, over restarts too."""
        ...

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        """The source's points of the groups from number `first` on, each group whole, in the order of commit.

        It ends at the newest group, or earlier: when the points are `max_points` or more, or when it has looked far
        enough; what follows begins at `next_seq`. None when a group from `first` on is no longer kept in this order,
        when `first` is past the group that comes next, or when a source of this name got another one after a group
        from `first` on: under the new name everything is replayed, under the old one nothing could be told apart.
        """
        ...

    def streams(self, org: str, source_id: str) -> Sequence[StreamInfo]:
        """The streams whose first batch came from this source, the one heard of last first; none that was let go of."""
        ...

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        """Metrics' points, ascending by source, metric and time, in parts of at most 50,000, on one consistent cut.

        Memory is bounded by a few parts, whatever the selection holds. Close the iterator when it is not read to its
        end.
        """
        ...

    def count(self, org: str, selection: Selection, *, question: Question | None = None) -> int:
        """How many points `scan` would give."""
        ...

    def remove(self, org: str, selection: Selection) -> int:
        """Remove points, metrics and events alike, for ever; returns how many. Streams keep their watermarks.

        What is committed while it runs stays. A source or metric of which nothing is left is no longer known.
        """
        ...

    def rename(self, org: str, source_id: str, new: str) -> None:
        """Give a source, with all of its points and losses, another name; StoreError when that one has points."""
        ...

    def maintain(self, now_ns: int) -> bool:
        """Do a piece of housekeeping (sealing, merging, letting go of what is too old); whether there is more to do.

        Called again and again by one thread of the gateway's; a commit never waits for it for more than 50 ms.
        """
        ...

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy of everything into an empty folder, from which a store of this kind can start.

        Commits go on meanwhile. A store in memory raises StoreError.
        """
        ...

    def close(self) -> None:
        """Finish and let go of files."""
        ...
