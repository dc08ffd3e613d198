"""Judging runs for whoever asks for them: as late as that, so that what arrived late is judged too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plexus.domain.errors import QueryError
from plexus.domain.run import Judgement, Run
from plexus.gateway.core import Core
from plexus.gateway.judgements import newest_arrival
from plexus.gateway.rest.caller import Caller
from plexus.gateway.rest.criteria import judge
from plexus.ports.store import Question

LISTED_AT_ONCE = 50
LISTED_S = 2.0
"""A list judges so many runs at most, and begins with another for so long."""


async def judgement(caller: Caller, run: Run) -> Judgement | None:
    """How a run is judged on what is stored now; None when it has no criteria or has not ended."""
    if not is_to_judge(run):
        return None
    return await caller.question(lambda question: _judged(caller.core, caller.org, run, question))


async def judgements(caller: Caller, runs: Sequence[Run]) -> Mapping[str, Judgement]:
    """The same for a list, newest first, as far as it goes; for the others how they were judged last. By run id."""
    core, org = caller.core, caller.org
    due = [run for run in runs if is_to_judge(run)]
    found = {run.run_id: last for run in due if (last := core.judgements.last(org, run)) is not None}
    if due:
        found.update(await caller.question(lambda question: _judged_first(core, org, due, question)))
    return found


def is_to_judge(run: Run) -> bool:
    """Whether it can be judged."""
    return bool(run.pass_criteria) and run.ended_ms is not None


def _judged_first(core: Core, org: str, runs: Sequence[Run], question: Question) -> dict[str, Judgement]:
    until = core.monotonic() + LISTED_S
    found: dict[str, Judgement] = {}
    for run in runs[:LISTED_AT_ONCE]:
        if core.monotonic() > until:
            break
        try:
            found[run.run_id] = _judged(core, org, run, question)
        except QueryError:
            break  # there is more to read than a question may; whoever asks for one run hears why
    return found


def _judged(core: Core, org: str, run: Run, question: Question) -> Judgement:
    removals = core.judgements.removals(org)
    arrival_ns = newest_arrival(run, core.store.sources(org))
    known = core.judgements.current(org, run, arrival_ns)
    if known is None:
        known = judge(core.store, org, run, question)
        core.judgements.keep(org, run, arrival_ns, removals, known)
    return known
