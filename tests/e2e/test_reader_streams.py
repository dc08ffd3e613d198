"""The reader's streams against the real gateway: backfill, restarts, several sources, slow consumers, video."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from plexus import AsyncPlexusAPI, Plexus, PlexusAPI
from plexus.adapters.status.memory import MemoryStatus
from plexus.api.streams import plans, watcher
from plexus.api.streams.plans import Plan
from plexus.domain.live import LivePoint, StreamNotice
from plexus.domain.video import VideoFrame
from plexus.gateway import Gateway
from plexus.gateway.core import Limits
from plexus.gateway.settings import Settings
from plexus.protocol import video
from tests.api.streaming import SHELLS, Shell
from tests.support.gateway import KEY, device, running
from tests.support.jpegs import jpeg
from tests.support.waiting import eventually
from tests.support.withoutresume import cut_out


@pytest.fixture(params=SHELLS, ids=lambda shell: shell.name)
def shell(request: pytest.FixtureRequest) -> Shell:
    made: Shell = request.param
    return made


@pytest.fixture(params=["resume", "without"])
def _resume(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the gateway's extension `resume`, and as if it had none."""
    if request.param == "without":
        cut_out(monkeypatch)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running() as made:
        yield made


def points(source_id: str | None = "rig-01", **more: Any) -> Plan[LivePoint]:
    given = {"metrics": None, "sources": None, "since": None, "queue": 10_000, "when_full": "block", **more}
    return plans.points(source_id, given.pop("metrics"), **given)


def post(gateway: Gateway, *values: Any, source_id: str = "rig-01", **more: Any) -> None:
    post_all(gateway, [{"metric": "m", "value": value, "class": "metric", **more} for value in values], source_id)


def post_all(gateway: Gateway, found: list[dict[str, Any]], source_id: str = "rig-01") -> None:
    body = {"source_id": source_id, "points": found}
    httpx.post(f"{gateway.url}/ingest", json=body, headers={"x-api-key": KEY}, timeout=30).raise_for_status()


def wait_for_readers(gateway: Gateway, count: int) -> None:
    """Until so many streams are heard by the gateway."""
    eventually(lambda: len(gateway.core.sockets) == count, what=f"{count} readers")


# --- one axis -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_resume")
def test_since_brings_the_past_and_goes_on_live(shell: Shell, gateway: Gateway) -> None:
    began_ms = 1_795_000_000_000
    body = [{"metric": "m", "value": number, "timestamp": began_ms + number} for number in range(12_000)]
    post_all(gateway, body)
    with shell.open(gateway.url, points(since=began_ms), key=KEY) as stream:
        assert stream.values(12_000) == list(range(12_000))
        post(gateway, 12_000)
        assert stream.values(1) == [12_000]
        assert stream.receive(0.05) is None


def test_a_time_is_the_same_live_and_from_the_history_down_to_its_last_digit(shell: Shell, gateway: Gateway) -> None:
    at_ns = 1_795_514_149_698_123_999  # rounded to microseconds it would be another time than cut off
    with (
        shell.open(gateway.url, points(), key=KEY) as listening,
        Plexus(KEY, source_id="rig-01", ws_url=gateway.ws_url, status=MemoryStatus()) as px,
    ):
        wait_for_readers(gateway, 1)
        px.send("m", 1, timestamp_ns=at_ns)
        heard = listening.next()
        with shell.open(gateway.url, points(since=1_795_514_149), key=KEY) as stored:
            assert stored.next().timestamp_ms == heard.timestamp_ms


@pytest.mark.parametrize("resume", [True, False])
def test_a_restart_of_the_gateway_leaves_no_hole_and_no_repeat(
    shell: Shell, resume: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not resume:
        cut_out(monkeypatch)
    notices: list[StreamNotice] = []
    with running(data_dir=tmp_path / "data") as first:
        port = first.port
        stream = shell.make(first.url, points(), notices=notices.append, key=KEY)
        stream.__enter__()
        wait_for_readers(first, 1)
        post(first, 0, 1)
        assert stream.values(2) == [0, 1]
    try:
        with running(data_dir=tmp_path / "data", port=port) as second:
            post(second, 2, 3)
            assert stream.values(2) == [2, 3]
            wait_for_readers(second, 1)
            post(second, 4)
            assert stream.values(1) == [4]
            assert stream.receive(0.05) is None
            assert stream.stream.reconnects == 1
    finally:
        stream.end()
    assert [notice.state for notice in notices][:2] == ["connected", "lost"]
    assert resume or "filled" in {notice.state for notice in notices}


def test_a_gateway_with_other_data_is_asked_for_its_history(shell: Shell, tmp_path: Path) -> None:
    with running(data_dir=tmp_path / "one") as first:
        port = first.port
        stream = shell.make(first.url, points(), key=KEY)
        stream.__enter__()
        post(first, 0)
        assert stream.values(1) == [0]
    try:
        with running(data_dir=tmp_path / "two", port=port) as second:
            post(second, 1)
            assert stream.values(1) == [1]
    finally:
        stream.end()


# --- several sources --------------------------------------------------------------------------------------------


def test_several_sources_come_as_one_stream(shell: Shell, gateway: Gateway) -> None:
    plan = points(None, sources=["rig-01", "rig-02"])
    with shell.open(gateway.url, plan, key=KEY) as stream:
        wait_for_readers(gateway, 2)
        post(gateway, 1)
        post(gateway, 2, source_id="rig-02")
        post(gateway, 3, source_id="rig-03")
        assert sorted((point.source_id, point.value) for point in stream.take(2)) == [("rig-01", 1), ("rig-02", 2)]
        assert stream.receive(0.05) is None
        assert stream.stream.latest("rig-02")["m"].value == 2
        with pytest.raises(ValueError, match="follows several sources"):
            stream.stream.latest()


def test_all_sources_are_followed_also_those_that_come_later(
    shell: Shell, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "LOOK_EVERY_S", 0.05)
    post(gateway, 0)
    with shell.open(gateway.url, points(None), key=KEY) as stream:
        wait_for_readers(gateway, 1)
        post(gateway, 1)
        post(gateway, 2, source_id="rig-02")
        assert sorted((point.source_id, point.value) for point in stream.take(2)) == [("rig-01", 1), ("rig-02", 2)]
        wait_for_readers(gateway, 2)
        post(gateway, 3, source_id="rig-02")
        assert stream.next().value == 3


def test_a_hundred_awaited_streams_cost_no_thread(gateway: Gateway) -> None:
    sources = [f"rig-{number:03}" for number in range(100)]

    async def follow() -> None:
        async with AsyncPlexusAPI(KEY, gateway.url) as api, api.metrics.stream(sources=sources) as stream:
            await asyncio.to_thread(wait_for_readers, gateway, 100)
            await asyncio.to_thread(post, gateway, 7, source_id="rig-042")
            point = await stream.receive(10.0)
            assert point is not None
            assert (point.source_id, point.value) == ("rig-042", 7)
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("plexus-stream")]

    asyncio.run(follow())


