"""`plexus tail`: readings as they come."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.domain.live import LivePoint, StreamNotice

TEXT = """\
It goes on until Ctrl-C. A connection that is lost is made again; what came meanwhile is in `plexus query`.

examples:
  plexus tail drone-01
  plexus tail drone-01 battery.voltage motor.rpm
  plexus tail drone-01 --json | jq .value
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "tail", run, "show readings of a source as they come", TEXT)
    parser.add_argument("source", metavar="SOURCE", help="a name from `plexus sources`")
    parser.add_argument("metrics", metavar="METRIC", nargs="*", help="only these (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object a reading")


def run(arguments: argparse.Namespace) -> int:
    """Show points until Ctrl-C."""
    from plexus.api import PlexusAPI

    show = json_reading if arguments.json else show_reading
    with PlexusAPI() as api, api.metrics.stream(arguments.source, arguments.metrics or None, on_notice=tell) as stream:
        for point in stream:
            show(point)
    return 0


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
    if notice.state == "lost":
        output.say(f"connection lost: {notice.detail}; next try in {notice.delay_s:.1f} s")
    elif notice.state == "gateway_reconnecting":
        output.say("the gateway has lost its source for a moment; it goes on by itself")


def show_reading(point: LivePoint) -> None:
    """One reading as one line for a person."""
    when = output.paint(output.moment(point.timestamp_ms), output.DIM)
    output.line(f"{when}  {output.clean(point.metric)}  {output.shown(point.value)}")
