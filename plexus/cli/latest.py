"""`plexus latest`: the newest value of each metric of a source."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command, takes_more

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands

TEXT = """\
examples:
  plexus latest drone-01
  plexus latest drone-01 battery.voltage motor.rpm
  plexus latest drone-01 --json | jq '."battery.voltage"'
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "latest", run, "show the newest value of each metric of a source", TEXT)
    parser.add_argument("source", metavar="SOURCE", help="a name from `plexus sources`")
    parser.add_argument("metrics", metavar="METRIC", nargs="*", help="only these (default: all)")
    takes_more(parser, last="metrics")
    parser.add_argument("--json", action="store_true", help="one JSON object, values by metric")


def run(arguments: argparse.Namespace) -> int:
    """Show the values. Exit code 1 when one that was named is not there."""
    from plexus.api import PlexusAPI

    with PlexusAPI() as api:
        values = api.metrics.latest(arguments.source)
    missing = [name for name in arguments.metrics if name not in values]
    wanted = sorted(values) if not arguments.metrics else [name for name in arguments.metrics if name in values]
    if arguments.json:
        output.json_line({name: values[name] for name in wanted})
    elif wanted:
        output.table(("METRIC", "VALUE"), [(output.clean(name), output.shown(values[name])) for name in wanted])
    elif not missing:
        output.say(f"{arguments.source} has sent no metric yet")
    if missing:
        output.say(f"plexus: {arguments.source} has sent no {', '.join(map(output.clean, missing))}")
    return 1 if missing else 0
