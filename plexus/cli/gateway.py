"""`plexus gateway`: looking after a gateway's data: backup, restore, check."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command
from plexus.cli.extra import data_folder, need_gateway

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands

TEXT = """\
A backup is taken while the gateway runs, from any machine, with an admin key of the gateway's own organisation. Check
and restore work on a data directory that no gateway has open, as the user whom it belongs to.

examples:
  plexus gateway backup plexus.tar.zst --zstd
  plexus gateway check --data ./plexus-data
  plexus gateway restore plexus.tar.zst --data ./plexus-data
  sudo -u plexus plexus gateway check --data /var/lib/plexus          of a service
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "gateway", _help, "back up, put back and check a gateway's data", TEXT)
    parser.set_defaults(parser=parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    backup = command(actions, "backup", _backup, "fetch a backup from a running gateway into a file", TEXT)
    backup.add_argument("file", type=Path, metavar="FILE", help="the file to write; it is there only when it is whole")
    backup.add_argument("--zstd", action="store_true", help="pack it with zstd")
    backup.add_argument("--url", metavar="URL", help="the gateway's address (default: that of the settings)")

    restore = command(actions, "restore", _restore, "put a backup into an empty data directory", TEXT)
    restore.add_argument("file", type=Path, metavar="FILE", help="from `plexus gateway backup`")

    check = command(actions, "check", _check, "look through a data directory for damage; it is not changed", TEXT)
    check.add_argument("--json", action="store_true", help="one JSON object a finding")
    for action in (restore, check):
        action.add_argument("--data", type=Path, metavar="DIR", help="the gateway's data (default: ~/.plexus/gateway)")


def _help(arguments: argparse.Namespace) -> int:
    arguments.parser.print_help()
    return 2


def _backup(arguments: argparse.Namespace) -> int:
    need_gateway()
    from plexus.gateway.fetching import fetch

    file = arguments.file.expanduser()
    listed = fetch(file, zstd=arguments.zstd, url=arguments.url)
    output.say(f"{file} holds {len(listed['files'])} files as they were at {output.moment(listed['made_ms'])}")
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    need_gateway()
    from plexus.gateway.backup import restore

    data = data_folder(arguments.data)
    listed = restore(arguments.file.expanduser(), data)
    when = output.moment(listed["made_ms"])
    output.say(f"{data} is as it was at {when}; what devices had acknowledged after that is not in it")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    need_gateway()
    from plexus.gateway.checking import check

    findings = check(data_folder(arguments.data))
    for finding in findings:
        if arguments.json:
            output.json_line({"problem": finding})
        else:
            output.line(output.clean(finding))
    if not findings and not arguments.json:
        output.say("nothing is wrong")
    return 1 if findings else 0
