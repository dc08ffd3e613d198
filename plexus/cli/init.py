"""`plexus init`: sign in with a browser, and keep the key."""

from __future__ import annotations

import argparse
import platform
import webbrowser
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command, seconds

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands

SIGNED_IN, KEY_THERE, TIMED_OUT, REFUSED = 0, 1, 2, 3

TEXT = """\
It opens the app in your browser and waits until you are signed in; the key that the app gives goes into
~/.plexus/config.json, which only you can read. With a gateway of your own there is no need for it: `plexus serve` and
`plexus keys` print keys.

exit codes: 0 signed in, 1 a key is there already, 2 nobody signed in in time, 3 refused

examples:
  plexus init
  plexus init --name bench-laptop
  plexus init --force                          sign in anew, in place of the key that is there
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "init", run, "sign in with a browser, and keep the key", TEXT, aliases=("login",))
    parser.add_argument("--name", help="what the key is called in the app (default: cli- and this machine's name)")
    parser.add_argument("--timeout", type=seconds, default=300.0, metavar="S", help="seconds to wait (default: 300)")
    parser.add_argument("--force", action="store_true", help="even if there is a key already")


def run(arguments: argparse.Namespace) -> int:
    """Sign in."""
    from plexus.adapters.signin.loopback import SignInRefusedError, SignInTimeoutError, sign_in
    from plexus.config import load_settings, save_settings

    settings = load_settings()
    if settings.api_key is not None and not arguments.force:
        output.say(f"there is a key already, from {settings.origins['api_key']}; `plexus init --force` replaces it")
        return KEY_THERE
    name = arguments.name or f"cli-{platform.node() or 'unnamed'}"
    try:
        key = sign_in(settings.app_url, name, arguments.timeout, _show)
    except SignInTimeoutError as exc:
        output.say(f"plexus: {exc}")
        return TIMED_OUT
    except SignInRefusedError as exc:
        output.say(f"plexus: {exc}")
        return REFUSED
    save_settings(settings.home, api_key=key)
    output.say(f"signed in; the key is kept in {settings.home / 'config.json'}")
    if settings.origins["api_key"] == "PLEXUS_API_KEY":
        output.say("PLEXUS_API_KEY is set in this shell and comes first: unset PLEXUS_API_KEY")
    return SIGNED_IN


def _show(address: str) -> None:
    output.say("a browser opens now; if none does, open this address:")
    output.say(address)
    try:
        webbrowser.open(address)
    except webbrowser.Error:
        # The address stands there for the person to open.
        return
