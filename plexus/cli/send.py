"""`plexus send`: one reading, and the certainty that it is stored."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING, Any

from plexus.cli import output
from plexus.cli.arguments import command, seconds, tag

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.domain.errors import PlexusError
    from plexus.domain.values import Value

TEXT = """\
A VALUE that is JSON is sent as that: a number, true, false, an object, an array. Anything else is text.

examples:
  plexus send battery.voltage 12.4
  plexus send motor.rpm 3200 --tag motor_id=A1 --source drone-01
  plexus send robot.state RUNNING
  plexus send zip.code '"01234"'               a number as text: in JSON's quotes
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "send", run, "send one reading", TEXT)
    parser.add_argument("metric", metavar="METRIC", help="its name, such as battery.voltage")
    parser.add_argument("value", metavar="VALUE", help="a number, text, true, false, or JSON")
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="S", help="seconds to wait (default: 10)")
    parser.add_argument(
        "--tag", type=tag, action="append", default=[], metavar="K=V", help="may be given several times"
    )
    parser.add_argument(
        "--source", metavar="ID", help="what it comes from (default: this machine's name in the settings)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Send it, and wait until the gateway has it."""
    from plexus.client import Plexus
    from plexus.domain.errors import AuthenticationError

    errors: list[PlexusError] = []
    with Plexus(source_id=arguments.source, on_error=errors.append) as px:
        # A refusal that comes sooner than the reading is raised once the reading is taken; `flush_buffer` tells it too.
        with contextlib.suppress(AuthenticationError):
            px.send(arguments.metric, read_value(arguments.value), tags=dict(arguments.tag) or None)
        stored = px.flush_buffer(arguments.timeout)
        dropped = px.stats().dropped
    if stored and not dropped:
        return 0
    if dropped:
        output.say(f"plexus: the reading was not taken: {', '.join(sorted(dropped))}")
    elif any(isinstance(error, AuthenticationError) for error in errors):
        # Why is in the status line already.
        output.say("plexus: the reading is not sent; it is kept on this machine and goes with the next `plexus send`")
    else:
        output.say(
            f"plexus: the gateway has not taken the reading within {arguments.timeout:g} s; "
            "it is kept on this machine and goes with the next `plexus send`"
        )
    return 1


def read_value(text: str) -> Value:
    """The value that `text` means: JSON where it is JSON (except null, which nothing is), else text."""
    from plexus.domain.errors import ProtocolError
    from plexus.protocol import jsontext

    try:
        value: Any = jsontext.loads(text)
    except ProtocolError:
        return text
    return text if value is None else value
