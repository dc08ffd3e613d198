"""`plexus runs`: named stretches of time: which there are, how one was judged, and how they differ."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import attrs

from plexus.cli import output, tables
from plexus.cli.arguments import command, takes_more

if TYPE_CHECKING:
    from plexus.api.runs import Comparison
    from plexus.cli.arguments import Commands
    from plexus.domain.run import Judgement, Run

TEXT = """\
examples:
  plexus runs list --source drone-01
  plexus runs show 3f2a9c01
  plexus runs show 3f2a9c01 --check && echo passed
  plexus runs compare 3f2a9c01 8be10c77 --metric motor.temp_c
  plexus runs compare 3f2a9c01 8be10c77 --csv > differences.csv
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "runs", _help, "list runs, show how one was judged, compare them", TEXT)
    parser.set_defaults(parser=parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    listing = command(actions, "list", _list, "list runs, the newest first", TEXT)
    listing.add_argument("--source", metavar="SOURCE", help="only runs of this source")
    listing.add_argument("--status", choices=("running", "completed", "aborted"), help="only these")
    listing.add_argument("--json", action="store_true", help="one JSON object a run")

    showing = command(actions, "show", _show, "show one run, with the verdict of each of its criteria", TEXT)
    showing.add_argument("run_id", metavar="RUN", help="from `plexus runs list`")
    showing.add_argument("--check", action="store_true", help="exit code 1 unless it was judged and passed")
    showing.add_argument("--json", action="store_true", help="one JSON object")

    comparing = command(actions, "compare", _compare, "compare runs, aligned at their beginnings, with the first", TEXT)
    comparing.add_argument("run_ids", nargs="+", metavar="RUN", help="two or more from `plexus runs list`")
    comparing.add_argument("--metric", action="append", metavar="METRIC", help="only this, repeatable (default: all)")
    comparing.add_argument("--interval", metavar="LENGTH", help="raw, 1m, 10m, 1h or 1d (default: what suits)")
    takes_more(comparing, last="run_ids")
    forms = comparing.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="one JSON object a metric and run")
    forms.add_argument("--csv", action="store_true", help="a line a metric and run, with a heading")


def _help(arguments: argparse.Namespace) -> int:
    arguments.parser.print_help()
    return 2


def _list(arguments: argparse.Namespace) -> int:
    from plexus.api import PlexusAPI

    with PlexusAPI() as api:
        found = api.runs.list(arguments.source, status=arguments.status)
    if arguments.json:
        for run in found:
            output.json_line(_plain(run))
        return 0
    if not found:
        output.say('no run yet: `with px.run("name"):` in a device\'s program opens one')
        return 0
    headings = ("RUN", "NAME", "SOURCE", "STATUS", "STARTED", "LENGTH", "VERDICT")
    output.table(headings, [_row(run) for run in found])
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from plexus.api import PlexusAPI

    with PlexusAPI() as api:
        run = api.runs.get(arguments.run_id)
    if arguments.json:
        output.json_line(_plain(run))
    else:
        _tell(run)
    passed = run.test_result is not None and run.test_result.passed
    return 1 if arguments.check and not passed else 0


def _compare(arguments: argparse.Namespace) -> int:
    from plexus.api import PlexusAPI

    with PlexusAPI() as api:
        found = api.runs.compare(*arguments.run_ids, metrics=arguments.metric, interval=arguments.interval)
    rows = [attrs.asdict(row, recurse=False) for row in found.rows()]
    if arguments.json:
        for row in rows:
            output.json_line(row)
    elif arguments.csv:
        from plexus.api.runs.comparison import ComparisonRow

        tables.csv_lines([[field.name for field in attrs.fields(ComparisonRow)], *(list(row.values()) for row in rows)])
    else:
        _tell_comparison(found)
    return 0


# --- for a person -----------------------------------------------------------------------------------------------


def _row(run: Run) -> tuple[str, ...]:
    return (
        output.clean(run.run_id),
        output.clean(run.name),
        output.clean(run.source_id or "(all)"),
        run.status,
        output.moment(run.started_ms),
        _length(run),
        _verdict(run.test_result),
    )


def _tell(run: Run) -> None:
    names = ("run", "name", "source", "status", "started", "length", "verdict")
    for name, text in zip(names, _row(run), strict=True):
        output.line(f"{name.ljust(9)}{text}")
    for label, mapping in (("tag", run.tags), ("metadata", run.metadata)):
        for key, value in mapping.items():
            output.line(f"{label.ljust(9)}{output.clean(str(key))}  {output.shown(value)}")
    if run.test_result is None:
        return
    for one in run.test_result.criteria_results:
        state = output.paint("passed", output.GREEN) if one.passed else output.paint("FAILED", output.RED)
        label = f"  ({output.clean(one.label)})" if one.label else ""
        output.line(f"{state}   {output.clean(one.metric)} {one.operator} {one.value:g}{label}")


def _tell_comparison(found: Comparison) -> None:
    output.line(str(found))
    for run, verdict in zip(found.runs, found.verdicts, strict=True):
        output.line(f"{output.clean(run.name)} ({output.clean(run.run_id)}): {_verdict(verdict)}")


def _verdict(judgement: Judgement | None) -> str:
    if judgement is None:
        return "not judged"
    return "passed" if judgement.passed else "FAILED"


def _length(run: Run) -> str:
    if run.ended_ms is None:
        return "-"
    seconds = max(0.0, run.ended_ms - run.started_ms) / 1000.0
    if seconds < 60:
        return f"{seconds:.3g} s"
    hours, left = divmod(int(seconds), 3600)
    return f"{hours}:{left // 60:02d}:{left % 60:02d}" if hours else f"{left // 60}:{left % 60:02d} min"


def _plain(run: Run) -> dict[str, Any]:
    from plexus.domain.run import Run as PlainRun

    fields = {field.name: getattr(run, field.name) for field in attrs.fields(PlainRun)}
    return attrs.asdict(PlainRun(**fields))
