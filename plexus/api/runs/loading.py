"""What is asked to load runs and to compare them, as steps for both clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import attrs

from plexus.api import calls
from plexus.api.pinned import Window, moment, run_window
from plexus.api.requests import MetricNames
from plexus.api.runs.comparison import Comparison, compared
from plexus.api.runs.data import RunData, run_data
from plexus.api.steps import Ask, Steps, T
from plexus.domain.errors import ApiError, QueryError
from plexus.domain.run import Run
from plexus.domain.series import check_interval, choose_interval

AT_ONCE = 4
"""Requests at a time for the data of one source."""

RunName = Union[Run, str]
"""A run, or its id."""


@attrs.frozen
class Load:
    """Load a window of a source whole, and give back the result."""

    source_id: str
    metrics: MetricNames
    window: Window
    interval: str


Step = Union[Ask, Load]
RunSteps = Steps[Step, T]


def loaded(named: RunName, metrics: MetricNames, interval: str, now_ms: float) -> RunSteps[RunData]:
    """All data of a run. A run of the whole organisation is that of every source; QueryError when there is none."""
    check_interval(interval)
    run = yield from _known(named)
    window = run_window(run, now_ms)
    source_ids = [run.source_id] if run.source_id is not None else (yield from _all_sources())
    found = {}
    for source_id in source_ids:
        found[source_id] = yield Load(source_id, metrics, window, interval)
    return run_data(run, moment(window.start_us), moment(window.end_us), found, interval)


def comparing(
    named: Sequence[RunName], metrics: MetricNames, interval: str | None, now_ms: float
) -> RunSteps[Comparison]:
    """Runs beside each other. Without an interval it is that which suits the longest of them; the same for all."""
    if len(named) < 2:
        raise QueryError("compare takes two runs or more: name those that you want beside the first")
    if interval is not None:
        check_interval(interval)
    runs: list[Run] = []
    for one in named:
        run = yield from _known(one)
        runs.append(run)
    chosen = _suited(runs, now_ms) if interval is None else interval
    data: list[RunData] = []
    for run in runs:
        found = yield from loaded(run, metrics, chosen, now_ms)
        data.append(found)
    units = yield from _units(data)
    return compared(data, chosen, units)


def _known(named: RunName) -> RunSteps[Run]:
    if isinstance(named, Run):
        return named
    found: Run = yield Ask(calls.run(named))
    return found


def _all_sources() -> RunSteps[list[str]]:
    found = yield Ask(calls.sources(None))
    if not found:
        raise QueryError("this key sees no source, so the run has no data")
    return sorted(source.source_id for source in found)


def _suited(runs: Sequence[Run], now_ms: float) -> str:
    """The interval for the longest of these runs."""
    windows = [run_window(run, now_ms) for run in runs]
    longest_us = max(window.end_us - window.start_us for window in windows)
    return choose_interval(0, longest_us / 1_000)


def _units(data: Sequence[RunData]) -> RunSteps[dict[str, str | None]]:
    """What each metric is measured in, as the first run that knows it says."""
    units: dict[str, str | None] = {}
    asked: dict[str, dict[str, str | None]] = {}
    for one in data:
        for source_id in one.sources:
            if source_id not in asked:
                asked[source_id] = yield from _units_of(source_id)
            for metric, unit in asked[source_id].items():
                label = metric if one.run.source_id is not None else f"{source_id}/{metric}"
                units[label] = units.get(label) or unit
    return units


def _units_of(source_id: str) -> RunSteps[dict[str, str | None]]:
    try:
        found = yield Ask(calls.metric_details(source_id))
    except ApiError:
        return {}  # an older server knows names only; a comparison is worth having without units
    return {info.name: info.unit for info in found}
