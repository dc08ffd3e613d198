"""Tables as a type checker sees them. Checked by mypy, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plexus import AsyncPlexusAPI, PlexusAPI
from plexus.api.tables import BucketRow, FleetMetrics, QueryResult, Row

if TYPE_CHECKING:
    import polars as pl
    from typing_extensions import assert_type


def a_reader_makes_tables(api: PlexusAPI) -> None:
    result = api.metrics.load("drone-01", ["a", "b"], last="1h", interval="raw", at_once=2, progress=False)
    assert_type(result, QueryResult)
    assert_type(result.to_polars(), pl.DataFrame)
    result.to_numpy()["a"]["time"].astype("int64")
    for row in result:
        assert_type(row, Row | BucketRow)
        if isinstance(row, Row):
            timestamp_ms, _metric, _value = row
            assert_type(timestamp_ms, float)
    for batch in api.metrics.iterate("drone-01", start=0):
        assert_type(batch, QueryResult)
        assert_type(len(batch), int)
    assert_type(api.fleet.metrics("cpu"), FleetMetrics)
    result.to_pandas(aggregate="median")  # type: ignore[arg-type]
    result.to_pandas("long")  # type: ignore[call-arg, arg-type]
    api.metrics.load("drone-01", last=5)  # type: ignore[arg-type]


async def an_awaited_reader_makes_tables(api: AsyncPlexusAPI) -> None:
    assert_type(await api.metrics.load("drone-01"), QueryResult)
    async for batch in api.metrics.iterate("drone-01"):
        assert_type(batch, QueryResult)
