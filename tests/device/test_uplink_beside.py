"""Commands and video, beside the points."""

from __future__ import annotations

import json

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.video import VideoFrame
from plexus.protocol.video import unpack
from tests.support.rig import Rig, connected


def test_a_command_reaches_the_program_and_its_answer_the_gateway() -> None:
    rig = connected(Rig())
    rig.gateway.call(CommandCall("c1", "reboot", {"delay_s": 3}))
    rig.run(0.1)
    assert rig.calls == [CommandCall("c1", "reboot", {"delay_s": 3})]
    rig.outbox.answer(CommandOutcome("c1", "reboot", "result", {"ok": True}))
    rig.run(0.1)
    assert rig.gateway.outcomes == [CommandOutcome("c1", "reboot", "result", {"ok": True})]


def test_an_answer_that_json_cannot_say_becomes_an_error() -> None:
    rig = connected(Rig())
    rig.outbox.answer(CommandOutcome("c1", "reboot", "result", {1, 2}))
    rig.run(0.1)
    assert rig.gateway.outcomes[0].event == "error"


def test_an_answer_waits_for_the_socket() -> None:
    rig = connected(Rig())
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    rig.run(0.5)
    rig.outbox.answer(CommandOutcome("c1", "reboot", "result", 1))
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert [outcome.call_id for outcome in rig.gateway.outcomes] == ["c1"]


def test_commands_that_are_declared_later_are_in_a_new_greeting_soon() -> None:
    rig = connected(Rig())
    rig.declared.append({"name": "reboot"})
    rig.outbox.want_hello()
    rig.send(1)
    rig.run(1.0)
    assert [dict(command) for command in rig.gateway.auths[-1].commands] == [{"name": "reboot"}]
    assert rig.gateway.values() == [1]
    opened = rig.gateway.socket.peer.opened
    rig.run(5.0)
    assert rig.gateway.socket.peer.opened == opened


def test_commands_that_are_declared_before_the_first_link_need_no_second_greeting() -> None:
    rig = Rig()
    rig.declared.append({"name": "reboot"})
    rig.outbox.want_hello()
    rig.run(2.0)
    assert rig.gateway.socket.peer.opened == 1


def frame(camera_id: str, jpeg: bytes) -> VideoFrame:
    return VideoFrame("drone-01", camera_id, jpeg, 640, 480, 1_746_969_660_000)


def test_of_a_camera_only_the_newest_frame_goes() -> None:
    rig = connected(Rig())
    for camera_id, jpeg in (("front", b"old"), ("front", b"new"), ("rear", b"rear")):
        rig.video.put(frame(camera_id, jpeg))
    rig.run(0.1)
    assert [unpack(message).jpeg for message in rig.gateway.video] == [b"new", b"rear"]


def test_frames_are_not_kept_for_a_socket_that_comes_later() -> None:
    rig = Rig()
    rig.gateway.refuse_all()
    rig.video.put(frame("front", b"old"))
    rig.run(0.5)
    rig.gateway.refuse_all(None)
    rig.run(70.0)
    assert rig.gateway.video == []


def test_nothing_of_the_key_is_in_what_is_said() -> None:
    rig = Rig(transport="http", api_key="plx_canary")
    rig.run(2.0)
    assert rig.status.lines
    assert "canary" not in json.dumps(rig.status.lines)
