"""Putting the commands together: arguments in, exit code out.

0: it went well. 1: it failed, and one line on stderr says why. 2: it was called in a wrong way. 130: Ctrl-C.
`plexus init` and `plexus command` have codes of their own (see their help).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from plexus._version import __version__
from plexus.cli import (
    command,
    completion,
    demo,
    doctor,
    events,
    export,
    gateway,
    init,
    keys,
    latest,
    logout,
    query,
    runs,
    send,
    serve,
    sources,
    tail,
    video,
    whoami,
)
from plexus.cli.arguments import take_late
from plexus.cli.output import RED, paint, say
from plexus.domain.errors import PlexusError, QueryError

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

COMMANDS: Sequence[ModuleType] = (
    *(demo, serve, gateway, keys),
    *(init, whoami, logout, doctor),
    *(send, sources, latest, query, tail, events, video),
    *(export, runs, command),
    completion,
)
"""Each has `add(commands)`, which adds its parser with `run` as default."""

DESCRIPTION = "Send readings from your hardware, and read them a moment later and for years after."

EPILOG = """\
examples:
  plexus demo                                  try it: this machine's own readings, live
  plexus serve                                 run a gateway on this machine
  plexus init                                  sign in, and keep the key
  plexus send battery.voltage 12.4             send one reading
  plexus sources                               what has sent, and is it there
  plexus query drone-01 battery.voltage --last 1h
  plexus tail drone-01                         readings as they come
  plexus export day.parquet --last 1d          a file of everything
  plexus doctor                                when something does not work

environment:
  PLEXUS_API_KEY  the key        PLEXUS_URL  the address of your gateway
  PLEXUS_HOME     where settings are kept, instead of ~/.plexus

`plexus COMMAND --help` says more about each.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _let_any_text_through()
    whole = parser()
    arguments = _parsed(whole, argv)
    if arguments.run is None:
        whole.print_help(sys.stderr)
        return USAGE
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # `plexus query … | head`: who reads has enough. Python would complain once more when it flushes at the end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except QueryError as exc:
        return _failed(exc, USAGE)
    except (PlexusError, OSError) as exc:
        return _failed(exc, FAILED)
    return code


def _parsed(whole: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    arguments, left = whole.parse_known_args(argv)
    try:
        if left and not take_late(arguments, left):
            whole.error(f"unrecognized arguments: {' '.join(left)}")
    except argparse.ArgumentTypeError as exc:
        whole.error(str(exc))
    return arguments


def _failed(exc: Exception, code: int) -> int:
    text = " ".join(str(exc).split()) or type(exc).__name__
    say(f"{paint('plexus:', RED, sys.stderr)} {text}")
    return code


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="plexus",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"plexus {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return parser


def _let_any_text_through() -> None:
    # In a terminal without UTF-8 a strange character is escaped, and is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
