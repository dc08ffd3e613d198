"""`plexus query`: values over a stretch of time, raw or in buckets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from plexus.cli import output
from plexus.cli.arguments import add_window, command, instant

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.domain.series import BucketSeries, QueryResult, Series

TEXT = """\
Without --interval, stretches under ten minutes are shown value by value and longer ones in buckets.

examples:
  plexus query drone-01 battery.voltage
  plexus query drone-01 battery.voltage motor.rpm --last 24h --interval 10m
  plexus query drone-01 motor.rpm --start 2026-05-01T12:00:00Z --end 2026-05-01T12:05:00Z
  plexus query drone-01 motor.rpm --last 5m --json > motor.json
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "query", run, "show values over a stretch of time", TEXT)
    parser.add_argument("source", metavar="SOURCE", help="a name from `plexus sources`")
    parser.add_argument("metrics", metavar="METRIC", nargs="+", help="a name from `plexus latest SOURCE`")
    add_window(parser)
    parser.add_argument("--interval", metavar="LENGTH", help="raw, or buckets of 1m, 10m, 1h or 1d")
    parser.add_argument("--json", action="store_true", help="the whole answer as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Ask, and show the answer."""
    from plexus.api import PlexusAPI

    with PlexusAPI() as api:
        result = api.metrics.query(
            arguments.source,
            arguments.metrics,
            last=arguments.last,
            start=instant(arguments.start),
            end=instant(arguments.end),
            interval=arguments.interval,
        )
    if arguments.json:
        output.json_line(attrs.asdict(result))
    else:
        _show(result)
    if result.truncated:
        output.say("there is more: a raw answer ends at 10,000 rows; ask for a shorter stretch or give --interval 1m")
    return 0


def _show(result: QueryResult) -> None:
    rows = sorted(row for name, series in result.series.items() for row in _rows(output.clean(name), series))
    if not rows:
        output.say("no values in this stretch of time")
        return
    headings = ("TIME", "METRIC", "VALUE") if result.interval == "raw" else ("TIME", "METRIC", *_BUCKET)
    output.table(headings, rows)


_BUCKET = ("AVG", "MIN", "MAX", "COUNT")


def _rows(name: str, series: Series | BucketSeries) -> Iterator[tuple[str, ...]]:
    from plexus.domain.series import Series

    times = map(output.moment, series.timestamp_ms)
    if isinstance(series, Series):
        for when, value in zip(times, series.value, strict=True):
            yield (when, name, output.shown(value))
        return
    for when, *numbers in zip(times, series.avg, series.min, series.max, series.count, strict=True):
        yield (when, name, *map(output.shown, numbers))
