"""Exports and runs as a type checker sees them in a user's program. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from plexus import AsyncPlexusAPI, PlexusAPI, Run
from plexus.api.export import Exported, Progress
from plexus.api.runs import (
    AsyncLoadableRun,
    Comparison,
    Difference,
    LoadableRun,
    MetricComparison,
    Overlay,
    RunData,
    Summary,
)
from plexus.domain.run import Judgement

if TYPE_CHECKING:
    from typing_extensions import assert_type


def heard(progress: Progress) -> None:
    assert_type(progress.share, float)
    assert_type(progress.size_bytes, int)


def a_reader_exports(api: PlexusAPI, run: Run) -> None:
    made = api.export("day.csv", sources="drone-01", last=timedelta(days=1), on_progress=heard)
    assert_type(made, Exported)
    assert_type(made.path, Path)
    assert_type(made.rows, int)
    assert_type(made.start, datetime)
    api.export(Path("run.mcap"), run=run, overwrite=True)
    api.export(Path("run.mcap"), run=run.run_id, metrics=["a", "b"], resolution="1m")
    api.export()  # type: ignore[call-arg]
    api.export("day.csv", last=3600)  # type: ignore[arg-type]


def a_reader_compares(api: PlexusAPI) -> None:
    first, second = api.runs.list("drone-01")[:2]
    assert_type(first, LoadableRun)
    assert_type(first.load("motor.rpm"), RunData)
    assert_type(first.test_result, Judgement | None)
    found = api.runs.compare(first, second, second.run_id, metrics="motor.rpm")
    assert_type(found, Comparison)
    assert_type(found["motor.rpm"], MetricComparison)
    assert_type(found["motor.rpm"].summaries, Sequence[Summary | None])
    assert_type(found["motor.rpm"].differences, Sequence[Difference | None])
    assert_type(found.overlay("motor.rpm"), Overlay)


async def a_backend_does_the_same(api: AsyncPlexusAPI) -> None:
    assert_type(await api.export("day.parquet"), Exported)
    run = await api.runs.get("r1")
    assert_type(run, AsyncLoadableRun)
    assert_type(await run.load(), RunData)
    assert_type(await api.runs.compare(run, "r2"), Comparison)
