"""The video relay: from a device to whoever watches, the newest only, and nobody waits for anybody."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.domain.video import VideoFrame
from plexus.gateway import Gateway
from plexus.gateway.meters import Meters
from plexus.gateway.video import MAX_CAMERAS, VideoRelay
from plexus.protocol import live, video
from tests.gateway.livewires import House, quiet
from tests.gateway.test_ingest import point
from tests.support.gateway import KEY, Wire, device, make_key, running, socket
from tests.support.waiting import eventually

VIDEO = "/v1/sources/rig-01/video/stream"
JPEG = b"\xff\xd8 a picture \xff\xd9"


def packed(jpeg: bytes = JPEG, camera_id: str = "front", source_id: str = "rig-01", size: int = 640) -> bytes:
    return video.pack(VideoFrame(source_id, camera_id, jpeg, size, size, 1_746_969_660_000))


def relayed_as(size: int) -> bytes:
    """A frame that viewers get in so many bytes. Base64 grows by four; digits of the width make up for the rest."""
    for width in (1, 10, 100, 1_000):
        bare = VideoFrame("rig-01", "front", b"", width, 1, 1_746_969_660_000)
        missing = size - video.relay_binary(video.pack(bare), "rig-01").size
        if missing % 4 == 0:
            return video.pack(attrs.evolve(bare, jpeg=b"x" * (missing // 4 * 3)))
    raise AssertionError("one of four widths fits")


@contextmanager
def viewer(gateway: Gateway, query: str = "?camera_id=front", key: str = KEY, **arguments: Any) -> Iterator[Wire]:
    with socket(gateway, VIDEO + query, **arguments) as wire:
        wire.say(**json.loads(live.auth_message(key)))
        yield wire


def metered(gateway: Gateway, name: str, **labels: str) -> float:
    return gateway.core.meters.registry.get_sample_value(name, labels) or 0.0


class TestWhoWatches:
    @pytest.mark.parametrize("scopes", [("write", "commands", "admin"), ()])
    def test_a_key_that_may_not_read_closes_with_4001(self, shared: Gateway, scopes: tuple[str, ...]) -> None:
        key = make_key(shared, *scopes) if scopes else KEY + "x"
        with viewer(shared, key=key) as wire:
            assert wire.closed()[0] == 4001

    def test_a_key_of_another_source_closes_with_4001(self, shared: Gateway) -> None:
        with viewer(shared, key=make_key(shared, "read", source_id="rig-02")) as wire:
            assert wire.closed()[0] == 4001

    def test_silence_closes_with_4001(self, shared: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live, "AUTH_TIMEOUT_S", 0.05)
        with socket(shared, VIDEO) as wire:
            assert wire.closed()[0] == 4001

    def test_a_revoked_key_closes_with_4001(self, gateway: Gateway) -> None:
        text, info = gateway.core.keyring.create("default", "short-lived", ["read"])
        with viewer(gateway, key=text) as wire:
            wire.hear()
            gateway.core.keyring.revoke(info.key_id)
            assert wire.closed(timeout=5.0)[0] == 4001

    def test_the_timeout_closes_with_4008(self, shared: Gateway) -> None:
        with viewer(shared, "?timeout=0.05") as wire:
            assert wire.closed()[0] == 4008

    def test_a_timeout_that_is_none_is_refused_in_words(self, shared: Gateway) -> None:
        with viewer(shared, "?timeout=soon") as wire:
            code, reason = wire.closed()
        assert code == 1008
        assert "timeout must be" in reason

    def test_the_gateway_says_goodbye_to_viewers(self) -> None:
        with running() as gateway, viewer(gateway) as wire:
            wire.hear()
            gateway.close()
            assert wire.closed()[0] == 1001

    def test_another_organisation_sees_nothing(self, gateway: Gateway) -> None:
        with (
            device(gateway, "rig-01") as camera,
            viewer(gateway, key=make_key(gateway, "read", org="umbrella")) as wire,
        ):
            assert wire.hear() == {"type": "init", "online_sources": []}
            with viewer(gateway) as own:
                own.hear()
                camera.connection.send(packed())
                own.hear()
            with pytest.raises(TimeoutError):
                wire.hear(timeout=0.05)


class TestFrames:
    def test_a_viewer_is_told_the_cameras_and_then_shown_them(self, gateway: Gateway) -> None:
        with device(gateway, "rig-01") as camera:
            camera.connection.send(packed(camera_id="rear"))
            eventually(lambda: gateway.core.video.cameras("default", "rig-01") == ["rear"])
            with viewer(gateway) as wire:
                online = [{"source_id": "rig-01", "cameras": ["rear"]}]
                assert wire.hear() == {"type": "init", "online_sources": online}
                camera.connection.send(packed())
                shown = wire.hear()
        assert base64.b64decode(shown.pop("frame")) == JPEG
        assert shown == {
            "type": "video_frame",
            "source_id": "rig-01",
            "camera_id": "front",
            "width": 640,
            "height": 640,
            "timestamp": 1_746_969_660_000,
        }

    def test_a_source_that_is_not_there_has_no_cameras(self, shared: Gateway) -> None:
        with viewer(shared) as wire:
            assert wire.hear() == {"type": "init", "online_sources": []}

    def test_a_frame_is_its_devices_whatever_it_says(self, gateway: Gateway) -> None:
        with device(gateway, "rig-01") as camera, viewer(gateway) as wire:
            wire.hear()
            camera.connection.send(packed(source_id="rig-02"))
            assert wire.hear()["source_id"] == "rig-01"

    def test_a_text_frame_is_relayed_with_its_temperatures(self, gateway: Gateway) -> None:
        with device(gateway, "rig-01") as camera, viewer(gateway) as wire:
            wire.hear()
            frame = base64.b64encode(JPEG).decode()
            camera.say(
                type="video_frame", camera_id="front", frame=frame, width=0, height=0, video_type="thermal", temps=[1.5]
            )
            shown = wire.hear()
        assert (shown["frame"], shown["video_type"], shown["temps"], shown["width"]) == (frame, "thermal", [1.5], 0)

    def test_a_viewer_that_names_no_camera_sees_the_one_that_has_no_name(self, gateway: Gateway) -> None:
        with device(gateway, "rig-01") as camera, viewer(gateway, "") as wire:
            wire.hear()
            camera.connection.send(packed(camera_id="front"))
            camera.connection.send(packed(camera_id="", size=0))
            shown = wire.hear()
        assert (shown["camera_id"], shown["width"], shown["height"]) == ("camera:0", 0, 0)

    def test_a_frame_that_is_too_large_is_dropped_and_counted_and_never_the_socket(self, gateway: Gateway) -> None:
        with device(gateway, "rig-01", acks=True) as camera, viewer(gateway) as wire:
            wire.hear()
            camera.connection.send(packed(b"x" * 800_000))
            camera.connection.send(packed(b"y" * 750_000))
            assert len(wire.hear()["frame"]) == 1_000_000
            camera.telemetry(point(1), seq=1)
            assert camera.hear() == {"type": "telemetry_ack", "seq": 1}
        assert metered(gateway, "plexus_rejects_total", reason="video_too_large") == 1

    def test_the_limit_of_a_frame_is_exact(self, gateway: Gateway) -> None:
        limit = 1_048_576
        assert gateway.core.limits.video_frame_bytes == limit
        with device(gateway, "rig-01") as camera, viewer(gateway) as wire:
            wire.hear()
            for size in (limit + 1, limit, limit - 1):
                camera.connection.send(relayed_as(size))
            assert [len(wire.connection.recv(timeout=10)) for _ in range(2)] == [limit, limit - 1]
        assert metered(gateway, "plexus_rejects_total", reason="video_too_large") == 1

    @pytest.mark.parametrize(
        "frame", [b"\x01", b"\x01\xff", '{"type":"video_frame"}', '{"type":"video_frame","frame":"<"}']
    )
    def test_what_is_no_frame_is_dropped_and_counted_and_never_the_socket(
        self, gateway: Gateway, frame: str | bytes
    ) -> None:
        with device(gateway, "rig-01", acks=True) as camera:
            camera.connection.send(frame)
            camera.telemetry(point(1), seq=1)
            assert camera.hear() == {"type": "telemetry_ack", "seq": 1}
        assert metered(gateway, "plexus_rejects_total", reason="video_malformed") == 1


class TestSlowViewers:
    def test_a_viewer_that_does_not_read_delays_nobody(self, gateway: Gateway) -> None:
        with (
            device(gateway, "rig-01", acks=True) as camera,
            viewer(gateway, close_timeout=0.1) as slow,
            viewer(gateway) as quick,
        ):
            for wire in (slow, quick):
                wire.hear()
            for number in range(90):  # more than the buffers of both ends hold
                camera.connection.send(packed(b"x" * 700_000, size=number))
                assert quick.hear()["width"] == number
            camera.telemetry(point(1), seq=1)
            assert camera.hear() == {"type": "telemetry_ack", "seq": 1}
            assert slow.hear()["width"] == 0
        assert metered(gateway, "plexus_missed_total", kind="video") > 0

    def test_the_newest_frame_of_each_camera_wins(self) -> None:
        async def steps() -> None:
            relay = VideoRelay(Meters(), lambda: 0.0, 1 << 20)
            watching = relay.watch("default", "rig-01", frozenset({"a", "b"}))
            for number, camera_id in enumerate("aabcab"):
                relay.take_binary("default", "rig-01", packed(camera_id=camera_id, size=number))
            shown = [json.loads((await watching.get()).payload()) for _ in range(2)]
            assert [(frame["camera_id"], frame["width"]) for frame in shown] == [("a", 4), ("b", 5)]

        asyncio.run(steps())

    def test_a_frame_is_made_once_for_all_and_only_when_somebody_watches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[int] = []
        encode = base64.b64encode

        def counted(data: bytes) -> bytes:
            made.append(1)
            return encode(data)

        monkeypatch.setattr(base64, "b64encode", counted)

        async def steps() -> None:
            relay = VideoRelay(Meters(), lambda: 0.0, 1 << 20)
            relay.take_binary("default", "rig-01", packed())
            assert not made
            watching = [relay.watch("default", "rig-01", frozenset({"front"})) for _ in range(3)]
            relay.take_binary("default", "rig-01", packed())
            assert len({(await viewer.get()).payload() for viewer in watching}) == 1
            assert len(made) == 1

        asyncio.run(steps())

    def test_a_viewer_that_takes_nothing_keeps_one_frame_of_a_camera(self) -> None:
        async def steps() -> None:
            house = House(MemoryStore())
            wire = house.connect("camera_id=front", VIDEO)
            await quiet()
            wire.open.clear()
            for number in range(9):
                house.core.video.take_binary("default", "rig-01", packed(size=number))
                await quiet(3)
            wire.open.set()
            await quiet()
            assert [frame["width"] for frame in wire.of("video_frame")] == [0, 8]
            await wire.leave()
            await house.core.channels.close()

        asyncio.run(steps())


class TestCameras:
    def test_a_camera_that_is_silent_for_long_is_not_named_any_more(self) -> None:
        now = [0.0]
        relay = VideoRelay(Meters(), lambda: now[0], 1 << 20)
        relay.take_binary("default", "rig-01", packed(camera_id="front"))
        now[0] = 20.0
        relay.take_binary("default", "rig-01", packed(camera_id="rear"))
        assert relay.cameras("default", "rig-01") == ["front", "rear"]
        now[0] = 31.0
        assert relay.cameras("default", "rig-01") == ["rear"]
        relay.gone("default", "rig-01")
        assert relay.cameras("default", "rig-01") == []

    def test_a_device_that_invents_cameras_does_not_fill_the_memory(self) -> None:
        relay = VideoRelay(Meters(), lambda: 0.0, 1 << 20)
        for number in range(MAX_CAMERAS * 2):
            relay.take_binary("default", "rig-01", packed(camera_id=str(number)))
        assert len(relay.cameras("default", "rig-01")) == MAX_CAMERAS
