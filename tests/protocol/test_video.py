"""Video on the wire: binary in, text in, and what viewers get of either."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.domain.video import VideoFrame
from plexus.protocol import video

JPEG = b"\xff\xd8 a picture \xff\xd9"
TEXT: dict[str, Any] = {"frame": base64.b64encode(JPEG).decode(), "width": 640, "height": 480, "timestamp": 5}


def test_a_viewer_gets_a_binary_frame_as_text() -> None:
    relay = video.relay_binary(video.pack(VideoFrame("claimed", "front", JPEG, 640, 480, 1_746_969_660_000)), "rig-01")
    assert relay.camera_id == "front"
    assert json.loads(relay.text()) == {
        "type": "video_frame",
        "source_id": "rig-01",
        "camera_id": "front",
        "frame": base64.b64encode(JPEG).decode(),
        "width": 640,
        "height": 480,
        "timestamp": 1_746_969_660_000,
    }


def test_a_viewer_gets_a_text_frame_with_what_a_thermal_camera_adds() -> None:
    thermal = {
        "video_type": "thermal",
        "sensor_width": 2,
        "sensor_height": 1,
        "temp_min": 20.5,
        "temp_max": 31.0,
        "temps": [20.5, 31.0],
    }
    relay = video.relay_text({**TEXT, **thermal, "source_id": "other", "unknown": 1}, "rig-01", 9.0)
    said = json.loads(relay.text())
    assert {name: said[name] for name in thermal} == thermal
    assert (said["source_id"], said["timestamp"], "unknown" in said) == ("rig-01", 5, False)


def test_what_a_frame_does_not_say_has_its_defaults() -> None:
    relay = video.relay_text({"frame": TEXT["frame"]}, "rig-01", 9.0)
    said = json.loads(relay.text())
    assert (said["camera_id"], said["width"], said["height"], said["timestamp"]) == ("camera:0", 0, 0, 9.0)
    assert video.relay_binary(video.pack(VideoFrame("", "", JPEG, 0, 0, 0)), "rig-01").camera_id == "camera:0"


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"frame": None}, "frame"),
        ({"frame": 5}, "frame"),
        ({"frame": ""}, "frame"),
        ({"frame": 'abc"><script>'}, "frame"),
        ({"frame": "abcd\n"}, "frame"),
        ({"camera_id": 5}, "camera_id"),
        ({"camera_id": "x" * 256}, "camera_id"),
        ({"width": "wide"}, "width"),
        ({"timestamp": "now"}, "timestamp"),
    ],
)
def test_a_text_frame_that_breaks_the_contract_names_the_field(fault: dict[str, Any], field: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        video.relay_text({**TEXT, **fault}, "rig-01", 0.0)
    assert caught.value.field == field


@given(jpeg=st.binary(max_size=40), camera_id=st.text(max_size=20), binary=st.booleans())
def test_the_size_is_that_of_the_text_before_it_is_made(*, jpeg: bytes, camera_id: str, binary: bool) -> None:
    try:
        if binary:
            relay = video.relay_binary(video.pack(VideoFrame("", camera_id, jpeg, 1, 2, 3)), "rig-01")
        else:
            relay = video.relay_text({"frame": base64.b64encode(jpeg).decode(), "camera_id": camera_id}, "rig-01", 1.0)
    except ProtocolError:
        return
    assert relay.size == len(relay.text().encode())


def test_the_largest_jpeg_of_a_device_is_relayed() -> None:
    frame = video.pack(VideoFrame("", "c" * 255, b"x" * video.MAX_JPEG_BYTES, 4_096, 4_096, 2**62))
    assert video.relay_binary(frame, "s" * 256).size < video.MAX_RELAYED_BYTES


def test_the_first_frame_lists_cameras() -> None:
    assert json.loads(video.init_message({"rig-01": ["front", "rear"]})) == {
        "type": "init",
        "online_sources": [{"source_id": "rig-01", "cameras": ["front", "rear"]}],
    }
