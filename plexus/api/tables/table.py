"""What a columnar answer can be made into: arrays, data frames, Arrow. Each needs only its own library and numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from plexus.api.tables.libraries import Arrow, Library, Pandas, Polars
from plexus.api.tables.needs import need
from plexus.domain.errors import QueryError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    from numpy.typing import NDArray

    from plexus.api.tables.columns import Column

Aggregate = Literal["avg", "min", "max", "count", "last"]
TIME = "time"


class Table:
    """A mixin for answers that have `_columns()`: columns by name, all with the same fields.

    Wide tables have one row a moment and one column a metric (a source, for the fleet); several values of a metric at
    one moment are as many rows. Long ones have one row a value, in the order of the answer. Numbers are doubles; a
    column that has no value at a moment has NaN there, or null. Times are UTC, in nanoseconds.
    """

    __slots__ = ()
    _KEY = "metric"

    def _columns(self) -> dict[str, Column]:
        raise NotImplementedError

    def _is_raw(self) -> bool:
        return False

    def to_numpy(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Arrays by metric and field: `["battery.voltage"]["time"]` is datetime64[ns] (UTC), `["value"]` the values.

        Buckets have `min`, `max`, `avg`, `count` and `last` in place of `value`. Numbers are float64, text and what is
        mixed are objects. Raises ConfigurationError when numpy is not installed.
        """
        need("numpy", "to_numpy()")
        return {name: {TIME: column.t_ns.view("M8[ns]"), **column.fields} for name, column in self._columns().items()}

    def to_pandas(self, *, long: bool = False, aggregate: Aggregate = "avg") -> pd.DataFrame:
        """A pandas DataFrame: wide, its index the time (UTC, ns); or `long`, with columns `time`, `metric`, `value`.

        Of buckets, a wide table has the `aggregate`, a long one all of them. In a long table `text` has what is no
        number. Raises ConfigurationError when pandas is not installed.
        """
        library = Pandas("to_pandas()")
        frame: pd.DataFrame
        if long:
            frame = library.module.DataFrame(self._long(library), copy=False)
        else:
            rows, found = self._wide(aggregate)
            frame = library.module.DataFrame(found, index=library.index(rows, TIME), copy=False)
        return frame

    def to_polars(self, *, long: bool = False, aggregate: Aggregate = "avg") -> pl.DataFrame:
        """A polars DataFrame with the column `time` (Datetime ns, UTC); see `to_pandas`. Mixed values are text.

        Raises ConfigurationError when polars is not installed.
        """
        library = Polars("to_polars()")
        frame: pl.DataFrame
        if long:
            frame = library.module.DataFrame(self._long(library))
        else:
            rows, found = self._wide(aggregate)
            columns = {name: _typed(values) for name, values in found.items()}
            times = self._time_column(found, library.times(rows))
            frame = library.module.DataFrame({**times, **columns}, nan_to_null=True)
        return frame

    def to_arrow(self, *, long: bool = False, aggregate: Aggregate = "avg") -> Any:
        """A pyarrow.Table with the column `time` (timestamp[ns, UTC]); see `to_pandas`. Mixed values are text.

        Raises ConfigurationError when pyarrow is not installed.
        """
        library = Arrow("to_arrow()")
        need("numpy", "to_arrow()")
        if long:
            return library.module.table(self._long(library))
        rows, found = self._wide(aggregate)
        # NaN is a hole here, as it is in a data frame; the long form keeps them apart.
        columns = {name: library.module.array(_typed(values), from_pandas=True) for name, values in found.items()}
        return library.module.table({**self._time_column(found, library.times(rows)), **columns})

    # --- the two shapes ---------------------------------------------------------------------------------------------

    def _wide(self, aggregate: Aggregate) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        need("numpy", "a table")
        from plexus.api.tables import wide  # it loads numpy

        columns = self._columns()
        field = "value" if self._is_raw() else aggregate
        for column in columns.values():
            if field not in column.fields:
                allowed = ", ".join(column.fields)
                raise QueryError(f"aggregate={aggregate!r} is not in this answer; it has {allowed}")
        return wide.joined(columns, field)

    def _long(self, library: Library) -> dict[str, Any]:
        need("numpy", "a table")
        import numpy as np

        columns = self._columns()
        codes = np.repeat(np.arange(len(columns), dtype=np.int32), [len(column.t_ns) for column in columns.values()])
        made = {TIME: library.times(_stacked([column.t_ns for column in columns.values()], np.dtype(np.int64)))}
        made[self._KEY] = library.names(codes, list(columns))
        for field in next(iter(columns.values())).fields if columns else self._fields():
            parts = [column.fields[field] for column in columns.values()]
            if field == "count":
                made[field] = _stacked(parts, np.dtype(np.int64))
            elif field in ("value", "last"):
                made |= _halves(library, field, parts)
            else:
                numbers = _stacked(parts, np.dtype(np.float64))
                made[field] = library.numbers(numbers, np.isnan(numbers))
        return made

    def _fields(self) -> tuple[str, ...]:
        return ("value",) if self._is_raw() else ("min", "max", "avg", "count", "last")

    def _time_column(self, found: Mapping[str, Any], moments: Any) -> dict[str, Any]:
        if TIME in found:
            raise QueryError(
                f"a {self._KEY} is called {TIME!r}, as the column of times is: use long=True or to_pandas()"
            )
        return {TIME: moments}


def _stacked(arrays: list[Any], dtype: Any) -> Any:
    import numpy as np

    return np.concatenate(arrays, dtype=dtype, casting="unsafe") if arrays else np.empty(0, dtype)


def _halves(library: Library, field: str, parts: list[Any]) -> dict[str, Any]:
    """Values of any type as a column of numbers and one of what is no number."""
    import numpy as np

    from plexus.api.tables.columns import split

    found = [split(part) for part in parts]
    numbers = _stacked([part.numbers for part in found], np.dtype(np.float64))
    missing = _stacked([part.missing for part in found], np.dtype(np.bool_))
    texts = [text for part in found for text in part.texts]
    return {field: library.numbers(numbers, missing), _TEXT_OF[field]: library.texts(texts)}


_TEXT_OF = {"value": "text", "last": "last_text"}


def _typed(values: Any) -> Any:
    """Values for a library whose columns have one type: what is mixed becomes text."""
    from plexus.api.tables.columns import texts

    if values.dtype != object:
        return values
    listed = values.tolist()
    return listed if {type(item) for item in listed} <= {bool, type(None)} else texts(values)
