"""`plexus video`: frames of cameras as they come, shown as lines or kept as files."""

from __future__ import annotations

import argparse
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command, count, seconds
from plexus.cli.tail import follow, tell
from plexus.domain.errors import QueryError

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.domain.live import StreamNotice
    from plexus.domain.video import VideoFrame

PATTERN = "{camera}-{time}.jpg"
_WORDS = ("source", "camera", "time", "n")
_word = re.compile(r"\{([^{}]*)\}")
_unsafe = re.compile(r"[^A-Za-z0-9._-]")

TEXT = """\
Frames are live only. With --save each is written as a JPEG: PLACE is a directory, or a file name in which {source},
{camera}, {time} (UTC) and {n} (counted from 1) stand for those of the frame. A name without any of them is one file,
which always holds the newest frame.

examples:
  plexus video drone-01 --camera camera:0
  plexus video drone-01 --camera front --camera rear --save frames/
  plexus video drone-01 --camera front --save 'frames/{camera}/{n}.jpg' --seconds 60
  plexus video drone-01 --camera front --save now.jpg --count 1
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "video", run, "show or save frames of cameras as they come", TEXT)
    parser.add_argument("source", metavar="SOURCE", help="a name from `plexus sources`")
    parser.add_argument(
        "--camera", action="append", metavar="ID", help="this camera, repeatable (default: the one called default)"
    )
    parser.add_argument("--save", metavar="PLACE", help="write each frame into this directory, or file")
    parser.add_argument("--seconds", type=seconds, metavar="N", help="end by itself after so long")
    parser.add_argument("--count", type=count, metavar="N", help="end by itself after so many frames")
    parser.add_argument("--json", action="store_true", help="one JSON object a frame, without its picture")


def run(arguments: argparse.Namespace) -> int:
    """Take frames until Ctrl-C, or as long as was asked for."""
    from plexus.api import PlexusAPI

    album = None if arguments.save is None else Album(arguments.save)

    def take(frame: VideoFrame) -> None:
        place = None if album is None else album.keep(frame)
        _show(frame, place, as_json=arguments.json)

    with (
        PlexusAPI() as api,
        api.video.stream(arguments.source, arguments.camera, on_notice=_notice) as stream,
    ):
        follow(stream, take, arguments.seconds, arguments.count)
        missed = stream.missed
    if missed:
        output.say(f"{missed:,} frames were left out, since they came faster than they could be taken")
    return 0


class Album:
    """Where frames are kept: a directory, or a pattern of file names. Raises QueryError for a word it does not know."""

    def __init__(self, place: str) -> None:
        is_directory = place.endswith(("/", os.sep)) or Path(place).suffix.lower() not in (".jpg", ".jpeg")
        self._pattern = str(Path(place) / PATTERN) if is_directory else place
        self._count = 0
        for word in _word.findall(self._pattern):
            if word not in _WORDS:
                known = ", ".join(f"{{{name}}}" for name in _WORDS)
                raise QueryError(f"--save: {{{word}}} is not known; there are {known}")

    def keep(self, frame: VideoFrame) -> Path:
        """Write a frame; who looks at the file meanwhile sees the one before, whole. Raises OSError."""
        self._count += 1
        words = {
            "source": _safe(frame.source_id),
            "camera": _safe(frame.camera_id),
            "time": _time(frame.timestamp_ms),
            "n": str(self._count),
        }
        path = Path(_word.sub(lambda found: words[found[1]], self._pattern)).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        try:
            new.write_bytes(frame.jpeg)
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        return path


def _safe(name: str) -> str:
    """A name that a device chose, as part of a file's name: it leads nowhere else, and hides nothing."""
    kept = _unsafe.sub("_", name)
    return f"_{kept[1:]}" if kept.startswith(".") else kept


def _time(ms: int) -> str:
    try:
        when = datetime.fromtimestamp(ms / 1000.0, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return str(ms)
    return f"{when:%Y%m%dT%H%M%S}.{when.microsecond // 1000:03d}Z"


def _show(frame: VideoFrame, place: Path | None, *, as_json: bool) -> None:
    if as_json:
        output.json_line(
            {
                "source_id": frame.source_id,
                "camera_id": frame.camera_id,
                "timestamp_ms": frame.timestamp_ms,
                "width": frame.width,
                "height": frame.height,
                "size_bytes": len(frame.jpeg),
                **({"path": str(place)} if place is not None else {}),
            }
        )
        return
    when = output.paint(output.moment(frame.timestamp_ms), output.DIM)
    size = f"{frame.width}x{frame.height}" if frame.width and frame.height else "size not told"
    kept = f"  {output.clean(str(place))}" if place is not None else ""
    output.line(f"{when}  {output.clean(frame.camera_id)}  {size}  {len(frame.jpeg):,} bytes{kept}")


def _notice(notice: StreamNotice) -> None:
    if notice.state == "online":
        output.say(f"cameras that send: {output.clean(notice.detail) or 'none'}")
    else:
        tell(notice)
