"""What a reader's program sees of `PlexusAPI` and `AsyncPlexusAPI`. Checked by mypy and pyright, never run.

A line that must not check carries `type: ignore` with mypy's code; where it checks after all, mypy's
`warn_unused_ignores` fails the build.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from plexus import (
    ApiError,
    AsyncPlexusAPI,
    AuthenticationError,
    BucketSeries,
    CommandStatus,
    Delivery,
    Event,
    FleetHealth,
    FleetMetrics,
    Identity,
    LivePoint,
    MetricInfo,
    PlexusAPI,
    QueryResult,
    RateLimitedError,
    Removal,
    Run,
    SentCommand,
    Series,
    Source,
    SourceCommands,
    VideoFrame,
)
from plexus.api.runs import AsyncLoadableRun, Comparison, LoadableRun, RunData
from plexus.api.tables import EventList
from plexus.domain.asked import CommandStep, DeclaredCommand
from plexus.domain.run import Criterion, Judgement
from plexus.domain.values import Value

if TYPE_CHECKING:
    from typing_extensions import assert_type


def a_script_asks(api: PlexusAPI) -> None:
    assert_type(api.sources.list("online"), list[Source])
    assert_type(api.sources.get("a1"), Source)
    assert_type(api.sources.delivery("a1"), Delivery)
    assert_type(api.sources.register("a1", metadata={"hull": 7}), str)
    assert_type(api.sources.rename("a1", "a2"), Source)
    assert_type(api.metrics.names("a1"), list[str])
    assert_type(api.metrics.details("a1"), list[MetricInfo])
    assert_type(api.metrics.describe("a1", "volt", unit="V", low=10), MetricInfo)
    assert_type(api.metrics.latest("a1"), dict[str, Value])
    assert_type(api.metrics.query("a1", ["volt"], last="1h")["volt"], Series | BucketSeries)
    assert_type(api.metrics.load("a1"), QueryResult)
    assert_type(api.metrics.remove("a1", "volt", confirm=3), Removal)
    assert_type(api.events.list("a1", tail=5), EventList)
    assert_type(api.fleet.health(), FleetHealth)
    assert_type(api.fleet.metrics("volt"), FleetMetrics)
    assert_type(api.commands.send("a1", "reboot", {"delay_s": 3}), SentCommand)
    assert_type(api.commands.list("a1", limit=5), SourceCommands)
    assert_type(api.commands.get("c7"), CommandStatus)
    assert_type(api.runs.list("a1", status="running"), list[LoadableRun])
    assert_type(api.runs.get("r1"), LoadableRun)
    assert_type(api.runs.start("thermal", pass_criteria=[Criterion("volt", ">", 11)]), LoadableRun)
    assert_type(api.runs.end("r1", "aborted"), LoadableRun)
    assert_type(api.runs.get("r1").load(), RunData)
    assert_type(api.runs.compare("r1", "r2"), Comparison)
    assert_type(api.whoami(), Identity)
    for batch in api.metrics.iterate("a1", last="7d"):
        assert_type(batch, QueryResult)


async def a_backend_asks(api: AsyncPlexusAPI) -> None:
    assert_type(await api.sources.list("online"), list[Source])
    assert_type(await api.sources.get("a1"), Source)
    assert_type(await api.sources.delivery("a1"), Delivery)
    assert_type(await api.sources.register("a1", metadata={"hull": 7}), str)
    assert_type(await api.sources.rename("a1", "a2"), Source)
    assert_type(await api.metrics.names("a1"), list[str])
    assert_type(await api.metrics.details("a1"), list[MetricInfo])
    assert_type(await api.metrics.describe("a1", "volt", unit="V", low=10), MetricInfo)
    assert_type(await api.metrics.latest("a1"), dict[str, Value])
    assert_type((await api.metrics.query("a1", ["volt"], last="1h"))["volt"], Series | BucketSeries)
    assert_type(await api.metrics.load("a1"), QueryResult)
    assert_type(await api.metrics.remove("a1", "volt", confirm=3), Removal)
    assert_type(await api.events.list("a1", tail=5), EventList)
    assert_type(await api.fleet.health(), FleetHealth)
    assert_type(await api.fleet.metrics("volt"), FleetMetrics)
    assert_type(await api.commands.send("a1", "reboot", {"delay_s": 3}), SentCommand)
    assert_type(await api.commands.list("a1", limit=5), SourceCommands)
    assert_type(await api.commands.get("c7"), CommandStatus)
    assert_type(await api.runs.list("a1", status="running"), list[AsyncLoadableRun])
    assert_type(await api.runs.get("r1"), AsyncLoadableRun)
    assert_type(await api.runs.start("thermal", pass_criteria=[Criterion("volt", ">", 11)]), AsyncLoadableRun)
    assert_type(await api.runs.end("r1", "aborted"), AsyncLoadableRun)
    assert_type(await (await api.runs.get("r1")).load(), RunData)
    assert_type(await api.runs.compare("r1", "r2"), Comparison)
    assert_type(await api.whoami(), Identity)
    async for batch in api.metrics.iterate("a1", last="7d"):
        assert_type(batch, QueryResult)


def a_script_follows(api: PlexusAPI) -> None:
    with api.metrics.stream("a1", "volt") as points, api.events.stream() as events, api.video.stream("a1") as frames:
        for point in points:
            assert_type(point, LivePoint)
        for event in events:
            assert_type(event, Event)
        for frame in frames:
            assert_type(frame, VideoFrame)


async def a_backend_follows(api: AsyncPlexusAPI) -> None:
    async with api.metrics.stream("a1", "volt") as points, api.events.stream() as events:
        async for point in points:
            assert_type(point, LivePoint)
        async for event in events:
            assert_type(event, Event)
    async with api.video.stream("a1") as frames:
        async for frame in frames:
            assert_type(frame, VideoFrame)


def windows_are_named_as_people_think(api: PlexusAPI, when: datetime) -> None:
    api.metrics.query("a1", last=timedelta(hours=1))
    api.metrics.query("a1", "volt", start=when, end="2026-05-01T12:00:00Z", interval="1m")
    api.metrics.query("a1", ("volt", "rpm"), start=1_777_629_600, end=1_777_633_200.5)
    api.metrics.query("a1", last=3600)  # type: ignore[arg-type]
    api.metrics.query("a1", start=[when])  # type: ignore[arg-type]
    api.metrics.query("a1", {"volt": 1}, {})  # type: ignore[arg-type, call-arg]
    api.metrics.query()  # type: ignore[call-arg]


async def clients_are_opened_and_closed() -> None:
    with PlexusAPI("plx_key", "https://api.example", 5.0, retries=1, retry_budget_s=2.5) as api:
        assert_type(api, PlexusAPI)
        assert_type(api.base_url, str)
    async with AsyncPlexusAPI(timeout=5, transport=httpx.MockTransport(_answer)) as awaited:
        assert_type(awaited, AsyncPlexusAPI)
        assert_type(await awaited.close(), None)
    PlexusAPI(5)  # type: ignore[arg-type]
    with AsyncPlexusAPI():  # type: ignore[attr-defined]
        pass


def answers_are_frozen(run: Run, sent: SentCommand, command: CommandStatus, commands: SourceCommands) -> None:
    assert_type(run.test_result, Judgement | None)
    assert_type(sent.run_id, str | None)
    assert_type(bool(sent), bool)
    assert_type(command.result, Any)
    assert_type(command.steps, Sequence[CommandStep])
    assert_type(commands.declared, Sequence[DeclaredCommand])
    sent.queued = True  # type: ignore[misc]
    run.status = "completed"  # type: ignore[misc]


def refusals_say_all_they_know(error: ApiError | AuthenticationError | RateLimitedError) -> None:
    assert_type(error.status, int)
    assert_type(error.body, str)
    assert_type(error.request_id, str)
    assert_type(error.retry_after_s, float | None)


def _answer(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200)
