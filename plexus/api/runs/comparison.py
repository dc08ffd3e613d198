"""Two runs or more beside each other, aligned at their beginnings (T+0): a table of differences and an overlay."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from plexus.api.runs.data import RunData
from plexus.api.runs.summaries import Difference, Summary, difference, finite, summary_of
from plexus.api.tables.needs import need
from plexus.domain.errors import QueryError
from plexus.domain.run import Judgement, Run
from plexus.domain.series import Series
from plexus.domain.values import Value

HEAD = ("metric", "run", "count", "min", "max", "avg", "last", "Δ min", "Δ max", "Δ avg", "Δ last")


@attrs.frozen
class ComparisonRow:
    """One metric of one run; the differences are from the first run. Units are the metric's own (`unit`)."""

    metric: str
    unit: str | None
    run_id: str
    name: str
    count: int
    min: float | None
    max: float | None
    avg: float | None
    last: Value | None
    diff_count: int | None
    diff_min: float | None
    diff_max: float | None
    diff_avg: float | None
    diff_last: float | None


@attrs.frozen
class MetricComparison:
    """One metric in every run.

    Attributes:
        metric: its name.
        unit: what its numbers are in; None when nobody said.
        summaries: of each run, in their order; None for a run without a value of it.
        differences: of each run from the first; None where one of the two has no value.
    """

    metric: str
    unit: str | None
    summaries: Sequence[Summary | None]
    differences: Sequence[Difference | None]


@attrs.frozen
class OverlayLine:
    """One run's curve: `value[i]` was `seconds[i]` seconds after the run began. Finite numbers only."""

    run: Run
    seconds: Sequence[float]
    value: Sequence[float]


@attrs.frozen
class Overlay:
    """One metric of every run on one axis, seconds since T+0; of buckets the averages."""

    metric: str
    unit: str | None
    lines: Sequence[OverlayLine]

    def to_pandas(self) -> Any:
        """A data frame with a column a run, named by its id, over `seconds`; needs the extra `tables`."""
        pandas = need("pandas", "to_pandas()")
        columns = {
            line.run.run_id: pandas.Series(line.value, index=line.seconds, dtype="float64").groupby(level=0).last()
            for line in self.lines
        }
        frame = pandas.DataFrame(columns)
        frame.index.name = "seconds"
        return frame

    def plot(self, ax: Any = None) -> Any:
        """Draw it; needs the extra `notebook`. `ax` is the matplotlib Axes to draw on, and is returned.

        Raises QueryError when no run has a number of this metric.
        """
        pyplot = need("matplotlib.pyplot", "plot()")
        drawable = [line for line in self.lines if line.seconds]
        if not drawable:
            raise QueryError(f"there is nothing to plot: no run has a number of {self.metric!r}")
        if ax is None:
            _, ax = pyplot.subplots()
        for line in drawable:
            ax.plot(line.seconds, line.value)
        ax.set_xlabel("seconds since the run began")
        # Text, and not what matplotlib would set as a formula.
        ax.set_ylabel(_literal(_with_unit(self.metric, self.unit)))
        ax.legend([_literal(_called(line.run)) for line in drawable])
        return ax


