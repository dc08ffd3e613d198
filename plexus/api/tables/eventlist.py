"""Events as a list that can be made into a table."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from plexus.api.tables.libraries import Arrow, Library, Pandas, Polars
from plexus.api.tables.needs import need
from plexus.api.tables.pictures import SHOWN, moment, printable, shown_value
from plexus.domain.event import Event

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

HEAD = ("time (UTC)", "event", "value", "tags")


class EventList(list[Event]):
    """Events, oldest first.

    Its tables have the columns `time` (UTC, ns), `name`, `value` (a double, null or NaN for what is no number), `text`
    (what is no number: text as it is, anything else as JSON), `tags` (a JSON object) and `source_id`. Each method needs
    the library that it is named after, and numpy; it raises ConfigurationError without them.
    """

    __slots__ = ()

    def to_pandas(self) -> pd.DataFrame:
        """A pandas DataFrame, a row an event."""
        library = Pandas("to_pandas()")
        frame: pd.DataFrame = library.module.DataFrame(self._made(library, "to_pandas()"))
        return frame

    def to_polars(self) -> pl.DataFrame:
        """A polars DataFrame, a row an event."""
        library = Polars("to_polars()")
        frame: pl.DataFrame = library.module.DataFrame(self._made(library, "to_polars()"))
        return frame

    def to_arrow(self) -> Any:
        """A pyarrow.Table, a row an event."""
        library = Arrow("to_arrow()")
        return library.module.table(self._made(library, "to_arrow()"))

    def _made(self, library: Library, what: str) -> dict[str, Any]:
        need("numpy", what)
        from plexus.api.tables import columns  # it loads numpy

        values = columns.split(columns.objects(event.value for event in self))
        return {
            "time": library.times(columns.times([event.timestamp_ms for event in self])),
            "name": library.texts([event.name for event in self]),
            "value": library.numbers(values.numbers, values.missing),
            "text": library.texts(values.texts),
            "tags": library.texts([columns.dumped(dict(event.tags)) for event in self]),
            "source_id": library.texts([event.source_id for event in self]),
        }

    def __rich_console__(self, _console: Any, _options: Any) -> Iterator[Any]:
        table = need("rich.table", "a picture").Table(*HEAD, title=f"{len(self):,} events", title_justify="left")
        make = need("rich.text", "a picture").Text
        for row in self._shown():
            table.add_row(*map(make, row))
        yield table
        if len(self) > SHOWN:
            yield make(f"{len(self) - SHOWN:,} older ones are not shown")

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in self._shown())
        head = "".join(f"<th>{text}</th>" for text in HEAD)
        older = f"<p>{len(self) - SHOWN:,} older ones are not shown</p>" if len(self) > SHOWN else ""
        caption = f"<caption>{len(self):,} events</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{older}"

    def _shown(self) -> Iterator[tuple[str, str, str, str]]:
        for event in self[-SHOWN:]:
            tags = ", ".join(f"{name}={text}" for name, text in event.tags.items())
            yield moment(event.timestamp_ms), printable(event.name), shown_value(event.value), printable(tags)
