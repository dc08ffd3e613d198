"""`plexus events`: what happened, from the history and as it happens."""

from __future__ import annotations

import argparse
from operator import attrgetter
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import add_window, command, count, instant, source_names
from plexus.cli.tail import add_following, follow, tell
from plexus.domain.errors import QueryError

if TYPE_CHECKING:
    from plexus.api import PlexusAPI
    from plexus.cli.arguments import Commands
    from plexus.domain.event import Event

TEXT = """\
Without --follow it lists the events of a stretch of time, oldest first, and ends. With it, events are shown as they
happen, until Ctrl-C; --since begins earlier.

examples:
  plexus events drone-01
  plexus events drone-01 --last 24h --name state_change
  plexus events --last 1d --tail 20            the newest twenty of every source
  plexus events drone-01,drone-02 --follow --since 15m
  plexus events drone-01 --json | jq .value
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "events", run, "list what happened, or show it as it happens", TEXT)
    parser.add_argument(
        "sources",
        nargs="?",
        type=source_names,
        metavar="SOURCE",
        help="a name from `plexus sources`, or several with commas between (default: all)",
    )
    add_window(parser)
    parser.add_argument("--name", metavar="EVENT", help="only events of this name")
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--limit", type=count, metavar="N", help="at most so many: the first ones")
    ends.add_argument("--tail", type=count, metavar="N", help="at most so many: the last ones")
    parser.add_argument("--follow", "-f", action="store_true", help="show events as they happen")
    add_following(parser, "an event")


def run(arguments: argparse.Namespace) -> int:
    """List events, or follow them."""
    from plexus.api import PlexusAPI

    _check(arguments)
    named = arguments.sources is None or len(arguments.sources) > 1
    with PlexusAPI() as api:
        if arguments.follow:
            _follow(api, arguments, named=named)
        else:
            _list(api, arguments, named=named)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    listing = [name for name in ("last", "start", "end", "limit", "tail") if getattr(arguments, name) is not None]
    following = [name for name in ("since", "seconds", "count") if getattr(arguments, name) is not None]
    if arguments.follow and listing:
        raise QueryError(f"--{listing[0]} is of a list: with --follow say --since, --seconds or --count")
    if not arguments.follow and following:
        raise QueryError(f"--{following[0]} goes with --follow: a list takes --last, --start, --end, --limit or --tail")


def _follow(api: PlexusAPI, arguments: argparse.Namespace, *, named: bool) -> None:
    def show(event: Event) -> None:
        _show(event, as_json=arguments.json, named=named)

    def wanted(event: Event) -> bool:
        return arguments.name is None or event.name == arguments.name

    with api.events.stream(sources=arguments.sources, since=arguments.since, on_notice=tell) as stream:
        follow(stream, show, arguments.seconds, arguments.count, wanted)


def _list(api: PlexusAPI, arguments: argparse.Namespace, *, named: bool) -> None:
    sources = arguments.sources or [source.source_id for source in api.sources.list()]
    found = [event for source_id in sources for event in _of(api, source_id, arguments)]
    if len(sources) > 1:
        found.sort(key=attrgetter("timestamp_ms"))
        found = found[: arguments.limit] if arguments.tail is None else found[-arguments.tail :]
    for event in found:
        _show(event, as_json=arguments.json, named=named)
    if not found and not arguments.json:
        output.say("no events in this stretch of time")


def _of(api: PlexusAPI, source_id: str, arguments: argparse.Namespace) -> list[Event]:
    return api.events.list(
        source_id,
        last=arguments.last,
        start=instant(arguments.start),
        end=instant(arguments.end),
        name=arguments.name,
        limit=arguments.limit,
        tail=arguments.tail,
    )


def _show(event: Event, *, as_json: bool, named: bool) -> None:
    if as_json:
        output.json_line(
            {
                "source_id": event.source_id,
                "name": event.name,
                "value": event.value,
                "timestamp_ms": event.timestamp_ms,
                **({"tags": dict(event.tags)} if event.tags else {}),
            }
        )
        return
    when = output.paint(output.moment(event.timestamp_ms), output.DIM)
    source = f"{output.clean(event.source_id or '-')}  " if named else ""
    tags = "".join(f"  {output.clean(f'{key}={value}')}" for key, value in event.tags.items())
    output.line(
        f"{when}  {source}{output.clean(event.name)}  {output.shown(event.value)}{output.paint(tags, output.DIM)}"
    )
