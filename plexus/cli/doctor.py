"""`plexus doctor`: what keeps this machine from its gateway, one by one, and what to do."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from plexus.cli import output
from plexus.cli.arguments import command, seconds

if TYPE_CHECKING:
    from plexus.api.doctor import Finding
    from plexus.cli.arguments import Commands

TEXT = """\
It looks at the settings, the key, each host (proxy, name, TCP, TLS, and what answers there), the clock, the spool with
its disk, and the libraries. Nothing is changed and no reading is sent. A line that fails, or warns, says what to do.

exit codes: 0 nothing fails (there may be warnings), 1 something fails

examples:
  plexus doctor
  plexus doctor --problems                     only what fails or warns
  plexus doctor --json | jq 'select(.state == "fail")'
"""

_COLOURS = {"ok": output.GREEN, "warn": output.YELLOW, "fail": output.RED}


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "doctor", run, "look for what keeps this machine from its gateway", TEXT)
    parser.add_argument("--problems", action="store_true", help="only what fails or warns")
    parser.add_argument("--timeout", type=seconds, default=5.0, metavar="S", help="seconds for each step (default: 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object a finding")


def run(arguments: argparse.Namespace) -> int:
    """Look, and say what is found as it is found."""
    from plexus.api.doctor import examine

    states: Counter[str] = Counter()
    for finding in examine(timeout=arguments.timeout):
        states[finding.state] += 1
        if arguments.problems and finding.state == "ok":
            continue
        if arguments.json:
            output.json_line(attrs.asdict(finding))
        else:
            _show(finding)
    if not arguments.json:
        output.say(_summary(states))
    return 1 if states["fail"] else 0


def _show(finding: Finding) -> None:
    state = output.paint(finding.state.ljust(4), _COLOURS[finding.state])
    subject = f"{output.clean(finding.subject)}: " if finding.subject else ""
    output.line(f"{state}  {finding.check.ljust(9)}  {subject}{output.clean(finding.said)}")
    if finding.advice:
        output.line(f"{'':17}-> {output.clean(finding.advice)}")


def _summary(states: Counter[str]) -> str:
    failing, warned = states["fail"], states["warn"]
    if not failing and not warned:
        return "all is well"
    parts = [f"{failing} {'fails' if failing == 1 else 'fail'}"] if failing else []
    parts += [f"{warned} {'wants' if warned == 1 else 'want'} a look"] if warned else []
    return f"{' and '.join(parts)}, {states['ok']} are well"
