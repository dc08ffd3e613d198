"""How answers look: in a terminal, in a notebook, as a plot."""

from __future__ import annotations

import io
import math
from typing import Any

import matplotlib as mpl
import pytest
from rich.console import Console

from plexus.api.tables import FleetMetrics, QueryResult
from plexus.api.tables.pictures import SHOWN, SPARK_CELLS, printable, sparkline
from plexus.domain.errors import QueryError
from plexus.domain.series import BucketSeries, FleetSeries, Series

T_MS = 1_746_969_660_000

mpl.use("agg")


def raw(truncated: Any = False, **metrics: Any) -> QueryResult:
    series = {name: Series([T_MS + n for n in range(len(values))], values) for name, values in metrics.items()}
    return QueryResult("raw", auto_downsampled=False, series=series, truncated=truncated)


def drawn(result: Any, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(result)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_terminal_shows_a_line_a_metric_with_a_curve() -> None:
    text = drawn(raw(volts=[1.0, 2.0, 3.0, 4.0], state=["IDLE", "RUNNING"]))
    assert "6 values" in text
    volts = next(line for line in text.splitlines() if "volts" in line)
    assert all(part in volts for part in ("4", "1", "2.5", "▁▃▆█"))
    assert "RUNNING" in next(line for line in text.splitlines() if "state" in line)


def test_what_a_device_sent_is_no_markup_and_moves_no_cursor() -> None:
    result = raw(**{"[red]a[/red]\x1b[2J": ["[bold]x[/bold]\x1b]0;title\x07"]})
    text = drawn(result)
    assert "[red]a[/red]�[2J" in text
    assert "[bold]x[/bold]�]0;title�" in text
    assert "\x1b" not in text + repr(result)


def test_a_notebook_shows_a_table_with_everything_escaped() -> None:
    html = raw(**{"<script>alert(1)</script>": ["<img src=x onerror=alert(2)>"]})._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<tr>") == 2


def test_a_picture_says_that_an_answer_was_cut_short() -> None:
    result = raw(truncated=True, a=[1.0])
    assert all("cut short" in text for text in (drawn(result), result._repr_html_(), repr(result)))
    assert "cut short" not in repr(raw(a=[1.0]))


def test_many_metrics_are_counted_and_not_shown() -> None:
    result = raw(**{f"m{n:03d}": [1.0] for n in range(SHOWN + 7)})
    assert "and 7 more" in drawn(result)
    assert "and 7 more" in result._repr_html_()
    assert len(repr(result)) < 200


def test_buckets_and_fleets_have_pictures_too() -> None:
    buckets = QueryResult("1m", True, {"a": BucketSeries([T_MS], [1.0], [3.0], [2.0], [2], ["RUN"])})
    assert "1 buckets of 1m" in drawn(buckets)
    assert "RUN" in drawn(buckets)
    fleet = FleetMetrics("cpu", "1m", 1, 1, [FleetSeries("rig", True, [T_MS], [2.0], [1.0], [3.0], [2])])
    assert "rig" in fleet._repr_html_()


@pytest.mark.parametrize(
    ("values", "curve"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([5.0, 5.0], "▄▄"),
        ([1.0, None, math.nan, "x", True, 2.0], "▁    █"),
        ([-1.7e308, 1.7e308], "▁█"),
        ([1.7e308] * 30, "▄" * 15),
        ([], ""),
        (["a"], ""),
    ],
)
def test_a_curve_spans_the_values_and_leaves_room_for_holes(values: list[Any], curve: str) -> None:
    assert sparkline(values) == curve


def test_a_curve_of_many_values_is_no_longer_than_its_cells() -> None:
    assert len(sparkline(list(range(100_003)))) <= SPARK_CELLS


def test_long_text_is_cut() -> None:
    assert printable("x" * 100) == "x" * 39 + "…"


def test_a_plot_has_a_line_for_each_metric_of_numbers() -> None:
    ax = raw(a=[1.0, 2.0], on=[True, False], state=["x"]).plot()
    assert [line.get_label() for line in ax.get_lines()] == ["a", "on"]
    assert ax.get_lines()[0].get_ydata().tolist() == [1.0, 2.0]
    close(ax)


def test_a_plot_of_buckets_has_a_band_and_goes_where_it_is_told() -> None:
    figure = mpl.figure.Figure()
    ax = figure.subplots()
    result = QueryResult(
        "1m",
        True,
        {"a$b$": BucketSeries([T_MS, T_MS + 60_000], [1.0, 2.0], [3.0, 4.0], [2.0, 3.0], [2, 2], [3.0, 4.0])},
    )
    assert result.plot(ax) is ax
    assert len(ax.collections) == 1
    assert ax.get_legend().get_texts()[0].get_text() == r"a\$b\$"
    figure.canvas.draw()  # a formula that is none would fail here


def test_a_plot_of_nothing_but_text_is_refused() -> None:
    with pytest.raises(QueryError, match="nothing to plot"):
        raw(state=["x"]).plot()


def close(ax: Any) -> None:
    from matplotlib import pyplot

    pyplot.close(ax.figure)
