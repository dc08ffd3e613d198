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
from plexus.ports.store import Submission, Window
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
        assert list(criteria._pages(store, "acme", "rig", "t", window)) == list(range(len(times)))
    finally:
        criteria.PAGE_ROWS = before
