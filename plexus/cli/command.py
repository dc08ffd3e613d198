"""`plexus command`: tell a device to do something, and see what becomes of it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from plexus.cli import output
from plexus.cli.arguments import command as added
from plexus.cli.arguments import param, seconds, takes_more
from plexus.domain.errors import QueryError

if TYPE_CHECKING:
    from plexus.api import PlexusAPI
    from plexus.cli.arguments import Commands
    from plexus.domain.asked import CommandStatus, CommandStep, DeclaredCommand, SentCommand

DONE, DEVICE_FAILED, NEVER_RAN, NOT_OVER = 0, 3, 4, 5

FIRST_LOOK_S, LONGEST_LOOK_S = 0.1, 1.0

TEXT = """\
A value that is JSON is sent as that: a number, true, false, null, an object, an array. Anything else is text. Without a
NAME it lists what the device can be told. It is never sent twice; the key needs the scope `commands`.

exit codes: 0 it is on its way, or with --wait it succeeded; 1 it could not be asked; 3 the device failed at it;
4 it never ran: the device is offline, or it expired; 5 with --wait: it is not over yet, or the server cannot say

examples:
  plexus command drone-01
  plexus command drone-01 reboot
  plexus command drone-01 reboot delay_s=3 --wait 60
  plexus command rig-02 set_profile name=soak 'limits={"temp_c": 85}' --wait 10 --json
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = added(commands, "command", run, "tell a device to do something", TEXT)
    parser.add_argument("source", metavar="SOURCE", help="a name from `plexus sources`")
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to do; without it, what there is is listed")
    parser.add_argument("params", nargs="*", type=param, metavar="K=V", help="what the command takes")
    takes_more(parser, "name", last="params", read=param)
    parser.add_argument("--wait", type=seconds, metavar="S", help="wait so long for the outcome, and show the progress")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Send it, and wait where that is asked for."""
    from plexus.api import PlexusAPI

    with PlexusAPI() as api:
        if arguments.name is None:
            return _list(api, arguments)
        params = dict(arguments.params)
        if len(params) < len(arguments.params):
            raise QueryError("a param is given twice: each has one value")
        sent = api.commands.send(arguments.source, arguments.name, params)
        if not sent:
            return _offline(sent, arguments)
        if arguments.wait is None:
            return _on_its_way(sent, arguments)
        if sent.run_id is None:
            output.say("it is on its way; this server keeps no commands, so what becomes of it cannot be asked")
            return NOT_OVER
        output.say(f"it is on its way, as {output.clean(sent.run_id)}")
        return _outcome(wait(api.commands.get, sent.run_id, arguments.wait, _tell_step), arguments)


def wait(
    get: Callable[[str], CommandStatus],
    run_id: str,
    length_s: float,
    tell: Callable[[CommandStep], None],
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> CommandStatus:
    """Ask for a command until it is over or so many seconds have gone by; `tell` hears each of its steps once."""
    end = monotonic() + length_s
    told, pause = 0, FIRST_LOOK_S
    while True:
        status = get(run_id)
        for step in status.steps[told:]:
            tell(step)
        told = max(told, len(status.steps))
        left = end - monotonic()
        if status.is_over or left <= 0:
            return status
        sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_LOOK_S)


def _offline(sent: SentCommand, arguments: argparse.Namespace) -> int:
    if arguments.json:
        output.json_line(attrs.asdict(sent))
    output.say(f"plexus: {arguments.source} is offline: the command was not sent, and will not be")
    return NEVER_RAN


def _on_its_way(sent: SentCommand, arguments: argparse.Namespace) -> int:
    if arguments.json:
        output.json_line(attrs.asdict(sent))
    else:
        known = f", as {output.clean(sent.run_id)}" if sent.run_id is not None else ""
        output.say(f"it is on its way{known}")
    return DONE


def _tell_step(step: CommandStep) -> None:
    progress = f" {step.progress:g} %" if step.progress is not None else ""
    message = f"  {output.clean(step.message)}" if step.message else ""
    output.say(f"{output.moment(step.at_ms)}  {output.clean(step.state)}{progress}{message}")


def _outcome(status: CommandStatus, arguments: argparse.Namespace) -> int:
    if arguments.json:
        output.json_line(attrs.asdict(status))
    if status.state == "succeeded":
        if not arguments.json and status.result is not None:
            output.line(output.shown(status.result))
        return DONE
    if status.state == "failed":
        code = f" ({status.error_code})" if status.error_code else ""
        output.say(f"plexus: the device failed: {output.clean(status.error_message or 'it did not say why')}{code}")
        return DEVICE_FAILED
    if status.is_over:
        output.say(f"plexus: it never ran: {status.state}")
        return NEVER_RAN
    output.say(
        f"plexus: after {arguments.wait:g} s it is {status.state}, and not over; "
        f"its run is {output.clean(status.run_id)}"
    )
    return NOT_OVER


# --- what there is ----------------------------------------------------------------------------------------------


def _list(api: PlexusAPI, arguments: argparse.Namespace) -> int:
    found = api.commands.list(arguments.source, limit=1)
    if arguments.json:
        for one in found.declared:
            output.json_line(attrs.asdict(one))
        return DONE
    if not found.declared:
        state = (
            "says nothing that it can be told" if found.online else "is offline, so what it can be told is not known"
        )
        output.say(f"{arguments.source} {state}")
        return DONE
    output.table(("NAME", "DANGER", "TAKES", "WHAT"), [_row(one) for one in found.declared])
    return DONE


def _row(one: DeclaredCommand) -> tuple[str, ...]:
    names = one.params if isinstance(one.params, dict) else [_name(param) for param in one.params]
    what = one.description or one.title or ""
    return (
        output.clean(one.name),
        one.danger or "-",
        output.clean(" ".join(map(str, names)) or "-"),
        output.clean(what),
    )


def _name(given: object) -> str:
    """The name in a 0.5.2 device's description of a param, which is for people and may be anything."""
    return str(given.get("name", "?")) if isinstance(given, dict) else str(given)
