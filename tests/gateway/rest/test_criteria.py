from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.store.memory import MemoryStore
from plexus.domain.run import OPERATORS, Criterion, Run
from plexus.domain.values import Value
from plexus.gateway.rest import criteria
from plexus.gateway.rest.criteria import judge
from plexus.ports.store import Question, RawSeries, Submission, Window
from plexus.protocol.columns import Columns

MS = 1_000_000


def _store(*rows: tuple[str, str, int, Value], org: str = "acme") -> MemoryStore:
    store = MemoryStore()
    for source_id, metric, t_ns, value in rows:
        columns = Columns()
        columns.add(source_id, metric, t_ns, is_event=False, value=value, tags=None, run_id=None)
        store.commit([Submission(org, source_id, columns, t_ns)])
    return store


def _run(*pass_criteria: Criterion, source_id: str | None = "rig") -> Run:
    return Run("r", "r", source_id, "completed", 10.0, 20.0, pass_criteria=pass_criteria)


@pytest.mark.parametrize(
    ("operator", "value", "passes"),
    [
        (">", 1, False),
        (">=", 1, True),
        ("<", 3, False),
        ("<=", 3, True),
        ("=", 2, False),
        ("!=", 4, True),
        ("!=", 2, False),
    ],
)
def test_every_sample_has_to_satisfy_a_criterion(operator: str, value: float, passes: bool) -> None:
    store = _store(*(("rig", "t", (11 + index) * MS, sample) for index, sample in enumerate((1, 2, 3))))
    assert judge(store, "acme", _run(Criterion("t", operator, value))).passed is passes


def test_a_criterion_without_a_sample_fails() -> None:
    store = _store(("rig", "other", 15 * MS, 1), ("arm", "t", 15 * MS, 1))
    assert not judge(store, "acme", _run(Criterion("t", ">", 0))).passed


def test_only_samples_inside_the_run_count_its_ends_included() -> None:
    store = _store(
        ("rig", "t", 10 * MS - 1, -1), ("rig", "t", 10 * MS, 1), ("rig", "t", 20 * MS, 1), ("rig", "t", 20 * MS + 1, -1)
    )
    assert judge(store, "acme", _run(Criterion("t", ">", 0))).passed


def test_a_run_passes_when_all_criteria_do_and_each_is_told() -> None:
    store = _store(("rig", "t", 15 * MS, 5), ("rig", "u", 15 * MS, 5))
    result = judge(store, "acme", _run(Criterion("t", ">", 0, "warm"), Criterion("u", ">", 9)))
    assert not result.passed
    assert [(one.label, one.passed) for one in result.criteria_results] == [("warm", True), ("", False)]


def test_a_run_of_the_organisation_is_judged_by_every_source_of_it() -> None:
    store = _store(("rig", "t", 15 * MS, 5), ("arm", "t", 15 * MS, -5))
    assert not judge(store, "acme", _run(Criterion("t", ">", 0), source_id=None)).passed
    assert judge(store, "acme", _run(Criterion("t", ">", -9), source_id=None)).passed
    assert not judge(store, "other", _run(Criterion("t", ">", -9), source_id=None)).passed


@pytest.mark.parametrize("sample", ["5", True, [5], math.nan])
def test_what_is_no_number_satisfies_only_inequality(sample: Value) -> None:
    store = _store(("rig", "t", 15 * MS, sample))
    passed = {operator: judge(store, "acme", _run(Criterion("t", operator, 5))).passed for operator in OPERATORS}
    assert passed == {operator: operator == "!=" for operator in OPERATORS}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12), max_size=40), st.integers(0, 3))
def test_pages_hold_every_sample_once_in_order(offsets: Sequence[int], page: int) -> None:
    times = sorted(offsets)
    store = _store(*(("rig", "t", 10 * MS + offset, index) for index, offset in enumerate(times)))
    before, criteria.PAGE_ROWS = criteria.PAGE_ROWS, page + 1
    try:
        window = Window(10 * MS, 10 * MS + 13)
        assert list(criteria.pages(store, "acme", "rig", "t", window, Question())) == list(range(len(times)))
    finally:
        criteria.PAGE_ROWS = before


# --- long runs, judged by buckets -------------------------------------------------------------------------------

HOUR_MS = 3_600_000.0


class Watched(MemoryStore):
    """Notes which windows are read sample by sample."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[Window] = []

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
        self.read.append(window)
        return super().raw(org, source_id, metrics, window, limit, question=question)


def _long(values: Sequence[Value], step_ms: int = 10_000) -> Watched:
    store, columns = Watched(), Columns()
    for index, value in enumerate(values):
        columns.add("rig", "t", index * step_ms * MS, is_event=False, value=value, tags=None, run_id=None)
    store.commit([Submission("acme", "rig", columns, 1)])
    return store


def _long_run(*pass_criteria: Criterion) -> Run:
    return Run("r", "r", "rig", "completed", 0.0, 2 * HOUR_MS, pass_criteria=pass_criteria)


@pytest.mark.parametrize(
    ("operator", "value", "passes"),
    [(">", 0, True), (">=", 1, True), ("<", 700, False), ("<=", 720, True), ("=", 5, False), ("!=", 800, True)],
)
def test_a_long_run_is_judged_without_reading_a_sample_where_buckets_say_it(
    operator: str, value: float, passes: bool
) -> None:
    store = _long(range(1, 721))
    assert judge(store, "acme", _long_run(Criterion("t", operator, value))).passed is passes
    assert store.read == []


def test_samples_are_read_only_of_buckets_that_do_not_say_it() -> None:
    store = _long(range(1, 721))
    assert not judge(store, "acme", _long_run(Criterion("t", "!=", 303))).passed
    (window,) = store.read
    assert (window.end_ns - window.start_ns) == 60_000 * MS


def test_text_among_numbers_fails_a_long_run() -> None:
    values: list[Value] = list(range(1, 721))
    values[400] = "hot"
    store = _long(values)
    passed = {operator: judge(store, "acme", _long_run(Criterion("t", operator, 0))).passed for operator in OPERATORS}
    assert passed == {operator: operator == "!=" for operator in OPERATORS}


def test_whole_numbers_that_no_float_can_be_are_told_apart() -> None:
    store = _long([2**53 + 1] * 720)
    assert judge(store, "acme", _long_run(Criterion("t", ">", 2.0**53))).passed
    assert store.read


_samples = st.one_of(
    st.integers(-2, 2), st.sampled_from([0.5, -0.0, math.nan, math.inf, -math.inf, "1", True, 2**53 + 1])
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_samples, max_size=30), st.sampled_from(sorted(OPERATORS)), st.integers(-2, 2))
def test_buckets_judge_as_samples_do(values: Sequence[Value], operator: str, value: float) -> None:
    criterion = Criterion("t", operator, value)
    store = _long(values, step_ms=20_000)
    naive = bool(values) and all(criterion.holds(sample) for sample in values)
    assert judge(store, "acme", _long_run(criterion)).passed is naive
