"""What is done with runs beside listing them: their data, and how two or more compare.

data            the data of one run, with seconds since its beginning
comparison      the table of differences and the overlay of several runs
summaries       the sums behind that table
loading         what is asked for both, as steps
bound           runs that load themselves: what `api.runs` gives
sync, asynchronous      the two drivers
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.api.runs.bound import AsyncLoadableRun, LoadableRun
    from plexus.api.runs.comparison import Comparison, ComparisonRow, MetricComparison, Overlay, OverlayLine
    from plexus.api.runs.data import RunData
    from plexus.api.runs.summaries import Difference, Summary

_PLACES = {
    "AsyncLoadableRun": "bound",
    "Comparison": "comparison",
    "ComparisonRow": "comparison",
    "Difference": "summaries",
    "LoadableRun": "bound",
    "MetricComparison": "comparison",
    "Overlay": "comparison",
    "OverlayLine": "comparison",
    "RunData": "data",
    "Summary": "summaries",
}

__all__ = [
    "AsyncLoadableRun",
    "Comparison",
    "ComparisonRow",
    "Difference",
    "LoadableRun",
    "MetricComparison",
    "Overlay",
    "OverlayLine",
    "RunData",
    "Summary",
]


def __getattr__(name: str) -> Any:
    # Late, so that a program that only lists runs does not load what compares them.
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
