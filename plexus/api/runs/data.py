"""The data of one run, on the axis of wall time and on that of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Union

import attrs

from plexus.api.tables import QueryResult
from plexus.domain.run import Run
from plexus.domain.series import BucketSeries, Series

AnySeries = Union[Series, BucketSeries]


@attrs.frozen
class RunData:
    """What is stored of a run: of its source, or (a run of the whole organisation) of every source, in its window.

    Attributes:
        run: the run.
        start, end: the window in UTC, `end` not included; of a run that is still running, until it was loaded.
        sources: the data by source.
        result: all of it as one result, for `.to_pandas()`, `.plot()` and the like. Its metrics are named as
            `series` names them.
    """

    run: Run
    start: datetime
    end: datetime
    sources: Mapping[str, QueryResult]
    result: QueryResult

    @property
    def series(self) -> Mapping[str, AnySeries]:
        """The series by metric; in a run of the whole organisation by `source/metric`."""
        return self.result.series

    def __getitem__(self, metric: str) -> AnySeries:
        return self.series[metric]

    def seconds(self, metric: str) -> Sequence[float]:
        """When each value of a metric was, in seconds since the run began (T+0), to the microsecond.

        A bucket stands where it begins; the first one may begin before the run, and stands at 0.
        """
        began_ms = self.run.started_ms
        return [round(max(0.0, at_ms - began_ms) / 1_000.0, 6) for at_ms in self.series[metric].timestamp_ms]


def run_data(run: Run, start: datetime, end: datetime, sources: Mapping[str, QueryResult], interval: str) -> RunData:
    """The data of a run, of what was found of each source."""
    if run.source_id is not None and list(sources) == [run.source_id]:
        return RunData(run, start, end, sources, sources[run.source_id])
    series = {
        f"{source_id}/{metric}": one for source_id, found in sources.items() for metric, one in found.series.items()
    }
    return RunData(run, start, end, sources, QueryResult(interval, auto_downsampled=False, series=series))
