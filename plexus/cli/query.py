"""`plexus query`: values over a stretch of time, raw or in buckets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexus.cli import output, tables
from plexus.cli.arguments import add_window, command, instant, takes_more

if TYPE_CHECKING:
    from plexus.api import PlexusAPI
    from plexus.api.tables import QueryResult
    from plexus.cli.arguments import Commands
    from plexus.domain.series import BucketSeries, Series

TEXT = """\
Without --interval, stretches under ten minutes are shown value by value and longer ones in buckets. One answer holds
10,000 values; --whole fetches the whole stretch, however many there are, value by value unless --interval says
otherwise. Much data is better as a file of its own: `plexus export`.

examples:
  plexus query drone-01 battery.voltage
  plexus query drone-01 battery.voltage motor.rpm --last 24h --interval 10m
  plexus query drone-01 motor.rpm --start 2026-05-01T12:00:00Z --end 2026-05-01T12:05:00Z
  plexus query drone-01 motor.rpm --last 5m --json > motor.json
  plexus query drone-01 motor.rpm --last 7d --whole --csv | head
  plexus query drone-01 motor.rpm --last 1d --parquet motor.parquet
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "query", run, "show values over a stretch of time", TEXT)
    parser.add_argument("source", metavar="SOURCE", help="a name from `plexus sources`")
    parser.add_argument("metrics", metavar="METRIC", nargs="+", help="a name from `plexus latest SOURCE`")
    takes_more(parser, last="metrics")
    add_window(parser)
    parser.add_argument("--interval", metavar="LENGTH", help="raw, or buckets of 1m, 10m, 1h or 1d")
    parser.add_argument("--whole", action="store_true", help="all of it, where one answer would end at 10,000 values")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="the whole answer as one JSON object")
    forms.add_argument("--csv", action="store_true", help="a line a value, with a heading")
    forms.add_argument("--parquet", type=Path, metavar="FILE", help="into this file, which is not there yet")


def run(arguments: argparse.Namespace) -> int:
    """Ask, and show the answer."""
    from plexus.api import PlexusAPI

    if arguments.parquet is not None:
        tables.check_new(arguments.parquet)
    with PlexusAPI() as api:
        if arguments.csv and arguments.whole:
            # As it comes, so that any length fits into memory.
            tables.csv_pages(arguments.source, api.metrics.iterate(**_whole(arguments)))
            return 0
        result = _answer(api, arguments)
    if arguments.json:
        output.json_line(result.to_dict())
    elif arguments.csv:
        tables.csv_pages(arguments.source, [result])
    elif arguments.parquet is not None:
        tables.write_parquet(result, arguments.parquet)
        output.say(f"{arguments.parquet} holds {len(result):,} rows")
    else:
        _show(result)
    if result.truncated:
        output.say("there is more: a raw answer ends at 10,000 rows; give --whole, or --interval 1m")
    return 0


def _answer(api: PlexusAPI, arguments: argparse.Namespace) -> QueryResult:
    if arguments.whole:
        return api.metrics.load(**_whole(arguments))
    return api.metrics.query(**_window(arguments), interval=arguments.interval)


def _window(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "source_id": arguments.source,
        "metrics": arguments.metrics,
        "last": arguments.last,
        "start": instant(arguments.start),
        "end": instant(arguments.end),
    }


def _whole(arguments: argparse.Namespace) -> dict[str, Any]:
    return {**_window(arguments), "interval": arguments.interval or "raw"}


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
