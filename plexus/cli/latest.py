"""`plexus latest`: the newest value of each metric of a source."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands

TEXT = """\
examples:
  plexus latest drone-01
  plexus latest drone-01 --json | jq '."battery.voltage"'
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "latest", run, "show the newest value of each metric of a source", TEXT)
    parser.add_argument("source", metavar="SOURCE", help="a name from `plexus sources`")
    parser.add_argument("--json", action="store_true", help="one JSON object, values by metric")


def run(arguments: argparse.Namespace) -> int:
    """Show the values."""
    from plexus.api import PlexusAPI

    with PlexusAPI() as api:
        values = api.metrics.latest(arguments.source)
    if arguments.json:
        output.json_line(values)
        return 0
    if not values:
        output.say(f"{arguments.source} has sent no metric yet")
        return 0
    output.table(("METRIC", "VALUE"), [(output.clean(name), output.shown(values[name])) for name in sorted(values)])
    return 0
