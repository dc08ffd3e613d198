"""What an entry of the commandbook becomes by what happens to its command. Pure; each gives a change to apply.

queued ──► acknowledged ──► running ──► succeeded | failed      (as its device says, in the order in which it says it)
   └──► expired (and then whatever its device says later)       └──► offline (it was never sent)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import orjson

from plexus.domain.command import CommandOutcome
from plexus.ports.commandbook import FINAL, CommandEntry, State, Step
from plexus.protocol import frames

CALL_WAIT_S = 300.0
"""A call of 0.5.2 has no time of its own; one that is not acknowledged for so long is expired."""
RESULT_BYTES_KEPT = 64 * 1024
"""A result that is larger as JSON is let go of, and the entry says so."""
MAX_TEXT_CHARS = 2_000
MAX_CODE_CHARS = 64

Change = Callable[[CommandEntry], CommandEntry]
"""The entry as it is now; the same object when nothing changes."""

_STATUS_STATES: Mapping[str, State] = {
    "acknowledged": "acknowledged",
    "running": "running",
    "progress": "running",
    "succeeded": "succeeded",
    "failed": "failed",
}
_EVENT_STATES: Mapping[str, State] = {"ack": "acknowledged", "result": "succeeded", "error": "failed"}


def reported(status: frames.CommandStatus, now_ms: float) -> Change:
    """A device said where a run is. What is older than what is known, or after the end, changes nothing."""

    def change(entry: CommandEntry) -> CommandEntry:
        state = _STATUS_STATES.get(status.state)
        if state is None or status.seq <= entry.seq or entry.state in FINAL:
            return entry
        result, message = _bounded(status.result, _cut(status.message))
        step = Step(now_ms, state, entry.attempts, _percent(status), message)
        return attrs.evolve(
            _stepped(entry, step),
            seq=status.seq,
            result=result,
            error_code=_cut(status.error_code, MAX_CODE_CHARS),
            error_message=_cut(status.error_message),
        )

    return change


def answered(outcome: CommandOutcome, now_ms: float) -> Change:
    """A device of 0.5.2 said something of a call."""

    def change(entry: CommandEntry) -> CommandEntry:
        state = _EVENT_STATES.get(outcome.event)
        if state is None or state == entry.state or entry.state in FINAL:
            return entry
        result, message = _bounded(outcome.result, None)
        step = Step(now_ms, state, entry.attempts, message=message)
        return attrs.evolve(_stepped(entry, step), result=result, error_message=_cut(outcome.error))

    return change


def sent_again(attempt: int, now_ms: float) -> Change:
    """It was sent once more; its device may have answered meanwhile."""

    def change(entry: CommandEntry) -> CommandEntry:
        entry = attrs.evolve(entry, attempts=max(attempt, entry.attempts))
        return _stepped(entry, Step(now_ms, "queued", attempt)) if entry.state == "queued" else entry

    return change


def expired(now_ms: float) -> Change:
    """Its time is over."""
    return lambda entry: _stepped(entry, Step(now_ms, "expired", entry.attempts)) if entry.state == "queued" else entry


def never_sent(now_ms: float) -> Change:
    """Its device went, or takes no more, before it was sent."""

    def change(entry: CommandEntry) -> CommandEntry:
        return attrs.evolve(entry, state="offline", attempts=0, steps=(Step(now_ms, "offline", 0),))

    return change


def _stepped(entry: CommandEntry, step: Step) -> CommandEntry:
    steps: Sequence[Step] = entry.steps
    if step.progress is not None and steps and steps[-1].progress is not None:
        steps = steps[:-1]
    return attrs.evolve(entry, state=step.state, steps=(*steps, step))


def _percent(status: frames.CommandStatus) -> float | None:
    return status.progress if status.state == "progress" else None


def _bounded(result: Any, message: str | None) -> tuple[Any, str | None]:
    size = _json_size(result)
    if size <= RESULT_BYTES_KEPT:
        return result, message
    return None, f"the result is not kept: it has more than {RESULT_BYTES_KEPT} bytes of JSON"


def _cut(text: str | None, most: int = MAX_TEXT_CHARS) -> str | None:
    return None if text is None else text[:most]


def _json_size(value: Any) -> float:
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return float("inf")  # nested deeper than it goes
