"""`plexus sources`: what has sent, and whether it is there now."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import attrs

from plexus.cli import output
from plexus.cli.arguments import command

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands

TEXT = """\
examples:
  plexus sources
  plexus sources --status online
  plexus sources --json | jq -r .source_id
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "sources", run, "list what has sent, and whether it is online", TEXT)
    parser.add_argument("--status", choices=("online", "offline"), help="only these")
    parser.add_argument("--json", action="store_true", help="one JSON object a source")


def run(arguments: argparse.Namespace) -> int:
    """Show the sources."""
    from plexus.api import PlexusAPI

    with PlexusAPI() as api:
        found = api.sources.list(arguments.status)
    if arguments.json:
        for source in found:
            output.json_line(attrs.asdict(source))
        return 0
    if not found:
        output.say("no source yet: `plexus send battery.voltage 12.4` makes this machine the first")
        return 0
    output.table(
        ("SOURCE", "STATE", "LAST SEEN"),
        [
            (output.clean(one.source_id), "online" if one.online else "offline", output.moment(one.last_seen_ms))
            for one in found
        ],
    )
    return 0
