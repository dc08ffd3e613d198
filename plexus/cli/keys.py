"""`plexus keys`: the keys of a gateway's data directory; works while the gateway runs."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command
from plexus.cli.extra import data_folder, need_gateway
from plexus.domain.errors import ConfigurationError
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, is_gateway_source_id, is_org_name
from plexus.ports.audit import LOCAL
from plexus.ports.keyring import SCOPES

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.gateway.keys import KeyDesk
    from plexus.ports.keyring import KeyInfo, Keyring

_UNIT_MS: Mapping[str, float] = {"m": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}

TEXT = """\
A key can do what its scopes say:
  read      read all that its organisation has stored
  write     send readings, and receive commands
  commands  send commands to devices
  admin     everything that manages the gateway

They are kept in the gateway's data directory: name the one that it was started with by --data, as its own user.

examples:
  sudo -u plexus plexus keys list --data /var/lib/plexus           of a service; below of the default, ~/.plexus/gateway
  plexus keys create drone-01 --scope write --source drone-01      a device: it can only send, and only as itself
  plexus keys create --each drone-01 drone-02                      the same for several: a line `ID KEY` each
  plexus keys create --from fleet.txt                              the same for all that a file names, one a line
  plexus keys create visitor --scope read --expires 7d
  plexus keys create dashboard --scope read
  plexus keys list
  plexus keys rotate 3f2a9c01b7de        a new key with the same rights; revoke the old one once the new one is in use
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
    named.add_argument(
        "--from", dest="file", type=Path, metavar="FILE", help="the same for each line of a file (- is stdin)"
    )
    create.add_argument("--scope", type=_scopes, metavar="A,B", help="default: read,write; with --each: write")
    create.add_argument("--source", metavar="ID", help="the only source that it is for (default: all)")
    create.add_argument("--org", type=_org, metavar="ORG", help="the organisation it belongs to")
    create.add_argument(
        "--expires", type=_length, metavar="LENGTH", help="how long it lives: 12h, 90d (default: for ever)"
    )
    listing = command(actions, "list", _list, "list the keys, revoked ones too", TEXT)
    listing.add_argument("--org", type=_org, metavar="ORG", help="only keys of this organisation")

    rotate = command(actions, "rotate", _rotate, "make a key with the rights of another, which stays live", TEXT)
    rotate.add_argument("key_id", metavar="KEY_ID", help="from `plexus keys list`")
    rotate.add_argument("--expires", type=_length, metavar="LENGTH", help="how long it lives (default: as the old one)")
    for action in (create, listing, rotate):
        action.add_argument("--json", action="store_true", help="one JSON object a key")
    revoke = command(actions, "revoke", _revoke, "revoke a key at once and for ever", TEXT)
    revoke.add_argument("key_id", metavar="KEY_ID", help="from `plexus keys list`")
    for action in (create, listing, rotate, revoke):
        action.add_argument("--data", type=Path, metavar="DIR", help="the gateway's data (default: ~/.plexus/gateway)")


def _scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(scope.strip() for scope in text.split(",") if scope.strip())
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise argparse.ArgumentTypeError(f"{text!r}: write some of {', '.join(SCOPES)}, with commas between")
    return scopes


def _org(text: str) -> str:
    if not is_org_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no organisation: it must match {GATEWAY_SOURCE_ID_RULE}")
    return text


def _length(text: str) -> float:
    """A length of time in milliseconds; argparse shows the error."""
    digits, unit = text[:-1], text[-1:]
    if not digits.isascii() or not digits.isdigit() or len(digits) > 5 or not int(digits) or unit not in _UNIT_MS:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time: write a number and m, h or d, as 12h or 90d")
    return int(digits) * _UNIT_MS[unit]


def _help(arguments: argparse.Namespace) -> int:
    arguments.parser.print_help()
    return 2


def _create(arguments: argparse.Namespace) -> int:
    if arguments.each or arguments.file:
        return _create_each(arguments, arguments.each or _named_in(arguments.file))
    with _desk(arguments.data, new=True) as (desk, default_org):
        scopes, ends = arguments.scope or ("read", "write"), _end(arguments)
        org = arguments.org or default_org
        made = desk.create(LOCAL, org, arguments.name, scopes, source_id=arguments.source, expires_ms=ends)
    _show(made, as_json=arguments.json)
    return 0


def _create_each(arguments: argparse.Namespace, source_ids: Sequence[str]) -> int:
    """A key for each source; all names are looked at before the first key is made."""
    if arguments.source is not None:
        arguments.parser.error("argument --source: not allowed with argument --each or --from")
    seen: set[str] = set()
    for source_id in source_ids:
        if not is_gateway_source_id(source_id):
            raise ConfigurationError(f"{source_id!r} is no source id: it must match {GATEWAY_SOURCE_ID_RULE}")
        if source_id in seen:
            raise ConfigurationError(f"{source_id!r} is named twice; a device needs one key")
        seen.add(source_id)
    with _desk(arguments.data, new=True) as (desk, default_org):
        org, scopes, ends = arguments.org or default_org, arguments.scope or ("write",), _end(arguments)
        for source_id in source_ids:
            text, info = desk.create(LOCAL, org, source_id, scopes, source_id=source_id, expires_ms=ends)
            # At once: a key that was made is never lost to what fails after it.
            if arguments.json:
                output.json_line(info.shown() | {"key": text})
            else:
                output.line(f"{source_id} {text}")
    output.say(f"{len(source_ids)} keys, each for its own source only; they are shown this once")
    return 0


