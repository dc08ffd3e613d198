"""Summaries, differences and overlays of runs, of data that was loaded."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from plexus.api.pinned import moment
from plexus.api.runs import Comparison, Difference, RunData, Summary
from plexus.api.runs.comparison import compared
from plexus.api.runs.data import run_data
from plexus.api.runs.summaries import difference, summary_of
from plexus.api.tables import QueryResult
from plexus.domain.errors import ConfigurationError, QueryError
from plexus.domain.run import CriterionResult, Judgement, Run
from plexus.domain.series import BucketSeries, Series

AT_MS = 1_746_969_660_000.0


def a_run(run_id: str, source_id: str | None = "rig", began_ms: float = AT_MS, **fields: Any) -> Run:
    return Run(run_id, f"the {run_id}", source_id, "completed", began_ms, began_ms + 60_000, **fields)


def data_of(run: Run, interval: str = "raw", **series: Series | BucketSeries) -> RunData:
    return data_by_source(run, {run.source_id or "rig": series}, interval)


def data_by_source(run: Run, sources: Mapping[str, Mapping[str, Any]], interval: str = "raw") -> RunData:
    found = {name: QueryResult(interval, auto_downsampled=False, series=dict(own)) for name, own in sources.items()}
    return run_data(run, moment(0), moment(1), found, interval)


def ramp(*values: Any, began_ms: float = AT_MS) -> Series:
    return Series([began_ms + 500.0 * place for place in range(len(values))], list(values))


def of_two(first: Series | BucketSeries, second: Series | BucketSeries, unit: str | None = "rpm") -> Comparison:
    late = a_run("late", "other-rig", AT_MS + 3_600_000)
    return compared([data_of(a_run("early"), rpm=first), data_of(late, rpm=second)], "raw", {"rpm": unit})


# --- summaries ------------------------------------------------------------------------------------------------


def test_a_series_is_summed_up_in_five_numbers() -> None:
    assert summary_of(ramp(4, 1.0, 7)) == Summary(count=3, min=1.0, max=7.0, avg=4.0, last=7)


def test_what_is_no_finite_number_is_counted_and_not_reckoned_with() -> None:
    series = ramp(2, "RUNNING", True, math.nan, math.inf, 4, {"x": 1})
    assert summary_of(series) == Summary(count=7, min=2.0, max=4.0, avg=3.0, last={"x": 1})


def test_text_has_a_count_and_a_newest_value() -> None:
    assert summary_of(ramp("IDLE", "RUNNING")) == Summary(count=2, last="RUNNING")


def test_a_series_without_values_has_no_summary() -> None:
    assert summary_of(Series()) is None
    assert summary_of(BucketSeries()) is None


def test_buckets_are_weighed_by_their_counts() -> None:
    buckets = BucketSeries([0.0, 6e4], [1.0, 3.0], [2.0, 9.0], [1.5, 5.0], [1, 3], [1.5, 9.0])
    assert summary_of(buckets) == Summary(count=4, min=1.0, max=9.0, avg=4.125, last=9.0)


def test_buckets_without_numbers_or_newest_values_leave_them_out() -> None:
    buckets = BucketSeries([0.0, 6e4], [None, 3.0], [None, 9.0], [None, 5.0], [4, 3])
    assert summary_of(buckets) == Summary(count=7, min=3.0, max=9.0, avg=5.0)
    assert summary_of(BucketSeries([0.0], [None], [None], [None], [4], ["x"])) == Summary(count=4, last="x")


def test_the_average_of_the_largest_numbers_is_a_number() -> None:
    summary = summary_of(ramp(1.7e308, 1.7e308, 1.7e308))
    assert summary is not None
    assert summary.avg == pytest.approx(1.7e308)


def test_a_difference_is_from_the_first_run() -> None:
    first, second = Summary(3, 1.0, 7.0, 4.0, 7), Summary(5, 0.5, 9.0, 4.5, "off")
    assert difference(second, first) == Difference(count=2, min=-0.5, max=2.0, avg=0.5, last=None)
    assert difference(second, None) is None
    assert difference(None, first) is None


# --- the data of a run ----------------------------------------------------------------------------------------


def test_seconds_are_counted_from_the_beginning_of_the_run() -> None:
    assert data_of(a_run("r"), rpm=ramp(1, 2, 3)).seconds("rpm") == [0.0, 0.5, 1.0]


def test_a_bucket_that_began_before_the_run_stands_at_its_beginning() -> None:
    buckets = BucketSeries([AT_MS - 30_000, AT_MS + 30_000], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1, 1])
    assert data_of(a_run("r"), "1m", rpm=buckets).seconds("rpm") == [0.0, 30.0]


def test_the_data_of_one_source_goes_by_metric() -> None:
    data = data_of(a_run("r"), rpm=ramp(1))
    assert data["rpm"] == ramp(1)
    assert data.result is data.sources["rig"]


def test_the_data_of_the_whole_organisation_goes_by_source_and_metric() -> None:
    data = data_by_source(a_run("r", None), {"arm": {"rpm": ramp(1)}, "rig": {"rpm": ramp(2)}})
    assert list(data.series) == ["arm/rpm", "rig/rpm"]
    assert [row.metric for row in data.result] == ["arm/rpm", "rig/rpm"]


# --- comparisons ----------------------------------------------------------------------------------------------


def test_runs_of_two_sources_are_compared_by_metric() -> None:
    found = of_two(ramp(1, 3), ramp(2, 6, 10, began_ms=AT_MS + 3_600_000))
    assert found["rpm"].summaries == [Summary(2, 1.0, 3.0, 2.0, 3), Summary(3, 2.0, 10.0, 6.0, 10)]
    assert found["rpm"].differences == [Difference(0, 0.0, 0.0, 0.0, 0.0), Difference(1, 1.0, 7.0, 4.0, 7.0)]
    assert found["rpm"].unit == "rpm"


def test_a_metric_that_one_run_lacks_has_no_difference() -> None:
    found = compared([data_of(a_run("a"), x=ramp(1)), data_of(a_run("b"), y=ramp(2))], "raw", {})
    assert list(found.metrics) == ["x", "y"]
    assert (found["y"].summaries[0], found["y"].differences) == (None, [None, None])
    assert [(row.metric, row.run_id) for row in found.rows()] == [("x", "a"), ("y", "b")]


def test_a_comparison_has_a_row_for_each_metric_and_run() -> None:
    first, second = of_two(ramp(1, 3), ramp(2, 6, 10)).rows()
    assert (first.metric, first.unit, first.run_id, first.count, first.diff_avg) == ("rpm", "rpm", "early", 2, 0.0)
    assert attrs.astuple(second)[2:] == ("late", "the late", 3, 2.0, 10.0, 6.0, 10, 1, 1.0, 7.0, 4.0, 7.0)


def test_the_verdicts_stand_beside_the_runs() -> None:
    verdict = Judgement(False, [CriterionResult("rpm", "<", 2.0, "slow", False)])
    runs = [data_of(a_run("a", test_result=verdict), rpm=ramp(1)), data_of(a_run("b"), rpm=ramp(1))]
    assert compared(runs, "raw", {}).verdicts == [verdict, None]


def test_an_overlay_aligns_the_runs_at_their_beginnings() -> None:
    overlay = of_two(ramp(1, "off", 3), ramp(2, 6, began_ms=AT_MS + 3_600_000)).overlay("rpm")
    assert [(line.seconds, line.value) for line in overlay.lines] == [
        ([0.0, 1.0], [1.0, 3.0]),
        ([0.0, 0.5], [2.0, 6.0]),
    ]


def test_an_overlay_of_buckets_is_of_their_averages() -> None:
    buckets = BucketSeries([AT_MS, AT_MS + 6e4], [1.0, None], [9.0, None], [5.0, None], [2, 1])
    (line,) = compared([data_of(a_run("r"), "1m", rpm=buckets)], "1m", {}).overlay("rpm").lines
    assert (line.seconds, line.value) == ([0.0], [5.0])


def test_a_run_without_the_metric_is_an_empty_line() -> None:
    found = compared([data_of(a_run("a"), x=ramp(1)), data_of(a_run("b"), y=ramp(2))], "raw", {})
    assert [len(line.seconds) for line in found.overlay("y").lines] == [0, 1]


def test_an_overlay_of_nothing_says_which_metrics_there_are() -> None:
    with pytest.raises(QueryError, match="no run has a metric 'volt'; there are: rpm"):
        of_two(ramp(1), ramp(2)).overlay("volt")


# --- how it looks ---------------------------------------------------------------------------------------------


def test_a_comparison_prints_as_a_table() -> None:
    head, first, second = str(of_two(ramp(1, 3), ramp(2, 6, 10))).splitlines()
    assert " ".join(head.split()) == "metric run count min max avg last Δ min Δ max Δ avg Δ last"
    assert first.split() == ["rpm", "[rpm]", "the", "early", "2", "1", "3", "2", "3", "0", "0", "0", "0"]
    assert second.split()[2:] == ["the", "late", "3", "2", "10", "6", "10", "1", "7", "4", "7"]


def test_what_devices_sent_is_shown_and_not_obeyed() -> None:
    run = Run("r", "<b>\x1b[31m", "rig", "completed", AT_MS, AT_MS)
    found = compared([data_by_source(run, {"rig": {"<script>": ramp("\x1b[0m<i>")}})], "raw", {})
    assert "\x1b" not in str(found)
    assert "<script>" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()
    assert "<i>" not in found._repr_html_()


def test_a_comparison_names_its_runs() -> None:
    assert repr(of_two(ramp(1), ramp(2))) == "<Comparison: 1 metrics of the early (early), the late (late)>"


def test_a_comparison_is_a_data_frame() -> None:
    frame = of_two(ramp(1, 3), ramp(2, 6, 10)).to_pandas()
    assert list(frame["run_id"]) == ["early", "late"]
    assert list(frame["diff_max"]) == [0.0, 7.0]


def test_an_overlay_is_a_data_frame_over_seconds() -> None:
    frame = of_two(ramp(1, 3), ramp(2, 6, 10, began_ms=AT_MS + 3_600_000)).overlay("rpm").to_pandas()
    assert list(frame.columns) == ["early", "late"]
    assert frame.index.name == "seconds"
    assert list(frame["late"]) == [2.0, 6.0, 10.0]
    assert frame["early"].isna().tolist() == [False, False, True]


def test_an_overlay_keeps_the_last_of_several_values_at_one_moment() -> None:
    twice = Series([AT_MS, AT_MS], [1, 2])
    assert list(of_two(twice, ramp(5)).overlay("rpm").to_pandas()["early"]) == [2.0]


def test_an_overlay_is_a_plot() -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    ax = of_two(ramp(1, 3), ramp(2, 6), unit="$/s").overlay("rpm").plot()
    assert [list(line.get_ydata()) for line in ax.get_lines()] == [[1.0, 3.0], [2.0, 6.0]]
    assert ax.get_xlabel() == "seconds since the run began"
    assert ax.get_ylabel() == r"rpm [\$/s]"
    pyplot.close(ax.figure)


def test_text_is_not_plotted() -> None:
    with pytest.raises(QueryError, match="nothing to plot"):
        of_two(ramp("on"), ramp("off")).overlay("rpm").plot()


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"plexus-python\[tables\]"):
        of_two(ramp(1), ramp(2)).to_pandas()
