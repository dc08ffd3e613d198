"""`plexus tail`: readings as they come."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from plexus.cli import output
from plexus.cli.arguments import command, count, instant_or_length, seconds, source_names, takes_more
from plexus.cli.spark import Trends

if TYPE_CHECKING:
    from plexus.api.streams import Stream
    from plexus.cli.arguments import Commands
    from plexus.domain.live import LivePoint, StreamNotice

_T = TypeVar("_T")

TEXT = """\
It goes on until Ctrl-C. A connection that is lost is made again, and what came meanwhile is shown then: nothing twice,
nothing left out. In a terminal each reading has the trend of its metric's last values beside it.

examples:
  plexus tail drone-01
  plexus tail drone-01 battery.voltage motor.rpm
  plexus tail drone-01,drone-02 battery.voltage
  plexus tail --metric cpu.percent             of every source
  plexus tail drone-01 --since 15m             the last quarter of an hour, and on from there
  plexus tail drone-01 --json | jq .value
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "tail", run, "show readings as they come", TEXT)
    parser.add_argument(
        "sources",
        nargs="?",
        type=source_names,
        metavar="SOURCE",
        help="a name from `plexus sources`, or several with commas between (default: all)",
    )
    parser.add_argument("metrics", metavar="METRIC", nargs="*", help="only these (default: all)")
    takes_more(parser, last="metrics")
    parser.add_argument("--metric", action="append", default=[], metavar="METRIC", help="the same, without a SOURCE")
    add_following(parser, "a reading")


def add_following(parser: argparse.ArgumentParser, what: str) -> None:
    """--since, --seconds, --count and --json of a command that follows a stream."""
    parser.add_argument(
        "--since", type=instant_or_length, metavar="WHEN", help="begin so long ago (15m), or at a time; then go on live"
    )
    parser.add_argument("--seconds", type=seconds, metavar="N", help="end by itself after so long")
    parser.add_argument("--count", type=count, metavar="N", help="end by itself after so many")
    parser.add_argument("--json", action="store_true", help=f"one JSON object {what}")


def run(arguments: argparse.Namespace) -> int:
    """Show points until Ctrl-C, or as long as was asked for."""
    from plexus.api import PlexusAPI

    show = json_reading if arguments.json else Reader(arguments.sources)
    metrics = [*arguments.metrics, *arguments.metric] or None
    with (
        PlexusAPI() as api,
        api.metrics.stream(None, metrics, sources=arguments.sources, since=arguments.since, on_notice=tell) as stream,
    ):
        follow(stream, show, arguments.seconds, arguments.count)
    return 0


def follow(
    stream: Stream[_T],
    show: Callable[[_T], object],
    length_s: float | None,
    most: int | None,
    wanted: Callable[[_T], bool] = lambda _item: True,
) -> None:
    """Show what comes and is `wanted`, for so many seconds and so many items at most; without either for ever."""
    end = None if length_s is None else time.monotonic() + length_s
    shown = 0
    while most is None or shown < most:
        found = stream.receive(None if end is None else max(end - time.monotonic(), 0.0))
        if found is None:
            return
        if wanted(found):
            show(found)
            shown += 1


class Reader:
    """Shows readings to a person: with their source where there are several, and a trend where it can be drawn."""

    def __init__(self, sources: tuple[str, ...] | None) -> None:
        self._named = sources is None or len(sources) > 1
        self._trends = Trends() if output.draws() else None

    def __call__(self, point: LivePoint) -> None:
        """Show one."""
        trend = "" if self._trends is None else self._trends.after(point.source_id, point.metric, point.value)
        source = f"{output.clean(point.source_id)}  " if self._named else ""
        output.line(
            f"{_when(point)}  {source}{_said(point)}{f'  {output.paint(trend, output.GREEN)}' if trend else ''}"
        )


def show_reading(point: LivePoint) -> None:
    """One reading as one line for a person."""
    output.line(f"{_when(point)}  {_said(point)}")


def json_reading(point: LivePoint) -> None:
    """One reading as one JSON object."""
    output.json_line(
        {
            "source_id": point.source_id,
            "metric": point.metric,
            "value": point.value,
            "timestamp_ms": point.timestamp_ms,
            **({"tags": dict(point.tags)} if point.tags else {}),
        }
    )


def tell(notice: StreamNotice) -> None:
    """Say on stderr that the connection is lost or in doubt."""
    of = f" ({output.clean(notice.source_id)})" if notice.source_id else ""
    if notice.state == "lost":
        output.say(f"connection lost{of}: {output.clean(notice.detail)}; next try in {notice.delay_s:.1f} s")
    elif notice.state == "gateway_reconnecting":
        output.say(f"the gateway has lost its own source for a moment{of}; it goes on by itself")
    elif notice.state == "filled" and notice.count:
        output.say(f"{notice.count:,} that came meanwhile{of} are from the history")


def _when(point: LivePoint) -> str:
    return output.paint(output.moment(point.timestamp_ms), output.DIM)


def _said(point: LivePoint) -> str:
    return f"{output.clean(point.metric)}  {output.shown(point.value)}"
