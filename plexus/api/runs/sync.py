"""The steps of `plexus.api.runs.loading`, done one after another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from plexus.api.history import gathering, threads
from plexus.api.history.progress import Progress
from plexus.api.pinned import moment
from plexus.api.runs.loading import AT_ONCE, RunSteps, Step
from plexus.api.steps import Ask, T, drive

if TYPE_CHECKING:
    from plexus.api.link import Link


def done(link: Link, steps: RunSteps[T], progress: bool | None) -> T:
    """Do the steps over this link. `progress`: whether a bar is shown; None: on a terminal."""
    return drive(steps, partial(_do, link, progress))


def _do(link: Link, progress: bool | None, step: Step) -> Any:
    if isinstance(step, Ask):
        return link.ask(step.call)
    course = gathering.gathering(
        step.source_id,
        step.metrics,
        last=None,
        start=moment(step.window.start_us),
        end=moment(step.window.end_us),
        interval=step.interval,
        at_once=AT_ONCE,
        rows_at_once=gathering.LOAD_ROWS,
    )
    return threads.load(link, course, Progress(step.source_id, progress))
