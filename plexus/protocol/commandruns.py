"""What a device says of the runs it was told to do (protocol 1), without I/O, threads or a clock.

    (arrived) ──► acknowledged ──► running ──► progress* ──► succeeded | failed
        └───────────────┴──────────────────────────────────────► failed

Invariants:
- a run id that is remembered never begins again, however often it arrives: what is known of it is said again;
- a status is kept until it is acknowledged, and said again, in order, on every connection until then;
- a run has one final state, and nothing is said after it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Union

import attrs

from plexus.domain.errors import ProtocolError
from plexus.protocol import frames

REMEMBERED = 256
MOST_REMEMBERED = 1024
"""Runs that are over and not acknowledged are remembered beyond 256, up to here."""

MAX_STATUS_BYTES = 64 * 1024
MAX_TEXT_CHARS = 2_000
"""Of an error or a message; with four bytes a character it still fits a frame."""

FINAL = frozenset({"succeeded", "failed"})
TRANSITIONS: Mapping[str, frozenset[str]] = {
    "": frozenset({"acknowledged", "failed"}),
    "acknowledged": frozenset({"running", "failed"}),
    "running": frozenset({"progress", "succeeded", "failed"}),
    "progress": frozenset({"progress", "succeeded", "failed"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
}
"""Where each state of a run may lead; nothing else is ever said."""

Said = Union[frames.CommandSync, frames.CommandStatus]


class RunReports(Protocol):
    """What a device says of runs (protocol 1), as a session asks for it."""

    def protocol(self) -> int:
        """What to offer; asked after the commands were."""
        ...

    def connected(self, protocol: int) -> None:
        """The gateway answered with this; without it (0) nothing is asked for."""
        ...

    def take(self) -> Sequence[Said]:
        """What is to be said now, in order; each is handed out once a connection."""
        ...


@attrs.define
class _Held:
    order: int
    status: frames.CommandStatus
    due: bool = True


@attrs.define
class _Run:
    state: str = ""
    seq: int = 0
    last: frames.CommandStatus | None = None
    held: list[_Held] = attrs.field(factory=list)


class CommandRuns:
    """The runs of one device. Not for two threads at once: whoever shares it guards it."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._order = 0
        self._sync_due = False
        self._any_due = False

    # --- what happens on the device -------------------------------------------------------------------------

    def arrive(self, run_id: str) -> bool:
        """A run arrived. True: it is new, and to be answered for with `say`. False: what is known is said again."""
        known = self._runs.get(run_id)
        if known is None:
            self._runs[run_id] = _Run()
            self._forget()
            return True
        if not known.held and known.last is not None:
            known.held.append(_Held(self._next(), known.last))
        self._say_again(known)
        return False

    def say(self, run_id: str, state: str, **fields: Any) -> bool:
        """Say that a run is in `state` now; False when it cannot be, since it is over, or forgotten.

        `fields` are those of `CommandStatus`. A result that no frame can carry is left out, and `message` says so.
        """
        run = self._runs.get(run_id)
        if run is None or state not in TRANSITIONS[run.state]:
            return False
        unsent = run.held[-1] if run.held and run.held[-1].due else None
        if state == "progress" and unsent is not None and unsent.status.state == "progress":
            # Nobody heard of the one before: this one takes its place.
            unsent.status = run.last = _fitted(frames.CommandStatus(run_id, run.seq, state, **fields))
            return True
        if state in ("progress", *FINAL):
            run.held = [each for each in run.held if each.due or each.status.state != "progress"]
        run.seq += 1
        run.state = state
        run.last = _fitted(frames.CommandStatus(run_id, run.seq, state, **fields))
        run.held.append(_Held(self._next(), run.last))
        self._any_due = True
        return True

    def open_runs(self) -> int:
        """How many runs have no final state yet."""
        return sum(run.state not in FINAL for run in self._runs.values())

    # --- what the link does ---------------------------------------------------------------------------------

    def connected(self) -> None:
        """A new connection: what is known is told first, then all that is not acknowledged."""
        self._sync_due = any(run.seq for run in self._runs.values())
        for run in self._runs.values():
            self._say_again(run)

    def acknowledged(self, run_id: str, seq: int) -> None:
        """The gateway has the statuses of a run up to `seq`."""
        run = self._runs.get(run_id)
        if run is not None:
            run.held = [each for each in run.held if each.status.seq > seq]

    def take(self) -> list[Said]:
        """What is to be said now, in order; on a connection each is handed out once."""
        if not (self._any_due or self._sync_due):
            return []
        self._any_due = False
        due = [each for run in self._runs.values() for each in run.held if each.due]
        due.sort(key=lambda each: each.order)
        for each in due:
            each.due = False
        said: list[Said] = [each.status for each in due]
        if self._sync_due:
            self._sync_due = False
            said.insert(0, self._sync())
        return said

    # --- inside ---------------------------------------------------------------------------------------------

    def _say_again(self, run: _Run) -> None:
        for each in run.held:
            each.due = self._any_due = True

    def _sync(self) -> frames.CommandSync:
        return frames.CommandSync(
            tuple(frames.SyncedRun(run_id, run.state, run.seq) for run_id, run in self._runs.items() if run.seq)
        )

    def _next(self) -> int:
        self._order += 1
        return self._order

    def _forget(self) -> None:
        """Let go of the oldest run that is over: one that is acknowledged, unless there are far too many."""
        if len(self._runs) <= REMEMBERED:
            return
        over = [run_id for run_id, run in self._runs.items() if run.state in FINAL]
        settled = next((run_id for run_id in over if not self._runs[run_id].held), None)
        if settled is not None:
            del self._runs[settled]
        elif over and len(self._runs) > MOST_REMEMBERED:
            del self._runs[over[0]]


def _fitted(status: frames.CommandStatus) -> frames.CommandStatus:
    """The status as one frame can carry it: texts cut, and without its result when that is too large or no JSON."""
    status = attrs.evolve(status, error_message=_cut(status.error_message), message=_cut(status.message))
    try:
        size = len(frames.dump(status).encode())
    except ProtocolError as exc:
        return attrs.evolve(status, result=None, message=_cut(f"the result was left out: it {exc}"))
    if size <= MAX_STATUS_BYTES:
        return status
    left_out = f"the result was left out: with it the status has {size} bytes, at most {MAX_STATUS_BYTES} can be sent"
    return attrs.evolve(status, result=None, message=left_out)


def _cut(text: str | None) -> str | None:
    # A lone surrogate (a file name, say) would make the status itself unsendable.
    return None if text is None else text[:MAX_TEXT_CHARS].encode("utf-8", "replace").decode()