def _named_in(file: Path) -> list[str]:
    """The lines of a file, or of stdin; those that are empty or begin with # are passed over."""
    try:
        # stdin, for a file that the person may read, and the gateway's user may not.
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        lines = [line.strip() for line in text.splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{file} cannot be read: {exc}") from exc
    named = [line for line in lines if line and not line.startswith("#")]
    if not named:
        raise ConfigurationError(f"{file} names no source; write one id a line")
    return named


def _list(arguments: argparse.Namespace) -> int:
    with _keyring(arguments.data) as (keyring, _folder):
        found = [info for info in keyring.list() if arguments.org in (None, info.org)]
    if arguments.json:
        for info in found:
            output.json_line(info.shown() | {"revoked_ms": info.revoked_ms})
        return 0
    headings = ("KEY ID", "NAME", "ORG", "SCOPES", "SOURCE", "MADE", "EXPIRES", "REVOKED")
    output.table(headings, [_row(info) for info in found])
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    with _desk(arguments.data) as (desk, _default_org):
        old = desk.find(arguments.key_id)
        if old is None or not desk.live(old):
            raise _no_key(arguments)
        ends = _end(arguments)
        made = desk.rotate(LOCAL, old, old.expires_ms if ends is None else ends)
    _show(made, as_json=arguments.json)
    revoke = f"plexus keys revoke {old.key_id}{_same_data(arguments)}"
    output.say(f"the old one stays live: `{revoke}` once this one is in use")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    with _desk(arguments.data) as (desk, _default_org):
        known = desk.find(arguments.key_id)
        if known is None or not desk.revoke(LOCAL, known):
            raise _no_key(arguments)
    output.say(f"key {arguments.key_id} is revoked; open connections with it end within seconds")
    return 0


@contextlib.contextmanager
def _keyring(data: Path | None, *, new: bool = False) -> Iterator[tuple[Keyring, Path]]:
    """The keyring of a data directory, and the directory; which one it is, is said to the person."""
    need_gateway()
    from plexus.adapters.keyring.sqlite import SqliteKeyring
    from plexus.gateway.wellknown import KEYS_FILE

    folder = data_folder(data)
    if not new and not (folder / KEYS_FILE).exists():
        raise ConfigurationError(f"no gateway has kept keys in {folder}: name its directory with --data")
    with contextlib.closing(SqliteKeyring(folder / KEYS_FILE)) as keyring:
        _say_where(folder)
        yield keyring, folder


def _say_where(folder: Path) -> None:
    """Keys that no gateway knows are silent until a device is refused, so a directory without one is told of now."""
    from plexus.gateway.wellknown import JOURNAL_FILE

    place = folder.resolve()
    if (folder / JOURNAL_FILE).exists():
        output.say(f"keys of the gateway in {place}")
    else:
        start = f"plexus serve --data {shlex.quote(str(place))}"
        output.say(f"keys in {place}, where no gateway has run yet: they are good for `{start}` only")


@contextlib.contextmanager
def _desk(data: Path | None, *, new: bool = False) -> Iterator[tuple[KeyDesk, str]]:
    """Where keys of a data directory are made and revoked, and the organisation of keys that name none."""
    with _keyring(data, new=new) as (keyring, folder):
        from plexus.adapters.audit.sqlite import SqliteAudit
        from plexus.gateway.keys import KeyDesk
        from plexus.gateway.wellknown import AUDIT_FILE, DEFAULT_ORG

        with contextlib.closing(SqliteAudit(folder / AUDIT_FILE)) as audit:
            yield KeyDesk(keyring, audit), DEFAULT_ORG


def _end(arguments: argparse.Namespace) -> float | None:
    """When a key that is made now is over, milliseconds since 1970 UTC."""
    return None if arguments.expires is None else time.time() * 1000.0 + arguments.expires


def _no_key(arguments: argparse.Namespace) -> ConfigurationError:
    listing = f"plexus keys list{_same_data(arguments)}"
    return ConfigurationError(f"there is no live key {arguments.key_id!r}; `{listing}` shows them")


def _same_data(arguments: argparse.Namespace) -> str:
    """What a command that goes on from this one has to say of the directory."""
    return "" if arguments.data is None else f" --data {shlex.quote(str(arguments.data))}"


def _show(made: tuple[str, KeyInfo], *, as_json: bool) -> None:
    """The key on stdout, alone or with what it is; what it may do for the person."""
    text, info = made
    if as_json:
        output.json_line(info.shown() | {"key": text})
    else:
        output.line(text)
    output.say(f"key {info.key_id} ({output.clean(info.name)}) may {_described(info)}; it is shown this once")


def _described(info: KeyInfo) -> str:
    scopes = ", ".join(scope for scope in SCOPES if scope in info.scopes)
    return scopes if info.source_id is None else f"{scopes} for {info.source_id} only"


def _row(info: KeyInfo) -> tuple[str, ...]:
    scopes = ",".join(scope for scope in SCOPES if scope in info.scopes)
    expires, revoked = ("-" if ms is None else output.moment(ms) for ms in (info.expires_ms, info.revoked_ms))
    made = output.moment(info.created_ms)
    return info.key_id, output.clean(info.name), info.org, scopes, info.source_id or "all", made, expires, revoked
