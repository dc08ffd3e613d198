"""Judging a run by its criteria, on what is stored of it. Blocking; called in a thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from plexus.domain.run import Criterion, Run
from plexus.domain.values import Value
from plexus.ports.store import Store, Window

PAGE_ROWS = 50_000
NS_PER_MS = 1_000_000


@attrs.frozen
class CriterionResult:
    """One criterion with what became of it."""

    metric: str
    operator: str
    value: float
    label: str
    passed: bool


@attrs.frozen
class Judgement:
    """The judgement of a run: passed when every criterion is."""

    passed: bool
    criteria_results: Sequence[CriterionResult]


def judge(store: Store, org: str, run: Run) -> Judgement:
    """Judge a run that has ended. A criterion passes if every sample of its metric inside the run satisfies it, and
    fails when there is none. A run of the whole organisation is judged by the samples of every source.
    """
    assert run.ended_ms is not None
    window = Window(round(run.started_ms * NS_PER_MS), round(run.ended_ms * NS_PER_MS) + 1)
    sources = sorted(store.sources(org)) if run.source_id is None else [run.source_id]
    results = [
        CriterionResult(
            criterion.metric,
            criterion.operator,
            criterion.value,
            criterion.label,
            _passes(criterion, _samples(store, org, sources, criterion.metric, window)),
        )
        for criterion in run.pass_criteria
    ]
    return Judgement(all(result.passed for result in results), results)


def _passes(criterion: Criterion, samples: Iterator[Value]) -> bool:
    seen = False
    for sample in samples:
        if not criterion.holds(sample):
            return False
        seen = True
    return seen


def _samples(store: Store, org: str, sources: Sequence[str], metric: str, window: Window) -> Iterator[Value]:
    for source_id in sources:
        yield from _pages(store, org, source_id, metric, window)


def _pages(store: Store, org: str, source_id: str, metric: str, window: Window) -> Iterator[Value]:
    """All samples without holding all: a window with more than a page is halved until each half fits."""
    pending = [window]
    while pending:
        part = pending.pop()
        middle = (part.start_ns + part.end_ns) // 2
        # Samples of one and the same nanosecond cannot be parted; they are read in one page whatever their number.
        limit = PAGE_ROWS if middle > part.start_ns else 2**31 - 1
        found = store.raw(org, source_id, [metric], part, limit)
        if found.truncated:
            pending += [Window(middle, part.end_ns), Window(part.start_ns, middle)]
        elif metric in found.series:
            yield from found.series[metric].value
