"""Columns of several metrics side by side: one row a moment, holes where a metric has nothing then.

Several values of one metric at one moment are as many rows: the first of each metric stands in the first, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from plexus.api.tables.columns import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray


def joined(columns: Mapping[str, Column], field: str) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """The times of the rows, and one array a metric: what each column has in `field`."""
    found = list(columns.values())
    if not found:
        return np.empty(0, np.int64), {}
    t_ns = found[0].t_ns
    if all(column.t_ns is t_ns or np.array_equal(column.t_ns, t_ns) for column in found[1:]):
        return t_ns, {name: column.fields[field] for name, column in columns.items()}
    moments, first_row, rows = _rows([column.t_ns for column in found])
    spread = {name: _spread(column, field, moments, first_row, len(rows)) for name, column in columns.items()}
    return rows, spread


def _rows(times: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The moments, the first row of each, and each row's time."""
    moments = np.unique(np.concatenate(times))
    most = np.ones(len(moments), np.int64)
    for t_ns in times:
        if len(t_ns) > 1 and (t_ns[1:] == t_ns[:-1]).any():
            own, counts = np.unique(t_ns, return_counts=True)
            places = np.searchsorted(moments, own)
            most[places] = np.maximum(most[places], counts)
    first_row = np.cumsum(most) - most
    return moments, first_row, np.repeat(moments, most)


def _spread(
    column: Column, field: str, moments: NDArray[np.int64], first_row: NDArray[np.int64], count: int
) -> NDArray[Any]:
    values = column.fields[field]
    rows = first_row[np.searchsorted(moments, column.t_ns)] + _occurrence(column.t_ns)
    if len(values) == count and values.dtype != object:
        made = np.empty(count, values.dtype)
    elif np.issubdtype(values.dtype, np.number):
        made = np.full(count, np.nan)
    else:
        made = np.full(count, None, dtype=object)
    made[rows] = values
    return made


def _occurrence(t_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of some ascending times, how many equal ones stand before it."""
    places = np.arange(len(t_ns))
    starts = np.ones(len(t_ns), bool)
    np.not_equal(t_ns[1:], t_ns[:-1], out=starts[1:])
    found: NDArray[np.int64] = places - np.maximum.accumulate(np.where(starts, places, 0))
    return found
