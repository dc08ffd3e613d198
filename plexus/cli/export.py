"""`plexus export`: values of any length of time as a file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import add_window, command, instant, source_names

if TYPE_CHECKING:
    from plexus.api.export import Exported, Progress
    from plexus.cli.arguments import Commands

TEXT = """\
The ending of FILE says the form: .csv, .parquet, or .mcap (Foxglove opens it, and it has the events too). It is fetched
in parts, which are kept in FILE.part until the file is whole: after Ctrl-C, or a network that went away, the same
command goes on where it stopped. Parquet needs the extra `tables`, MCAP the extra `mcap`.

examples:
  plexus export day.csv --source drone-01 --last 1d
  plexus export motor.parquet --source drone-01 --metric motor.rpm --metric motor.temp_c --last 7d
  plexus export month.csv --last 30d --resolution 1h
  plexus export flight.mcap --run 3f2a9c01
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "export", run, "write values of any length of time into a file", TEXT)
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to write; it is there only when it is whole")
    parser.add_argument(
        "--source", type=source_names, action="extend", metavar="SOURCE", help="only this, repeatable (default: all)"
    )
    parser.add_argument("--metric", action="append", metavar="METRIC", help="only this, repeatable (default: all)")
    add_window(parser)
    parser.add_argument(
        "--run", dest="of_run", metavar="RUN", help="the time and source of a run, from `plexus runs list`"
    )
    parser.add_argument("--format", choices=("csv", "parquet", "mcap"), help="in place of what FILE ends in")
    parser.add_argument("--resolution", default="raw", metavar="LENGTH", help="raw (default), 1m, 10m, 1h or 1d")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
    parser.add_argument("--json", action="store_true", help="say what was written as one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Export, and say what the file holds."""
    from plexus.api import PlexusAPI

    with PlexusAPI() as api, Percent() as percent:
        try:
            made = api.export(
                arguments.file.expanduser(),
                sources=arguments.source,
                metrics=arguments.metric,
                last=arguments.last,
                start=instant(arguments.start),
                end=instant(arguments.end),
                run=arguments.of_run,
                format=arguments.format,
                resolution=arguments.resolution,
                overwrite=arguments.overwrite,
                on_progress=percent.tell if _needs_percent() else None,
            )
        except KeyboardInterrupt:
            output.say(
                f"stopped; what was fetched is kept in {arguments.file}.part: the same command goes on from there"
            )
            raise
    if arguments.json:
        output.json_line(_plain(made))
    else:
        output.say(_told(made))
    return 0


def _needs_percent() -> bool:
    """Whether somebody looks on, and rich, which would draw a bar, is not there."""
    return sys.stderr.isatty() and find_spec("rich") is None


class Percent:
    """How far it is, on one line of stderr that is written again and again, and gone at the end."""

    EVERY_S = 0.25

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told_at = float("-inf")
        self._width = 0

    def __enter__(self) -> Percent:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._width:
            self._write("")

    def tell(self, progress: Progress) -> None:
        """So far it is."""
        if self._monotonic() - self._told_at >= self.EVERY_S:
            self._told_at = self._monotonic()
            self._write(f"{progress.share:4.0%}  {progress.phase}, {progress.rows_done:,} rows")

    def _write(self, text: str) -> None:
        print(f"\r{text.ljust(self._width)}{'' if text else chr(13)}", end="", file=sys.stderr, flush=True)
        self._width = len(text)


def _told(made: Exported) -> str:
    events = f" and {made.events:,} events" if made.events else ""
    gone_on = ", gone on with where it had stopped" if made.resumed else ""
    return (
        f"{made.path} holds {made.rows:,} {'row' if made.rows == 1 else 'rows'}{events} "
        f"({made.size_bytes:,} bytes) of {made.start:%Y-%m-%d %H:%M:%S}Z to {made.end:%Y-%m-%d %H:%M:%S}Z{gone_on}"
    )


def _plain(made: Exported) -> dict[str, object]:
    return {
        "path": str(made.path),
        "format": made.format,
        "rows": made.rows,
        "events": made.events,
        "size_bytes": made.size_bytes,
        "sources": list(made.sources),
        "metrics": list(made.metrics),
        "start": made.start.isoformat(),
        "end": made.end.isoformat(),
        "resumed": made.resumed,
    }
