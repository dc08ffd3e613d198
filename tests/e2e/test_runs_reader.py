"""`api.runs` of both clients from a gateway: loading runs, comparing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from plexus import AsyncPlexusAPI, Gateway, PlexusAPI
from plexus.api.runs import Comparison, RunData
from plexus.domain.errors import NotFoundError, QueryError
from plexus.domain.run import Run
from plexus.domain.series import BucketSeries, Series
from plexus.ports.store import Submission
from plexus.protocol.columns import Columns
from tests.support.gateway import KEY, running

T0_MS = 1_746_969_660_000
NS = 1_000_000


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running() as made:
        for source_id, factor in (("rig-1", 1), ("rig-2", 10)):
            columns = Columns()
            for index in range(12_000):
                columns.add(source_id, "rpm", (T0_MS + index * 10) * NS, is_event=False, value=index * factor)
            columns.add(source_id, "state", T0_MS * NS, is_event=False, value="RUNNING")
            made.core.store.commit([Submission("default", source_id, columns, T0_MS * NS)])
        yield made


@pytest.fixture(scope="module")
def api(gateway: Gateway) -> Iterator[PlexusAPI]:
    with PlexusAPI(KEY, gateway.url) as made:
        yield made


Asking = Callable[[Callable[[Any], Any]], Any]


@pytest.fixture(params=["blocking", "awaited"])
def ask(request: pytest.FixtureRequest, gateway: Gateway) -> Asking:
    """Asks one of the clients: `ask(lambda api: api.runs.load(…))`."""

    def blocking(question: Callable[[Any], Any]) -> Any:
        with PlexusAPI(KEY, gateway.url) as client:
            return question(client)

    def awaited(question: Callable[[Any], Any]) -> Any:
        async def run() -> Any:
            async with AsyncPlexusAPI(KEY, gateway.url) as client:
                return await question(client)

        return asyncio.run(run())

    return blocking if request.param == "blocking" else awaited


def values(series: Any) -> list[Any]:
    assert isinstance(series, Series)
    return list(series.value)


def a_run(api: PlexusAPI, source_id: str | None, began_s: float, ended_s: float | None = None, **fields: Any) -> Run:
    run: Run = api.runs.start("soak", source_id, started_at=T0_MS + round(began_s * 1_000), **fields)
    return run if ended_s is None else api.runs.end(run.run_id, ended_at=T0_MS + round(ended_s * 1_000))


def test_a_run_is_loaded_whole_and_to_its_last_moment(ask: Asking, api: PlexusAPI) -> None:
    run = a_run(api, "rig-1", 1.0, 111.0)
    data: RunData = ask(lambda client: client.runs.load(run.run_id))
    assert data.run == run
    assert values(data["rpm"]) == list(range(100, 11_101))
    assert (data.seconds("rpm")[0], data.seconds("rpm")[-1]) == (0.0, 110.0)
    assert list(data.result.to_pandas().columns) == ["rpm"]


def test_a_run_loads_itself(ask: Asking, api: PlexusAPI) -> None:
    run_id = a_run(api, "rig-1", 0.0, 1.0).run_id

    async def loaded(client: AsyncPlexusAPI) -> RunData:
        run = await client.runs.get(run_id)
        return await run.load("rpm")

    def either(client: Any) -> Any:
        return loaded(client) if isinstance(client, AsyncPlexusAPI) else client.runs.get(run_id).load("rpm")

    assert values(ask(either)["rpm"]) == list(range(101))


def test_a_run_of_the_whole_organisation_has_the_data_of_every_source(ask: Asking, api: PlexusAPI) -> None:
    run = a_run(api, None, 0.0, 0.05)
    data: RunData = ask(lambda client: client.runs.load(run, "rpm"))
    assert {name: values(series) for name, series in data.series.items()} == {
        "rig-1/rpm": [0, 1, 2, 3, 4, 5],
        "rig-2/rpm": [0, 10, 20, 30, 40, 50],
    }
    assert list(data.sources) == ["rig-1", "rig-2"]


def test_a_run_that_is_running_has_what_there_is_by_now(ask: Asking, api: PlexusAPI) -> None:
    run = a_run(api, "rig-1", 119.0)
    data: RunData = ask(lambda client: client.runs.load(run, "rpm", interval="1d"))
    days = data["rpm"]
    assert isinstance(days, BucketSeries)
    assert sum(days.count) == 100
    assert data.end > data.start


def test_runs_are_compared_at_their_beginnings(ask: Asking, api: PlexusAPI) -> None:
    api.metrics.describe("rig-1", "rpm", unit="1/min")
    first, second = a_run(api, "rig-1", 0.0, 1.0), a_run(api, "rig-2", 10.0, 12.0)
    found: Comparison = ask(lambda client: client.runs.compare(first, second.run_id))
    assert found.interval == "raw"
    assert [run.run_id for run in found.runs] == [first.run_id, second.run_id]
    one, other = found["rpm"].summaries
    assert one is not None
    assert other is not None
    assert (one.count, one.min, one.max, one.avg, one.last) == (101, 0.0, 100.0, 50.0, 100)
    assert (other.count, other.min, other.max, other.avg, other.last) == (201, 10_000.0, 12_000.0, 11_000.0, 12_000)
    diff = found["rpm"].differences[1]
    assert diff is not None
    assert (diff.count, diff.avg) == (100, 10_950.0)
    assert found["rpm"].unit == "1/min"
    assert [line.seconds[-1] for line in found.overlay("rpm").lines] == [1.0, 2.0]
    assert found["state"].summaries[1] is None


def test_buckets_give_the_same_sums_as_values(ask: Asking, api: PlexusAPI) -> None:
    first, second = a_run(api, "rig-1", 0.5, 90.0), a_run(api, "rig-1", 30.0, 110.0)
    exact: Comparison = ask(lambda client: client.runs.compare(first, second, metrics="rpm"))
    rough: Comparison = ask(lambda client: client.runs.compare(first, second, metrics="rpm", interval="1m"))
    for one, other in zip(exact["rpm"].summaries, rough["rpm"].summaries, strict=True):
        assert one is not None
        assert other is not None
        assert (one.count, one.min, one.max, one.last) == (other.count, other.min, other.max, other.last)
        assert one.avg == pytest.approx(other.avg)


def test_long_runs_are_compared_in_buckets(ask: Asking, api: PlexusAPI) -> None:
    first, second = a_run(api, "rig-1", 0.0, 5.0), a_run(api, "rig-1", 0.0, 3_600.0)
    assert ask(lambda client: client.runs.compare(first, second)).interval == "1m"


def test_the_verdict_of_the_criteria_is_there_as_values(ask: Asking, api: PlexusAPI) -> None:
    hot = {"metric": "rpm", "operator": "<", "value": 50, "label": "slow"}
    failed = a_run(api, "rig-1", 0.0, 1.0, pass_criteria=[hot])
    passed = a_run(api, "rig-1", 0.0, 0.4, pass_criteria=[hot])
    verdicts = ask(lambda client: client.runs.compare(failed.run_id, passed.run_id)).verdicts
    assert [verdict.passed for verdict in verdicts] == [False, True]
    assert [(one.metric, one.label, one.passed) for one in verdicts[0].criteria_results] == [("rpm", "slow", False)]


def test_one_run_is_nothing_to_compare(ask: Asking, api: PlexusAPI) -> None:
    run = a_run(api, "rig-1", 0.0, 1.0)
    with pytest.raises(QueryError, match="two runs or more"):
        ask(lambda client: client.runs.compare(run))


def test_a_run_that_is_not_known_is_named(ask: Asking) -> None:
    with pytest.raises(NotFoundError, match="no-such-run"):
        ask(lambda client: client.runs.load("no-such-run"))


def test_an_interval_that_is_none_is_refused_before_anything_is_asked(ask: Asking) -> None:
    with pytest.raises(QueryError, match="use one of raw, 1m"):
        ask(lambda client: client.runs.load("no-such-run", interval="5m"))
    with pytest.raises(QueryError, match="use one of raw, 1m"):
        ask(lambda client: client.runs.compare("no-such-run", "nor-this", interval="5m"))


def test_a_run_that_loads_itself_is_equal_to_the_plain_run(api: PlexusAPI) -> None:
    run = a_run(api, "rig-1", 0.0, 1.0)
    plain = Run(**{field.name: getattr(run, field.name) for field in attrs.fields(Run)})
    assert type(plain) is not type(run)
    assert run == plain
    assert plain == run
    assert run != attrs.evolve(plain, name="another")
    assert repr(run).startswith("Run(run_id=")
