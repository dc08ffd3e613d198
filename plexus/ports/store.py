"""The store port: what the gateway keeps of points. `commit` is the truth, the rest answers questions about it.

All times are nanoseconds since 1970 UTC, and milliseconds in answers; windows are half open, `start_ns <= t < end_ns`.
Every method may be called from any thread; `commit` by one at a time. `org` keeps organisations apart: nothing
crosses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from plexus.domain.event import Event
from plexus.domain.loss import Loss
from plexus.domain.series import BucketSeries, Series
from plexus.domain.values import Value
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import Columns
from plexus.protocol.ledger import Verdict


@attrs.frozen
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


@attrs.frozen
class Receipt:
    """What became of a submission.

    Attributes:
        verdict: "store", or why it was not: a repeat, a gap before it, a fork. Without a batch name always "store".
        stored: how many points were stored: all of them, or 0.
        upto: its stream's watermark after it (0 without a batch name).
    """

    verdict: Verdict
    stored: int
    upto: int = 0


@attrs.frozen
class Window:
    """A question's stretch of time, half open, ns since 1970 UTC."""

    start_ns: int
    end_ns: int


@attrs.frozen
class RawSeries:
    """Raw series by metric; `truncated` when `limit` rows (over all metrics together, oldest first) cut the window."""

    series: Mapping[str, Series]
    truncated: bool


class Store(Protocol):
    """Truth and questions about it.

    Contract:
    - when `commit` returns, what its receipts call stored survives a power cut, together with the watermarks;
      when it raises StoreError, nothing of the group is stored and no watermark moved;
    - a value that is none of the domain's (an object of a class, an integer over 64 bits) is a StoreError of the whole
      group: whoever decodes keeps it out;
    - receipts come in the order of submissions; within a group earlier submissions count for later ones;
    - streams are kept by (org, stream): a repeat is a repeat under whatever source it comes;
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

    def raw(self, org: str, source_id: str, metrics: Sequence[str] | None, window: Window, limit: int) -> RawSeries:
        """Raw values of the named metrics (None: all) of one source."""
        ...

    def buckets(
        self,
        org: str,
        source_ids: Sequence[str] | None,
        metrics: Sequence[str] | None,
        window: Window,
        bucket_ms: int,
    ) -> Mapping[str, Mapping[str, BucketSeries]]:
        """Aggregates by source and metric (None: all of them).

        Buckets start at whole multiples of `bucket_ms` since 1970, before it too; the window cuts the first and last.
        `min`, `max` and `avg` are floats over the finite numbers (a bool is none), `count` counts every value.
        """
        ...

    def events(
        self, org: str, source_id: str, window: Window, name: str | None, limit: int, *, newest: bool
    ) -> list[Event]:
        """Events in ascending time; when there are more than `limit`, the oldest ones, or with `newest` the newest."""
        ...

    def losses(self, org: str, source_id: str) -> Sequence[Loss]:
        """What the source's devices declared to have dropped, one for each reason, sorted by it."""
        ...

    def close(self) -> None:
        """Finish and let go of files."""
        ...
