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
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, is_gateway_source_id
from plexus.ports.audit import LOCAL
from plexus.ports.keyring import SCOPES

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.gateway.keys import KeyDesk
    from plexus.ports.keyring import KeyInfo, Keyring

TEXT = """\
A key can do what its scopes say:
  read      read all that its organisation has stored
  write     send readings, and receive commands
  commands  send commands to devices
  admin     everything that manages the gateway

examples:
  plexus keys create drone-01 --scope write --source drone-01      a device: it can only send, and only as itself
  plexus keys create --each drone-01 drone-02                      the same for several: a line `NAME KEY` each
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
    create.set_defaults(parser=create)
    named = create.add_mutually_exclusive_group(required=True)
    named.add_argument("name", nargs="?", metavar="NAME", help="what you call it")
    named.add_argument("--each", nargs="+", metavar="ID", help="a key for each of these sources, and only for it")
    create.add_argument("--scope", type=_scopes, metavar="A,B", help="default: read,write; with --each: write")
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
    if arguments.each:
        return _create_each(arguments)
    with _desk(arguments.data, new=True) as (desk, default_org):
        scopes = arguments.scope or ("read", "write")
        text, info = desk.create(
            LOCAL, arguments.org or default_org, arguments.name, scopes, source_id=arguments.source
        )
    output.line(text)
    output.say(f"key {info.key_id} ({info.name}) may {_described(info)}; it is shown this once")
    return 0


def _create_each(arguments: argparse.Namespace) -> int:
    """A key for each source; all names are looked at before the first key is made."""
    if arguments.source is not None:
        arguments.parser.error("argument --source: not allowed with argument --each")
    for source_id in arguments.each:
        if not is_gateway_source_id(source_id):
            raise ConfigurationError(f"{source_id!r} is no source id: it must match {GATEWAY_SOURCE_ID_RULE}")
        if arguments.each.count(source_id) > 1:
            raise ConfigurationError(f"{source_id!r} is named twice; a device needs one key")
    with _desk(arguments.data, new=True) as (desk, default_org):
        for source_id in arguments.each:
            scopes = arguments.scope or ("write",)
            text, _info = desk.create(LOCAL, arguments.org or default_org, source_id, scopes, source_id=source_id)
            output.line(f"{source_id} {text}")  # at once: a key that was made is never lost to what fails after it
    output.say(f"{len(arguments.each)} keys, each for its own source only; they are shown this once")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with _keyring(arguments.data) as (keyring, _folder):
        found = keyring.list()
    headings = ("KEY ID", "NAME", "ORG", "SCOPES", "SOURCE", "MADE", "REVOKED")
    output.table(headings, [_row(info) for info in found])
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    with _desk(arguments.data) as (desk, _default_org):
        known = desk.find(arguments.key_id)
        if known is None or not desk.revoke(LOCAL, known):
            raise ConfigurationError(f"there is no live key {arguments.key_id!r}; `plexus keys list` shows them")
    output.say(f"key {arguments.key_id} is revoked; open connections with it end within seconds")
    return 0


@contextlib.contextmanager
def _keyring(data: Path | None, *, new: bool = False) -> Iterator[tuple[Keyring, Path]]:
    """The keyring of a data directory, and the directory."""
    need_gateway()
    from plexus.adapters.keyring.sqlite import SqliteKeyring
    from plexus.gateway.assembly import KEYS_FILE

    folder = (data or default_data()).expanduser()
    if not new and not (folder / KEYS_FILE).exists():
        raise ConfigurationError(f"no gateway has kept keys in {folder}: name its directory with --data")
    with contextlib.closing(SqliteKeyring(folder / KEYS_FILE)) as keyring:
        yield keyring, folder


@contextlib.contextmanager
def _desk(data: Path | None, *, new: bool = False) -> Iterator[tuple[KeyDesk, str]]:
    """Where keys of a data directory are made and revoked, and the organisation of keys that name none."""
    with _keyring(data, new=new) as (keyring, folder):
        from plexus.adapters.audit.sqlite import SqliteAudit
        from plexus.gateway.assembly import AUDIT_FILE, DEFAULT_ORG
        from plexus.gateway.keys import KeyDesk

        with contextlib.closing(SqliteAudit(folder / AUDIT_FILE)) as audit:
            yield KeyDesk(keyring, audit), DEFAULT_ORG


def _described(info: KeyInfo) -> str:
    scopes = ", ".join(scope for scope in SCOPES if scope in info.scopes)
    return scopes if info.source_id is None else f"{scopes} for {info.source_id} only"


def _row(info: KeyInfo) -> tuple[str, ...]:
    scopes = ",".join(scope for scope in SCOPES if scope in info.scopes)
    revoked = "-" if info.revoked_ms is None else output.moment(info.revoked_ms)
    source = info.source_id or "all"
    return info.key_id, output.clean(info.name), info.org, scopes, source, output.moment(info.created_ms), revoked
