"""`plexus logout`: forget the key that `plexus init` kept."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands

TEXT = """\
The key itself stays valid: revoke it where it was made, if somebody else may have it.

example:
  plexus logout
"""


def add(commands: Commands) -> None:
    """Add the command."""
    command(commands, "logout", run, "forget the key on this machine", TEXT)


def run(_arguments: argparse.Namespace) -> int:
    """Take the key out of the config file."""
    from plexus.config import forget_key, home_directory

    home = home_directory()
    if forget_key(home):
        output.say(f"the key is out of {home / 'config.json'}")
    else:
        output.say(f"there was no key in {home / 'config.json'}")
    if os.environ.get("PLEXUS_API_KEY"):
        output.say("PLEXUS_API_KEY is still set in this shell: unset PLEXUS_API_KEY")
    return 0