# --- slow consumers ---------------------------------------------------------------------------------------------


def test_a_slow_consumer_that_is_waited_for_gets_everything(shell: Shell) -> None:
    settings = Settings(limits=Limits(stream_queue_bytes=20_000))
    with running(settings=settings) as gateway, shell.open(gateway.url, points(queue=10), key=KEY) as stream:
        wait_for_readers(gateway, 1)
        text = "x" * 20_000
        sent = 0
        # Until the sockets and the gateway's queue are full, and the gateway drops some of it.
        while not _missed(gateway):
            assert sent < 4_000
            post(gateway, *[f"{number} {text}" for number in range(sent, sent + 20)])
            sent += 20
        found = [int(value.partition(" ")[0]) for value in stream.values(sent)]
        assert found == list(range(sent))
        assert stream.stream.missed == 0


def test_a_slow_consumer_that_is_not_waited_for_loses_the_oldest_and_they_are_counted(
    shell: Shell, gateway: Gateway
) -> None:
    plan = points(queue=100, when_full="drop_oldest")
    with shell.open(gateway.url, plan, key=KEY) as stream:
        wait_for_readers(gateway, 1)
        post(gateway, *range(1_000))
        eventually(lambda: stream.stream.missed == 900, what="900 dropped points")
        assert stream.values(100) == list(range(900, 1_000))
        assert stream.stream.latest()["m"].value == 999


def _missed(gateway: Gateway) -> float:
    return gateway.core.meters.registry.get_sample_value("plexus_missed_total", {"kind": "metrics"}) or 0.0


# --- video ----------------------------------------------------------------------------------------------------------


def _picture(camera_id: str, timestamp_ms: int) -> bytes:
    return video.pack(VideoFrame("rig-01", camera_id, jpeg(), 8, 6, timestamp_ms))


def test_frames_of_the_named_cameras_come_decoded(shell: Shell, gateway: Gateway) -> None:
    notices: list[StreamNotice] = []
    plan = plans.video("rig-01", ["front", "rear"], timeout=None, queue=16)
    with device(gateway, "rig-01") as wire:
        wire.connection.send(_picture("front", 1))
        eventually(lambda: gateway.core.video.cameras("default", "rig-01") == ["front"])
        with shell.open(gateway.url, plan, notices=notices.append, key=KEY) as stream:
            wait_for_readers(gateway, 2)
            for camera in ("left", "rear"):
                wire.connection.send(_picture(camera, 5))
            heard = stream.next()
            while heard.camera_id != "rear":
                heard = stream.next()
            assert heard == VideoFrame("rig-01", "rear", jpeg(), 8, 6, 5)
            assert stream.stream.latest()["rear"] == heard
    assert ("online", "rig-01: front") in [(notice.state, notice.detail) for notice in notices]


def test_a_video_ends_when_its_time_is_up(shell: Shell, gateway: Gateway) -> None:
    with shell.open(gateway.url, plans.video("rig-01", None, timeout=0.05, queue=16), key=KEY) as stream:
        assert stream.rest() == []


def test_the_clients_streams_are_these(gateway: Gateway) -> None:
    post(gateway, "boot", **{"class": "event"})
    post(gateway, 1)
    with PlexusAPI(KEY, gateway.url) as api:
        with api.metrics.stream("rig-01", "m", since="1m") as stream:
            assert next(stream).value == 1
        with api.events.stream("rig-01", since="1m") as happened:
            assert next(happened).value == "boot"
        with api.video.stream("rig-01", "front", timeout=0.05) as seen:
            assert list(seen) == []

    async def awaited() -> None:
        async with AsyncPlexusAPI(KEY, gateway.url) as api:
            async with api.metrics.stream("rig-01", "m", since="1m") as stream:
                assert (await stream.__anext__()).value == 1
            async with api.events.stream("rig-01", since="1m") as happened:
                assert (await happened.__anext__()).value == "boot"
            async with api.video.stream("rig-01", "front", timeout=0.05) as seen:
                assert [frame async for frame in seen] == []

    asyncio.run(awaited())
