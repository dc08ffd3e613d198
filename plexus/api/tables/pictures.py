"""How an answer looks in a terminal (rich), in a notebook and as a plot. What devices sent is never markup."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import attrs

from plexus.api.tables.needs import need
from plexus.domain.errors import QueryError
from plexus.domain.values import is_number

if TYPE_CHECKING:
    from plexus.api.tables.columns import Column

SHOWN = 20
"""Lines of a picture; what is more is counted."""

SPARKS = "▁▂▃▄▅▆▇█"
SPARK_CELLS, TEXT_CHARS = 20, 40
HEAD = ("", "values", "min", "avg", "max", "newest", "")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@attrs.frozen
class Line:
    """One metric's line of a picture, as plain text."""

    name: str
    count: int
    low: str
    mean: str
    high: str
    newest: str
    spark: str

    def cells(self) -> tuple[str, ...]:
        """In the order of HEAD."""
        return (self.name, f"{self.count:,}", self.low, self.mean, self.high, self.newest, self.spark)


class Pictured:
    """A mixin for answers with `_parts()` (columns by name), `_headline()` and `_is_cut()`."""

    __slots__ = ()

    def _parts(self) -> Mapping[str, Any]:
        raise NotImplementedError

    def _headline(self) -> str:
        raise NotImplementedError

    def _is_cut(self) -> bool:
        raise NotImplementedError

    def _columns(self) -> dict[str, Column]:
        raise NotImplementedError

    def __repr__(self) -> str:
        names = [printable(name) for name in self._parts()]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"<{type(self).__name__}: {self._headline()} of {shown or 'nothing'}{_cut(self._is_cut())}>"

    def __rich_console__(self, _console: Any, _options: Any) -> Iterator[Any]:
        table = need("rich.table", "a picture").Table(
            title=self._headline() + _cut(self._is_cut()), title_justify="left"
        )
        make = need("rich.text", "a picture").Text
        for place, head in enumerate(HEAD):
            table.add_column(head, justify="right" if 1 <= place <= 5 else "left", no_wrap=True)
        for line in self._lines():
            table.add_row(*map(make, line.cells()))
        yield table
        if self._hidden():
            yield make(f"and {self._hidden():,} more")

    def _repr_html_(self) -> str:
        rows = "".join(_html_row("td", line.cells()) for line in self._lines())
        more = f"<p>and {self._hidden():,} more</p>" if self._hidden() else ""
        head = html.escape(self._headline() + _cut(self._is_cut()))
        return (
            f"<table><caption>{head}</caption><thead>{_html_row('th', HEAD)}</thead><tbody>{rows}</tbody></table>{more}"
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw every metric that has numbers over time (UTC), of buckets the average with a band from min to max.

        `ax` is the matplotlib Axes to draw on, a new one if none is given; it is returned. Raises ConfigurationError
        when matplotlib is not installed, QueryError when no metric has numbers.
        """
        pyplot = need("matplotlib.pyplot", "plot()")
        drawable = {name: column for name, column in self._columns().items() if _has_numbers(column)}
        if not drawable:
            raise QueryError("there is nothing to plot: no metric in this answer has a number")
        if ax is None:
            _, ax = pyplot.subplots()
        for name, column in drawable.items():
            _draw(ax, name, column)
        ax.set_xlabel("time (UTC)")
        # Text, and not what matplotlib would set as a formula.
        ax.legend([name.replace("$", r"\$") for name in drawable])
        return ax

    def _hidden(self) -> int:
        return max(0, len(self._parts()) - SHOWN)

    def _lines(self) -> list[Line]:
        parts = self._parts()
        return [line_of(name, parts[name]) for name in list(parts)[:SHOWN]]


def line_of(name: str, part: Any) -> Line:
    """One metric's line: `part` is a Series, a BucketSeries or a FleetSeries."""
    raw = hasattr(part, "value")
    middle = part.value if raw else part.avg
    finite = _finite(middle)
    lows, highs = (finite, finite) if raw else (_finite(part.min), _finite(part.max))
    last = part.value if raw else getattr(part, "last", ()) or part.avg
    return Line(
        name=printable(name),
        count=len(part.timestamp_ms),
        low=_number(min(lows)) if lows else "",
        mean=_number(mean) if (mean := _mean(finite)) is not None else "",
        high=_number(max(highs)) if highs else "",
        newest=shown_value(last[-1]) if len(last) else "",
        spark=sparkline(middle),
    )


def sparkline(values: Sequence[Any], cells: int = SPARK_CELLS) -> str:
    """A curve of at most so many characters, each the mean of its share; a space where no finite number is."""
    width = max(1, math.ceil(len(values) / cells))
    means = [_mean(values[start : start + width]) for start in range(0, len(values), width)]
    known = [mean for mean in means if mean is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    return "".join(" " if mean is None else SPARKS[_level(mean, low, high)] for mean in means)


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey."""
    cut = text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
    return "".join(char if char.isprintable() else "�" for char in cut)


def _level(mean: float, low: float, high: float) -> int:
    # Halved first: the difference of two doubles can be more than a double holds.
    span = high / 2 - low / 2
    return len(SPARKS) // 2 - 1 if not span else min(len(SPARKS) - 1, int((mean / 2 - low / 2) / span * len(SPARKS)))


def _mean(values: Sequence[Any]) -> float | None:
    numbers = _finite(values)
    if not numbers:
        return None
    total = math.fsum(numbers) if max(map(abs, numbers)) < _LARGE else math.inf
    return total / len(numbers) if math.isfinite(total) else sum(number / len(numbers) for number in numbers)


_LARGE = 1e290
"""Doubles below this can be added up by the thousand million."""


def _finite(values: Sequence[Any]) -> list[float]:
    if set(map(type, values)) == {float}:  # a step of Python for each of a million is a second
        return list(filter(math.isfinite, values))
    return [float(value) for value in values if is_number(value) and math.isfinite(value)]


def _has_numbers(column: Column) -> bool:
    field = column.fields.get("value", column.fields.get("avg"))
    return field is not None and field.dtype != object and len(field) > 0 and not bool((field != field).all())


def _draw(ax: Any, name: str, column: Column) -> None:
    times = column.t_ns.view("M8[ns]")
    if "value" in column.fields:
        ax.plot(times, column.fields["value"].astype("float64"), label=name)
        return
    (line,) = ax.plot(times, column.fields["avg"], label=name)
    ax.fill_between(times, column.fields["min"], column.fields["max"], color=line.get_color(), alpha=0.2, linewidth=0)


def _html_row(cell: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in texts) + "</tr>"


def _cut(truncated: bool) -> str:
    return " (cut short: there is more in the window)" if truncated else ""


def moment(timestamp_ms: float) -> str:
    """Milliseconds since 1970 UTC for a person."""
    try:
        return (_EPOCH + timedelta(milliseconds=timestamp_ms)).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        return f"{timestamp_ms:g} ms"


def _number(value: float) -> str:
    return f"{value:,.6g}"


def shown_value(value: Any) -> str:
    """A value for a person."""
    if is_number(value):
        return _number(value)
    return printable("" if value is None else value if isinstance(value, str) else repr(value))