@attrs.frozen(repr=False)
class Comparison:
    """Runs beside each other.

    Attributes:
        runs: in the order in which they were named; the first is what the others are compared with.
        interval: "raw" or the length of the buckets that it is made of.
        metrics: by metric, sorted. Of runs of the whole organisation a metric is `source/metric`.
        data: what was loaded of each run.
    """

    runs: Sequence[Run]
    interval: str
    metrics: Mapping[str, MetricComparison]
    data: Sequence[RunData]

    def __getitem__(self, metric: str) -> MetricComparison:
        return self.metrics[metric]

    @property
    def verdicts(self) -> Sequence[Judgement | None]:
        """How each run was judged by its criteria; None for one that has none, or is running."""
        return [run.test_result for run in self.runs]

    def overlay(self, metric: str) -> Overlay:
        """One metric of every run over the seconds since it began. QueryError when no run has it."""
        if metric not in self.metrics:
            known = ", ".join(self.metrics) or "none"
            raise QueryError(f"no run has a metric {metric!r}; there are: {known[:500]}")
        lines = [_line(data, metric) for data in self.data]
        return Overlay(metric, self.metrics[metric].unit, lines)

    def rows(self) -> Iterator[ComparisonRow]:
        """A row for each metric and each run that has it. Needs no library."""
        for one in self.metrics.values():
            for run, summary, diff in zip(self.runs, one.summaries, one.differences, strict=True):
                if summary is not None:
                    yield _row(one, run, summary, diff)

    def to_pandas(self) -> Any:
        """The rows as a data frame; needs the extra `tables`."""
        names = [field.name for field in attrs.fields(ComparisonRow)]
        rows = [attrs.astuple(row, recurse=False) for row in self.rows()]
        return need("pandas", "to_pandas()").DataFrame(rows, columns=names)

    def __repr__(self) -> str:
        return f"<Comparison: {len(self.metrics)} metrics of {', '.join(map(_called, self.runs))}>"

    def __str__(self) -> str:
        rows = [HEAD, *map(_cells, self.rows())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(_padded, range(len(HEAD)), row, widths)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        body = "".join(_html_row("td", _cells(row)) for row in self.rows())
        return f"<table><thead>{_html_row('th', HEAD)}</thead><tbody>{body}</tbody></table>"


def compared(data: Sequence[RunData], interval: str, units: Mapping[str, str | None]) -> Comparison:
    """The comparison of what was loaded; `units` by metric."""
    names = sorted({name for one in data for name in one.series})
    metrics = {name: _metric(name, units.get(name), data) for name in names}
    return Comparison([one.run for one in data], interval, metrics, data)


def _metric(name: str, unit: str | None, data: Sequence[RunData]) -> MetricComparison:
    summaries = [summary_of(one.series[name]) if name in one.series else None for one in data]
    return MetricComparison(name, unit, summaries, [difference(one, summaries[0]) for one in summaries])


def _line(data: RunData, metric: str) -> OverlayLine:
    series = data.series.get(metric)
    if series is None:
        return OverlayLine(data.run, [], [])
    values: Sequence[Any] = series.value if isinstance(series, Series) else series.avg
    known = [(at, float(value)) for at, value in zip(data.seconds(metric), values, strict=True) if finite(value)]
    return OverlayLine(data.run, [at for at, _ in known], [value for _, value in known])


def _row(one: MetricComparison, run: Run, summary: Summary, diff: Difference | None) -> ComparisonRow:
    changes = (None,) * 5 if diff is None else attrs.astuple(diff, recurse=False)
    sums = attrs.astuple(summary, recurse=False)
    return ComparisonRow(one.metric, one.unit, run.run_id, run.name, *sums, *changes)


def _cells(row: ComparisonRow) -> tuple[str, ...]:
    numbers = (row.min, row.max, row.avg, row.last, row.diff_min, row.diff_max, row.diff_avg, row.diff_last)
    return (_printable(_with_unit(row.metric, row.unit)), _printable(row.name), f"{row.count:,}", *map(_cell, numbers))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.6g}" if finite(value) else _printable(str(value))


def _padded(place: int, cell: str, width: int) -> str:
    return cell.ljust(width) if place < 2 else cell.rjust(width)


def _with_unit(metric: str, unit: str | None) -> str:
    return f"{metric} [{unit}]" if unit else metric


def _called(run: Run) -> str:
    return run.name if run.name == run.run_id else f"{run.name} ({run.run_id[:8]})"


def _literal(text: str) -> str:
    return text.replace("$", r"\$")


def _printable(text: str) -> str:
    """Text that a terminal shows and does not obey."""
    return "".join(char if char.isprintable() else "�" for char in text[:60])


def _html_row(cell: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in texts) + "</tr>"
