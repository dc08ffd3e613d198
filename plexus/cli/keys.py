"""`plexus keys`: the keys of a gateway's data directory; works while the gateway runs."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command
from plexus.cli.extra import default_data, need_gateway
from plexus.domain.errors import ConfigurationError
from plexus.ports.keyring import SCOPES

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.ports.keyring import KeyInfo, Keyring

TEXT = """\
A key can do what its scopes say:
  read      read all that its organisation has stored
  write     send readings, and receive commands
  commands  send commands to devices
  admin     everything that manages the gateway

examples:
  plexus keys create drone-01 --scope write --source drone-01      a device: it can only send, and only as itself
  plexus keys create dashboard --scope read
  plexus keys list
  plexus keys revoke 3f2a9c01b7de
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "keys", _help, "make, list and revoke the keys of a gateway", TEXT)
    parser.set_defaults(parser=parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    create = command(actions, "create", _create, "make a key; it is shown this once", TEXT)
    create.add_argument("name", metavar="NAME", help="what you call it")
    create.add_argument("--scope", type=_scopes, default=("read", "write"), metavar="A,B", help="default: read,write")
    create.add_argument("--source", metavar="ID", help="the only source that it is for (default: all)")
    create.add_argument("--org", metavar="ORG", help="the organisation it belongs to")
    every = [create, command(actions, "list", _list, "list the keys, revoked ones too", TEXT)]

    revoke = command(actions, "revoke", _revoke, "revoke a key at once and for ever", TEXT)
    revoke.add_argument("key_id", metavar="KEY_ID", help="from `plexus keys list`")
    for action in (*every, revoke):
        action.add_argument("--data", type=Path, metavar="DIR", help="the gateway's data (default: ~/.plexus/gateway)")


def _scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(scope.strip() for scope in text.split(",") if scope.strip())
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise argparse.ArgumentTypeError(f"{text!r}: write some of {', '.join(SCOPES)}, with commas between")
    return scopes


def _help(arguments: argparse.Namespace) -> int:
    arguments.parser.print_help()
    return 2


def _create(arguments: argparse.Namespace) -> int:
    with _keyring(arguments.data, new=True) as (keyring, default_org):
        text, info = keyring.create(
            arguments.org or default_org, arguments.name, arguments.scope, source_id=arguments.source
        )
    output.line(text)
    output.say(f"key {info.key_id} ({info.name}) may {_described(info)}; it is shown this once")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with _keyring(arguments.data) as (keyring, _default_org):
        found = keyring.list()
    headings = ("KEY ID", "NAME", "ORG", "SCOPES", "SOURCE", "MADE", "REVOKED")
    output.table(headings, [_row(info) for info in found])
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    with _keyring(arguments.data) as (keyring, _default_org):
        if not keyring.revoke(arguments.key_id):
            raise ConfigurationError(f"there is no live key {arguments.key_id!r}; `plexus keys list` shows them")
    output.say(f"key {arguments.key_id} is revoked; open connections with it end within seconds")
    return 0


@contextlib.contextmanager
def _keyring(data: Path | None, *, new: bool = False) -> Iterator[tuple[Keyring, str]]:
    """The keyring of a data directory, and the organisation of keys that name none."""
    need_gateway()
    from plexus.adapters.keyring.sqlite import SqliteKeyring
    from plexus.gateway.assembly import DEFAULT_ORG, KEYS_FILE

    file = (data or default_data()).expanduser() / KEYS_FILE
    if not new and not file.exists():
        raise ConfigurationError(f"no gateway has kept keys in {file.parent}: name its directory with --data")
    keyring = SqliteKeyring(file)
    try:
        yield keyring, DEFAULT_ORG
    finally:
        keyring.close()


def _described(info: KeyInfo) -> str:
    scopes = ", ".join(scope for scope in SCOPES if scope in info.scopes)
    return scopes if info.source_id is None else f"{scopes} for {info.source_id} only"


def _row(info: KeyInfo) -> tuple[str, ...]:
    scopes = ",".join(scope for scope in SCOPES if scope in info.scopes)
    revoked = "-" if info.revoked_ms is None else output.moment(info.revoked_ms)
    source = info.source_id or "all"
    return info.key_id, output.clean(info.name), info.org, scopes, source, output.moment(info.created_ms), revoked
