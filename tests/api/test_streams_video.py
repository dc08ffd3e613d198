"""Video: frames decoded, losses mended without a backfill, the close codes of its own; one suite for both clients."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.api.streams import kinds, plans, steps
from plexus.api.streams.clocks import Clocks
from plexus.api.streams.follower import Follower
from plexus.api.streams.plans import Plan
from plexus.api.streams.viewer import Viewer
from plexus.domain.errors import ApiError, AuthenticationError, ProtocolError, QueryError, TransportError
from plexus.domain.live import StreamNotice
from plexus.domain.video import VideoFrame
from plexus.protocol import video
from tests.api.scripted import breaks, closes, scripted, sends
from tests.api.streaming import SHELLS, Shell

JPEG = b"\xff\xd8 a picture \xff\xd9"


@pytest.fixture(params=SHELLS, ids=lambda shell: shell.name)
def shell(request: pytest.FixtureRequest) -> Shell:
    made: Shell = request.param
    return made


def plan(camera_id: Any = "front", timeout: float | None = None, queue: int = 16) -> Plan[VideoFrame]:
    return plans.video("a1", camera_id, timeout=timeout, queue=queue)


def picture(number: int, camera_id: str = "front") -> str:
    return video.relay_binary(video.pack(VideoFrame("a1", camera_id, JPEG, 8, 6, number)), "a1").text()


def test_a_frame_is_a_picture_with_its_size_its_time_and_its_camera(shell: Shell) -> None:
    with scripted(sends(picture(5))) as server, shell.open(server.url, plan(["front", "rear"], 60.0)) as stream:
        assert stream.next() == VideoFrame("a1", "front", JPEG, 8, 6, 5)
        target = server.targets.get(timeout=5)
        assert target.startswith("/v1/sources/a1/video/stream?camera_id=front&camera_id=rear&timeout=")
        assert 59.0 < float(target.rpartition("=")[2]) <= 60.0


def test_a_picture_that_is_none_is_named_and_the_stream_goes_on(shell: Shell) -> None:
    bad = json.dumps({**json.loads(picture(1)), "frame": "no base64!"})
    with scripted(sends(picture(0), bad, picture(2))) as server, shell.open(server.url, plan()) as stream:
        assert stream.next().timestamp_ms == 0
        with pytest.raises(ProtocolError, match="frame must be base64"):
            stream.next()
        assert stream.next().timestamp_ms == 2


def test_a_loss_is_mended_and_asks_no_history(shell: Shell) -> None:
    with scripted(breaks(picture(1)), sends(picture(2))) as server, shell.open(server.url, plan()) as stream:
        assert [frame.timestamp_ms for frame in stream.take(2)] == [1, 2]
        assert stream.stream.reconnects == 1
        assert server.asked == []


@pytest.mark.parametrize(("code", "error"), [(4001, AuthenticationError), (4002, ApiError), (1008, ApiError)])
def test_a_refusal_ends_it(shell: Shell, code: int, error: type[Exception]) -> None:
    with scripted(closes(code)) as server, shell.open(server.url, plan()) as stream:
        with pytest.raises(error, match=str(code)):
            stream.next()
        assert stream.rest() == []


def test_the_end_of_its_time_ends_the_iteration(shell: Shell) -> None:
    with scripted(closes(4008, picture(1))) as server, shell.open(server.url, plan(timeout=5.0)) as stream:
        assert [frame.timestamp_ms for frame in stream.rest()] == [1]


def test_who_is_slow_sees_the_newest_frames_and_the_others_are_counted(shell: Shell) -> None:
    frames = [picture(number) for number in range(10)]
    with scripted(closes(4008, *frames)) as server, shell.open(server.url, plan(timeout=5.0, queue=3)) as stream:
        taken: list[VideoFrame] = []
        while not taken or taken[-1].timestamp_ms < 9:
            taken += stream.take(1)
        assert len(taken) + stream.stream.missed == 10


def test_who_is_online_is_told_first(shell: Shell) -> None:
    notices: list[StreamNotice] = []
    script = sends(video.init_message({"a1": ["front"], "a2": []}), picture(1))
    with scripted(script) as server, shell.open(server.url, plan(), notices=notices.append) as stream:
        stream.next()
    assert [(notice.state, notice.detail) for notice in notices][1:] == [("online", "a1: front; a2: no camera")]


def test_a_loss_leaves_the_rest_of_the_time_and_no_more() -> None:
    now = [100.0]
    viewer = Viewer("a1", (), 60.0, Clocks(monotonic=lambda: now[0], random=lambda: 0.5))
    core = viewer.steps()
    first = next(core)
    assert isinstance(first, steps.Connect)
    assert dict(first.request.params)["timeout"] == "60.000"
    assert isinstance(core.send(None), steps.Tell)
    assert isinstance(core.send(None), steps.Receive)
    now[0] += 20.0
    lost = core.throw(_broken())
    while not isinstance(lost, steps.Pause):
        lost = core.send(None)
    again = core.send(None)
    assert isinstance(again, steps.Connect)
    assert dict(again.request.params)["timeout"] == "40.000"
    now[0] += 50.0
    core.throw(_broken())
    assert steps.Connect not in {type(step) for step in core}


def _broken() -> Exception:
    return TransportError("cut")


@pytest.mark.parametrize(
    ("camera", "timeout", "words"),
    [("", None, "camera_id"), (["front", 3], None, "camera_id"), ("front", 0.0, "timeout"), ("front", 1e6, "timeout")],
)
def test_what_the_server_would_refuse_is_refused_before(camera: Any, timeout: float | None, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        plan(camera, timeout)


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60), st.from_regex(r'\{"type": ?"[a-z_]{1,12}"[^}]*\}')))
def test_no_message_makes_a_core_fail_in_another_way(message: str | bytes) -> None:
    follower = Follower(kinds.points(None), "a1", since_ms=None, lossless=True, clocks=Clocks()).steps()
    viewer = Viewer("a1", (), None, Clocks()).steps()
    for core in (follower, viewer):
        step = next(core)
        while not isinstance(step, steps.Receive):
            step = core.send(None)
        step = core.send(message)
        while not isinstance(step, (steps.Receive, steps.Connect)):
            step = core.send(None)
