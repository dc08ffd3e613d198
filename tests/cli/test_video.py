"""`plexus video`: frames as lines and as files."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plexus.cli import main
from plexus.cli.video import Album
from plexus.domain.errors import QueryError
from plexus.domain.video import VideoFrame
from plexus.gateway import Gateway
from plexus.protocol import video
from tests.cli.conftest import PLEXUS, Command
from tests.support.gateway import Wire, device
from tests.support.jpegs import jpeg
from tests.support.waiting import eventually

AT_MS = 1_777_636_800_123


@contextmanager
def watched(gateway: Gateway, ended: list[int], *words: str) -> Iterator[Wire]:
    """A device with a camera, and the command that watches it."""
    with device(gateway, "rig-01", gateway.api_key) as wire:
        before = len(gateway.core.sockets)
        thread = threading.Thread(target=lambda: ended.append(main(["video", "rig-01", *words])))
        thread.start()
        eventually(lambda: len(gateway.core.sockets) > before, what="the viewer")
        yield wire
        thread.join(20)


def show(wire: Wire, camera: str, ms: int = AT_MS, data: bytes = b"picture") -> None:
    wire.connection.send(video.pack(VideoFrame("rig-01", camera, jpeg(data), 8, 6, ms)))


def test_frames_are_saved_in_a_directory_under_their_camera_and_time(
    gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    with watched(gateway, ended, "--camera", "front", "--save", str(tmp_path / "frames"), "--count", "2") as wire:
        show(wire, "front")
        eventually(lambda: list(tmp_path.glob("frames/*.jpg")), what="the first frame")
        show(wire, "front", AT_MS + 1000, b"another")
    assert ended == [0]
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == ["front-20260501T120000.123Z.jpg", "front-20260501T120001.123Z.jpg"]
    assert (tmp_path / "frames" / names[1]).read_bytes() == jpeg(b"another")
    out = capsys.readouterr().out
    assert "front  8x6" in out
    assert names[0] in out


def test_frames_are_json_for_a_program(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    ended: list[int] = []
    with watched(gateway, ended, "--camera", "front", "--count", "1", "--json") as wire:
        show(wire, "front")
    assert ended == [0]
    assert json.loads(capsys.readouterr().out) == {
        "source_id": "rig-01",
        "camera_id": "front",
        "timestamp_ms": AT_MS,
        "width": 8,
        "height": 6,
        "size_bytes": len(jpeg()),
    }


def test_it_ends_by_itself_after_its_time(plexus: Command, gateway: Gateway) -> None:
    with device(gateway, "rig-01", gateway.api_key):
        ended = plexus("video", "rig-01", "--seconds", "0.05")
    assert (ended.code, ended.out) == (0, "")


def test_a_reader_that_has_enough_is_no_error(gateway: Gateway) -> None:
    with device(gateway, "rig-01", gateway.api_key) as wire:
        before = len(gateway.core.sockets)
        process = subprocess.Popen(
            [PLEXUS, "video", "rig-01", "--camera", "front"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        eventually(lambda: len(gateway.core.sockets) > before, timeout=30, what="the viewer")
        show(wire, "front")
        assert process.stdout.readline()
        process.stdout.close()

        def ended() -> bool:
            show(wire, "front")
            return process.poll() is not None

        eventually(ended, timeout=30, what="its end")
    assert process.returncode == 0


def frame(camera: str = "front", data: bytes = b"picture", ms: int = AT_MS) -> VideoFrame:
    return VideoFrame("rig-01", camera, jpeg(data), 8, 6, ms)


def test_a_pattern_says_where_each_frame_goes(tmp_path: Path) -> None:
    album = Album(str(tmp_path / "{source}" / "{camera}" / "{n}.jpg"))
    assert album.keep(frame()) == tmp_path / "rig-01" / "front" / "1.jpg"
    assert album.keep(frame()) == tmp_path / "rig-01" / "front" / "2.jpg"


def test_a_name_without_a_word_always_holds_the_newest(tmp_path: Path) -> None:
    album = Album(str(tmp_path / "now.jpg"))
    album.keep(frame(data=b"old"))
    album.keep(frame(data=b"new"))
    assert (tmp_path / "now.jpg").read_bytes() == jpeg(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["now.jpg"]


@pytest.mark.parametrize("camera", ["../../etc/cron.d/x", "..", "/etc/passwd", "a\\b", ".hidden", "x\x00y", "{n}"])
def test_a_camera_cannot_choose_where_its_frames_go(tmp_path: Path, camera: str) -> None:
    kept = Album(str(tmp_path / "{camera}" / "{camera}.jpg")).keep(frame(camera))
    inside = kept.resolve().relative_to(tmp_path.resolve())
    assert len(inside.parts) == 2
    assert not inside.parts[0].startswith(".")


def test_a_word_that_is_not_known_is_refused(plexus: Command, gateway: Gateway) -> None:
    ended = plexus("video", "rig-01", "--save", "{when}.jpg")
    assert (ended.code, "{when} is not known" in ended.err) == (2, True)
    with pytest.raises(QueryError):
        Album("{}.jpg")


def test_a_time_that_no_calendar_has_is_a_number(tmp_path: Path) -> None:
    assert Album(str(tmp_path)).keep(frame(ms=10**17)).name == f"front-{10**17}.jpg"


def test_a_disk_that_refuses_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"):
        Album(str(tmp_path / "taken" / "{n}.jpg")).keep(frame())
    (tmp_path / "1.jpg").mkdir()
    with pytest.raises(OSError, match=r"1\.jpg"):
        Album(str(tmp_path / "{n}.jpg")).keep(frame())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.jpg", "taken"]
