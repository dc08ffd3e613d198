"""Every call of both clients against a real gateway, over a real socket."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from plexus import AsyncPlexusAPI
from plexus.domain.errors import ApiError, AuthenticationError, NotFoundError
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Criterion
from plexus.domain.series import BucketSeries, Series
from plexus.gateway import Gateway
from tests.api.asking import KINDS, Ask
from tests.support.gateway import KEY, device, http, make_key, running

START = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
START_MS = START.timestamp() * 1000.0
WINDOW = {"start": START, "end": START + timedelta(hours=1)}
READINGS = [("battery.voltage", 12.0 + step / 10) for step in range(5)]


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with running() as gateway:
        for source_id in ("drone-01", *(f"{kind}-rig" for kind in KINDS)):
            _seed(gateway, source_id)
        yield gateway


@pytest.fixture(params=KINDS)
def real(request: pytest.FixtureRequest, served: Gateway) -> Ask:
    return Ask(request.param, url=served.url, key=KEY)


def _seed(gateway: Gateway, source_id: str) -> None:
    """Five readings a second apart, one of each odd kind, and two events."""
    points: list[dict[str, Any]] = [
        {"metric": name, "value": value, "timestamp": START_MS + step * 1000.0}
        for step, (name, value) in enumerate(READINGS)
    ]
    points += [
        {"metric": "gain,left", "value": 0.5, "timestamp": START_MS},
        {"metric": "robot.state", "value": "RUNNING", "class": "metric", "timestamp": START_MS},
        {"metric": "imu/temp", "value": "NaN", "non_finite": True, "timestamp": START_MS},
        {"metric": "mode", "value": {"to": "auto"}, "timestamp": START_MS, "tags": {"by": "pilot"}},
        {"metric": "door", "value": "open", "timestamp": START_MS + 2000.0},
    ]
    with http(gateway) as client:
        answer = client.post("/ingest", json={"source_id": source_id, "points": points})
        assert answer.json()["dropped"] == 0, answer.text


def _own(real: Ask) -> str:
    """A source that only this client changes."""
    return f"{real.kind}-rig"


# --- what is there ------------------------------------------------------------------------------------------


def test_sources_are_listed_one_is_found_and_its_delivery_told(real: Ask) -> None:
    assert "drone-01" in [source.source_id for source in real(lambda api: api.sources.list())]
    assert real(lambda api: api.sources.get("drone-01")).online
    assert real(lambda api: api.sources.list("offline")) == []
    assert real(lambda api: api.sources.delivery("drone-01")).lost == 0


def test_a_source_that_is_not_there_is_not_found(real: Ask) -> None:
    with pytest.raises(NotFoundError, match=r"there is no source 'nobody'.*\[request ") as caught:
        real(lambda api: api.sources.get("nobody"))
    assert caught.value.status == 404
    assert caught.value.request_id
    assert "NOT_FOUND" in caught.value.body


def test_names_and_newest_values_are_told(real: Ask) -> None:
    names = ["battery.voltage", "gain,left", "imu/temp", "robot.state"]
    assert real(lambda api: api.metrics.names("drone-01")) == names
    newest = real(lambda api: api.metrics.latest("drone-01"))
    assert (newest["battery.voltage"], newest["robot.state"]) == (12.4, "RUNNING")
    assert math.isnan(newest["imu/temp"])


def test_raw_values_come_with_their_times(real: Ask) -> None:
    result = real(lambda api: api.metrics.query("drone-01", "battery.voltage", **WINDOW, interval="raw"))
    series = result["battery.voltage"]
    assert isinstance(series, Series)
    assert list(series.value) == [value for _name, value in READINGS]
    assert list(series.timestamp_ms) == [START_MS + step * 1000.0 for step in range(5)]
    assert (result.interval, result.truncated, result.auto_downsampled) == ("raw", False, False)


def test_buckets_come_with_their_bounds(real: Ask) -> None:
    result = real(lambda api: api.metrics.query("drone-01", ["battery.voltage"], **WINDOW))
    series = result["battery.voltage"]
    assert isinstance(series, BucketSeries)
    assert (result.interval, result.auto_downsampled) == ("1m", True)
    assert (list(series.min), list(series.max), list(series.count)) == ([12.0], [12.4], [5])
    assert series.avg[0] == pytest.approx(12.2)


def test_a_name_with_a_comma_is_one_name(real: Ask) -> None:
    result = real(lambda api: api.metrics.query("drone-01", ["gain,left", "robot.state"], **WINDOW, interval="raw"))
    assert {name: list(series.value) for name, series in result.series.items()} == {
        "gain,left": [0.5],
        "robot.state": ["RUNNING"],
    }


@pytest.mark.parametrize(
    "window",
    [
        {"last": "90s"},
        {"last": timedelta(hours=2)},
        {"start": START_MS},
        {"start": START_MS / 1000.0, "end": "2026-05-01T15:00:00+02:00"},
        {},
    ],
    ids=str,
)
def test_every_way_to_name_a_window_is_taken(real: Ask, window: dict[str, Any]) -> None:
    result = real(lambda api: api.metrics.query("drone-01", "battery.voltage", **window))
    assert list(result.series) == ["battery.voltage"]


def test_events_are_told_in_order(real: Ask) -> None:
    found = real(lambda api: api.events.list("drone-01", **WINDOW))
    assert [(event.name, event.value, event.source_id) for event in found] == [
        ("mode", {"to": "auto"}, "drone-01"),
        ("door", "open", "drone-01"),
    ]
    assert found[0].tags == {"by": "pilot"}
    assert [event.name for event in real(lambda api: api.events.list("drone-01", **WINDOW, tail=1))] == ["door"]
    assert [event.name for event in real(lambda api: api.events.list("drone-01", **WINDOW, limit=1))] == ["mode"]
    assert real(lambda api: api.events.list("drone-01", **WINDOW, name="door"))[0].timestamp_ms == START_MS + 2000.0


def test_the_fleet_is_told(real: Ask) -> None:
    health = real(lambda api: api.fleet.health())
    assert health.sources_total >= health.sources_online >= 3
    fleet = real(lambda api: api.fleet.metrics("battery.voltage", **WINDOW, interval="1m"))
    (mine,) = [part for part in fleet.sources if part.source_id == "drone-01"]
    assert list(mine.max) == [12.4]


def test_a_key_is_told_what_it_may_do(real: Ask, served: Gateway) -> None:
    whole = real(lambda api: api.whoami())
    assert (whole.org_id, whole.source_id) == ("default", None)
    assert "admin" in whole.scopes
    limited = Ask(real.kind, url=served.url, key=make_key(served, "read", source_id="drone-01"))
    assert limited(lambda api: api.whoami()).source_id == "drone-01"


def test_a_wrong_key_is_refused_with_all_that_is_known(real: Ask) -> None:
    wrong = Ask(real.kind, url=real.url, key="plx_nobody-has-this-key")
    with pytest.raises(AuthenticationError, match="plexus init") as caught:
        wrong(lambda api: api.sources.list())
    assert caught.value.status == 401
    assert caught.value.request_id
    assert "plx_nobody" not in str(caught.value)


def test_a_key_without_the_scope_is_told_which(real: Ask, served: Gateway) -> None:
    reading = Ask(real.kind, url=served.url, key=make_key(served, "read"))
    with pytest.raises(ApiError, match="scope `admin`") as caught:
        reading(lambda api: api.sources.delete("drone-01"))
    assert caught.value.status == 403


# --- what is changed ----------------------------------------------------------------------------------------


def test_a_source_is_registered_renamed_and_deleted(real: Ask) -> None:
    first, second = f"{real.kind}-new", f"{real.kind}-renamed"
    assert real(lambda api: api.sources.register(first, metadata={"hull": 7})) == first
    with pytest.raises(ApiError, match="registered already") as caught:
        real(lambda api: api.sources.register(first))
    assert caught.value.status == 409
    assert real(lambda api: api.sources.rename(first, second)).source_id == second
    assert real(lambda api: api.sources.delete(second)) is None
    with pytest.raises(NotFoundError):
        real(lambda api: api.sources.get(second))


@pytest.mark.parametrize("name", ["battery.voltage", "imu/temp", "gain,left", "größe & ?#", "latest"])
def test_a_metric_is_described_and_forgotten(real: Ask, name: str) -> None:
    source_id = _own(real)
    info = MetricInfo(name, "V", "of the pack", 10.5, None)
    told = real(lambda api: api.metrics.describe(source_id, name, unit="V", description="of the pack", low=10.5))
    assert told == info
    assert info in real(lambda api: api.metrics.details(source_id))
    assert real(lambda api: api.metrics.forget(source_id, name)) is None
    with pytest.raises(NotFoundError, match="nothing is known"):
        real(lambda api: api.metrics.forget(source_id, name))


def test_wrong_data_is_counted_and_then_removed(real: Ask, served: Gateway) -> None:
    source_id = f"{real.kind}-wrong"
    _seed(served, source_id)
    until = START + timedelta(seconds=2)
    counted = real(lambda api: api.metrics.remove(source_id, ["battery.voltage", "gain,left"], end=until))
    assert (counted.points, counted.dry_run) == (3, True)
    with pytest.raises(ApiError, match="3 points and not 4") as caught:
        real(lambda api: api.metrics.remove(source_id, ["battery.voltage", "gain,left"], end=until, confirm=4))
    assert caught.value.status == 409
    removed = real(lambda api: api.metrics.remove(source_id, ["battery.voltage", "gain,left"], end=until, confirm=3))
    assert (removed.points, removed.dry_run) == (3, False)
    left = real(lambda api: api.metrics.query(source_id, "battery.voltage", **WINDOW, interval="raw"))
    assert list(left["battery.voltage"].value) == [12.2, 12.3, 12.4]


def test_a_command_to_a_device_that_is_away_is_known_as_such(real: Ask) -> None:
    source_id = _own(real)
    sent = real(lambda api: api.commands.send(source_id, "reboot", {"delay_s": 3}))
    assert not sent
    told = real(lambda api: api.commands.get(sent.run_id))
    assert (told.command, told.state, told.params, told.is_over) == ("reboot", "offline", {"delay_s": 3}, True)
    assert [step.state for step in told.steps] == ["offline"]
    listed = real(lambda api: api.commands.list(source_id, state="offline", limit=1))
    assert (listed.online, listed.declared, listed.next) == (True, [], None)
    assert [command.run_id for command in listed.commands] == [sent.run_id]


def test_a_command_is_followed_to_its_end(real: Ask, served: Gateway) -> None:
    source_id = f"{real.kind}-arm"
    declared = [{"name": "reboot", "description": "restarts it", "params": [{"name": "delay_s"}]}]
    with device(served, source_id, commands=declared) as wire:
        sent = real(lambda api: api.commands.send(source_id, "reboot"))
        assert sent
        wire.hear()
        wire.say(type="command_result", id=sent.run_id, command="reboot", event="ack")
        wire.say(type="command_result", id=sent.run_id, command="reboot", event="result", result={"up_s": 2})
        told = _ended(real, sent.run_id)
        listed = real(lambda api: api.commands.list(source_id))
    assert (told.state, told.result) == ("succeeded", {"up_s": 2})
    assert [step.state for step in told.steps] == ["queued", "acknowledged", "succeeded"]
    (reboot,) = listed.declared
    assert (reboot.name, reboot.typed, reboot.description) == ("reboot", False, "restarts it")
    assert reboot.params == [{"name": "delay_s"}]


def _ended(real: Ask, run_id: str) -> Any:
    from tests.support.waiting import eventually

    eventually(lambda: real(lambda api: api.commands.get(run_id)).is_over, what="the command's end")
    return real(lambda api: api.commands.get(run_id))


def test_commands_are_paged(real: Ask, served: Gateway) -> None:
    source_id = f"{real.kind}-paged"
    _seed(served, source_id)
    sent = [real(lambda api: api.commands.send(source_id, "beep")).run_id for _ in range(3)]
    first = real(lambda api: api.commands.list(source_id, limit=2))
    rest = real(lambda api: api.commands.list(source_id, limit=2, before=first.next))
    assert [command.run_id for command in (*first.commands, *rest.commands)] == sent[::-1]
    assert rest.next is None


@pytest.mark.parametrize(("bound", "passed"), [(11.0, True), (12.1, False)])
def test_a_run_is_opened_closed_judged_and_found(real: Ask, bound: float, passed: bool) -> None:
    source_id = _own(real)
    criteria = [{"metric": "battery.voltage", "operator": ">", "value": bound, "label": "is charged"}]
    begun = real(
        lambda api: api.runs.start(
            "thermal", source_id, tags={"chamber": 2}, metadata={"by": None}, pass_criteria=criteria, started_at=START
        )
    )
    assert (begun.status, begun.started_ms, begun.ended_ms) == ("running", START_MS, None)
    assert begun.run_id in [run.run_id for run in real(lambda api: api.runs.list(source_id, status="running"))]
    ended = real(lambda api: api.runs.end(begun.run_id, ended_at=START + timedelta(seconds=10)))
    assert (ended.status, ended.ended_ms, ended.test_result.passed) == ("completed", START_MS + 10_000.0, passed)
    assert ended.tags == {"chamber": "2"}
    assert list(ended.pass_criteria) == [Criterion("battery.voltage", ">", bound, "is charged")]
    assert real(lambda api: api.runs.get(begun.run_id)) == ended
    assert ended in real(lambda api: api.runs.list(source_id))


def test_a_run_of_an_older_device_is_found_by_its_own_id(real: Ask, served: Gateway) -> None:
    run_id = f"{real.kind}/thermal 001"
    with http(served) as client:
        client.post("/api/runs", json={"run_id": run_id, "source_id": "drone-01", "status": "started"})
    assert real(lambda api: api.runs.get(run_id)).name == run_id
    assert real(lambda api: api.runs.end(run_id, "aborted")).status == "aborted"


def test_a_run_that_is_not_there_is_not_found(real: Ask) -> None:
    with pytest.raises(NotFoundError, match="there is no run 'none'"):
        real(lambda api: api.runs.get("none"))


def test_an_awaited_client_asks_many_questions_at_once(served: Gateway) -> None:
    async def main() -> list[Any]:
        async with AsyncPlexusAPI(KEY, served.url) as api:
            return await asyncio.gather(*(api.metrics.latest("drone-01") for _ in range(250)))

    newest = asyncio.run(main())
    assert [values["battery.voltage"] for values in newest] == [12.4] * 250


def test_a_question_that_is_cancelled_leaves_its_client_usable(served: Gateway) -> None:
    async def main() -> Any:
        async with AsyncPlexusAPI(KEY, served.url) as api:
            asked = [asyncio.create_task(api.metrics.latest("drone-01")) for _ in range(120)]
            await asyncio.sleep(0)
            for task in asked:
                task.cancel()
            ended = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in ended)
            return await api.metrics.latest("drone-01")

    assert asyncio.run(main())["battery.voltage"] == 12.4


def test_a_house_in_memory_answers_both_readers() -> None:
    from plexus.testing.memory import MemoryHouse

    async def awaited(house: MemoryHouse) -> list[Any]:
        async with house.async_reader() as api:
            await api.metrics.describe("drone-01", "battery.voltage", unit="V")
            return [await api.metrics.latest("drone-01"), await api.metrics.details("drone-01")]

    with MemoryHouse() as house:
        with house.device("drone-01") as px:
            px.send("battery.voltage", 12.4)
            px.flush_buffer()
        assert house.reader().metrics.latest("drone-01") == {"battery.voltage": 12.4}
        assert asyncio.run(awaited(house)) == [{"battery.voltage": 12.4}, [MetricInfo("battery.voltage", "V")]]
