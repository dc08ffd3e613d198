"""Judging a run by its criteria, on what is stored of it. Blocking; called in a thread.

A long run is judged by buckets first: by least, most and how many of the values are finite numbers, most buckets say by
themselves whether all of their samples satisfy a criterion, or that one does not. Samples are read only of buckets that
do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from plexus.domain.run import OPERATORS, Criterion, CriterionResult, Judgement, Run
from plexus.domain.series import INTERVAL_MS, BucketSeries
from plexus.domain.values import Value
from plexus.ports.store import Question, Store, Window

PAGE_ROWS = 50_000
BUCKETS_AT_LEAST = 50
"""A window of fewer one-minute buckets than this is read as it is."""
BUCKETS_AT_MOST = 2_000
EXACT = 2**53
"""Whole numbers from here on are not all floats, and a bucket's least and most are."""
NS_PER_MS = 1_000_000


def judge(store: Store, org: str, run: Run, question: Question | None = None) -> Judgement:
    """Judge a run that has ended. A criterion passes if every sample of its metric inside the run satisfies it, and
    fails when there is none. A run of the whole organisation is judged by the samples of every source.

    Raises QueryError when `question` is ended, and StoreError.
    """
    assert run.ended_ms is not None
    window = Window(round(run.started_ms * NS_PER_MS), round(run.ended_ms * NS_PER_MS) + 1)
    sources = sorted(store.sources(org)) if run.source_id is None else [run.source_id]
    samples = _Samples(store, org, sources, window, question or Question())
    results = [
        CriterionResult(
            criterion.metric, criterion.operator, criterion.value, criterion.label, samples.satisfy(criterion)
        )
        for criterion in run.pass_criteria
    ]
    return Judgement(all(result.passed for result in results), results)


@attrs.frozen
class _Samples:
    """What is stored of some sources inside a window."""

    store: Store
    org: str
    sources: Sequence[str]
    window: Window
    question: Question

    def satisfy(self, criterion: Criterion) -> bool:
        """Whether there are samples, and all of them hold."""
        bucket_ms = _bucket_ms(self.window)
        if bucket_ms is None:
            parts = [(source_id, self.window) for source_id in self.sources]
            return _all_hold(criterion, self._values(criterion.metric, parts))
        found = self.store.buckets(
            self.org, self.sources, [criterion.metric], self.window, bucket_ms, question=self.question
        )
        undecided: list[tuple[str, Window]] = []
        for source_id, metrics in found.items():
            series = metrics[criterion.metric]
            for index, verdict in enumerate(_verdicts(criterion, series)):
                if verdict is False:
                    return False
                if verdict is None:
                    undecided.append((source_id, _part(self.window, series.timestamp_ms[index], bucket_ms)))
        if not undecided:
            return bool(found)
        return _all_hold(criterion, self._values(criterion.metric, _joined(undecided)))

    def _values(self, metric: str, parts: Iterable[tuple[str, Window]]) -> Iterator[Value]:
        for source_id, part in parts:
            yield from pages(self.store, self.org, source_id, metric, part, self.question)


def _all_hold(criterion: Criterion, samples: Iterator[Value]) -> bool:
    seen = False
    for sample in samples:
        if not criterion.holds(sample):
            return False
        seen = True
    return seen


def _verdicts(criterion: Criterion, series: BucketSeries) -> Iterator[bool | None]:
    """For each bucket whether all of its samples hold; None where only they can tell."""
    known = series.finite if len(series.finite) == len(series) else [-1] * len(series)
    for low, high, count, finite in zip(series.min, series.max, series.count, known, strict=True):
        if low is None or high is None or max(abs(low), abs(high)) >= EXACT:
            yield None
        else:
            yield _verdict(criterion, low, high, whole=finite == count)


def _verdict(criterion: Criterion, low: float, high: float, *, whole: bool) -> bool | None:
    """`whole`: every sample is a finite number. `low` and `high` are samples: where they fail, all fail."""
    holds = OPERATORS[criterion.operator]
    if not (holds(low, criterion.value) and holds(high, criterion.value)):
        return False
    if criterion.operator == "!=":
        # What is no number is unequal; what lies between the two may be equal.
        return None if low < criterion.value < high else True
    # What holds for the least and the most holds for all between; what is no number holds for none of these.
    return True if whole else None


def _bucket_ms(window: Window) -> int | None:
    """How long buckets are to be for a window; None where it is not worth it."""
    length_ms = (window.end_ns - window.start_ns) // NS_PER_MS
    if length_ms < BUCKETS_AT_LEAST * INTERVAL_MS["1m"]:
        return None
    fitting = (each for each in sorted(INTERVAL_MS.values()) if length_ms / each <= BUCKETS_AT_MOST)
    return next(fitting, max(INTERVAL_MS.values()))


def _part(window: Window, start_ms: float, bucket_ms: int) -> Window:
    start_ns = round(start_ms) * NS_PER_MS
    return Window(max(window.start_ns, start_ns), min(window.end_ns, start_ns + bucket_ms * NS_PER_MS))


def _joined(parts: Sequence[tuple[str, Window]]) -> Iterator[tuple[str, Window]]:
    """Neighbours of one source as one window, so that samples are not asked for bucket by bucket."""
    source_id, window = parts[0]
    for next_id, part in parts[1:]:
        if next_id == source_id and part.start_ns == window.end_ns:
            window = Window(window.start_ns, part.end_ns)
        else:
            yield source_id, window
            source_id, window = next_id, part
    yield source_id, window


def pages(store: Store, org: str, source_id: str, metric: str, window: Window, question: Question) -> Iterator[Value]:
    """All samples without holding all: a window with more than a page is halved until each half fits."""
    pending = [window]
    while pending:
        part = pending.pop()
        middle = (part.start_ns + part.end_ns) // 2
        # Samples of one and the same nanosecond cannot be parted; they are read in one page whatever their number.
        limit = PAGE_ROWS if middle > part.start_ns else 2**31 - 1
        found = store.raw(org, source_id, [metric], part, limit, question=question)
        if found.truncated:
            pending += [Window(middle, part.end_ns), Window(part.start_ns, middle)]
        elif metric in found.series:
            yield from found.series[metric].value
