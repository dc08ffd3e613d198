"""`plexus whoami`: whose key is in force here, and what it may do."""

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
  plexus whoami
  plexus whoami --json
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "whoami", run, "show whose key is in force, and what it may do", TEXT)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Ask, and show it beside where the key came from."""
    from plexus.api import PlexusAPI
    from plexus.config import load_settings, mask, require_key

    settings = load_settings()
    key = require_key(settings)
    with PlexusAPI() as api:
        identity = api.whoami()
    if arguments.json:
        output.json_line(attrs.asdict(identity))
        return 0
    output.line(f"organisation  {output.clean(identity.org_id)}")
    output.line(f"scopes        {output.clean(', '.join(identity.scopes))}")
    output.line(f"key           {mask(key)}, from {settings.origins['api_key']}")
    output.line(f"gateway       {settings.gateway_url}, from {settings.origins['gateway_url']}")
    return 0
