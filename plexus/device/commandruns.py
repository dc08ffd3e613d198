"""Runs of typed commands (protocol 1): judged on arrival, run on threads, reported until the gateway has it all.

    arrive ──► refused (unknown, bad params, expired, busy, duplicate)
       └────► acknowledged ──► waits for a thread ──► running ──► succeeded | failed
                                      └─ too long ──► failed (expired_on_arrival)

What is said of a run is `plexus.protocol.commandruns`; this is who says it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from plexus.device.counters import log
from plexus.device.declaring import Typed
from plexus.domain.command import CommandCall
from plexus.domain.errors import CommandParamError, ProtocolError
from plexus.protocol import frames, jsontext
from plexus.protocol.commandruns import CommandRuns, Said

AT_ONCE = 8
"""Handlers that run beside each other; more runs wait for a thread."""
MAX_OPEN = 128
"""Runs that are waiting or going on; the next one hears `busy`."""
FINISH_S = 10.0
"""How long commands that are going on may take to finish once serving has ended, unless told otherwise."""
PROGRESS_EVERY_S = 1.0
"""Progress is said so often at most, but for 100, which is always said."""

RunJob = Callable[[Callable[[], None]], None]
"""How a handler is run: on a thread of its own in a client, at once in a test."""


class Cancelled(Exception):  # noqa: N818 - a handler says with it what became of its run; it is no fault
    """Raised by a handler to end its run as cancelled."""


class CommandRun:
    """One run of a typed command, as its handler sees it.

    Attributes:
        id: the run's id; the same one never runs twice on this device.
        command, params: what was asked for; `params` are checked, with defaults filled in.
        attempt: 1, or more when the gateway sent it again.
    """

    Cancelled = Cancelled

    def __init__(self, asked: frames.CommandRun, params: Mapping[str, Any], deadline: float | None, desk: RunDesk):
        self.id = asked.run_id
        self.command = asked.command
        self.params = params
        self.attempt = asked.attempt
        self._deadline = deadline
        self._desk = desk
        self._said_at = -math.inf

    def __repr__(self) -> str:
        return f"CommandRun({self.command!r}, id={self.id!r})"

    @property
    def time_remaining(self) -> float | None:
        """Seconds until the run is not worth doing any more, at least 0; None when it has no end. Nothing stops it."""
        return None if self._deadline is None else max(0.0, self._deadline - self._desk.now())

    @property
    def cancel_requested(self) -> bool:
        """Whether the device wants to stop: a handler that can do so raises `run.Cancelled`."""
        return self._desk.closed

    def progress(self, percent: float, message: str = "") -> None:
        """Say how far it is, 0 to 100. Cheap to call often: it is said once a second at most, and always at 100."""
        number = float(percent)
        if math.isnan(number):
            raise CommandParamError("progress takes a number from 0 to 100, not NaN")
        now = self._desk.now()
        if number < 100.0 and now < self._said_at + PROGRESS_EVERY_S:
            return
        self._said_at = now
        self._desk.say(self.id, "progress", progress=min(100.0, max(0.0, number)), message=message or None)


@attrs.frozen(eq=False)
class _Job:
    run: CommandRun
    typed: Typed
    deadline: float | None


class RunDesk:
    """Runs typed commands. Every method may be called by any thread; `ring` is called when there is news to send.

    `now` is monotonic seconds.
    """

    def __init__(self, run: RunJob, ring: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.closed = False
        self._run_job = run
        self._ring = ring
        self._changed = threading.Condition()
        self._runs = CommandRuns()
        self._stopping = self._stop_asked = False
        self._finish_s = FINISH_S
        self._waiting: deque[_Job] = deque()
        self._going: list[_Job] = []
        self._calls = 0

    # --- the link's side ------------------------------------------------------------------------------------

    def arrive(self, asked: frames.CommandRun, typed: Typed | None) -> None:
        """A run for `typed` arrived just now; never waits for its handler."""
        arrived = self.now()
        with self._changed:
            if self._runs.arrive(asked.run_id):
                self._judge(asked, typed, arrived)
        self._ring()
        self._start_waiting()

    def acknowledged(self, run_id: str, seq: int) -> None:
        """The gateway has the statuses of a run up to `seq`."""
        with self._changed:
            self._runs.acknowledged(run_id, seq)

    def connected(self) -> None:
        """A connection of protocol 1 is up: what is not acknowledged is due again."""
        with self._changed:
            self._runs.connected()
        self._ring()

    def take(self) -> Sequence[Said]:
        """What is to be said now, in order."""
        with self._changed:
            return self._runs.take()

    # --- the handlers' side ---------------------------------------------------------------------------------

    def say(self, run_id: str, state: str, **fields: Any) -> None:
        """Say where a run is."""
        with self._changed:
            said = self._runs.say(run_id, state, **fields)
        if said:
            self._ring()

    # --- the program's side ---------------------------------------------------------------------------------

    def serve(self, timeout: float | None) -> None:
        """Take runs until `stop` or `close` (or `timeout` seconds), then none, and let those that are going on finish.

        A `stop` that came before counts. Ctrl+C ends it too.
        """
        with self._changed:
            self._stopping = self._stop_asked or self.closed
            try:
                self._changed.wait_for(lambda: self._stop_asked or self.closed, timeout)
            except KeyboardInterrupt:
                # How a person ends a program that serves.
                log.info("serving was interrupted")
            self._stopping, self._stop_asked = True, False
            self._changed.wait_for(lambda: self._is_idle() or self.closed, self._finish_s)

    def stop(self, finish_s: float) -> None:
        """Take no new runs: they hear `busy`. Those that go on have `finish_s` seconds before `serve` returns."""
        with self._changed:
            self._stopping = self._stop_asked = True
            self._finish_s = finish_s
            self._changed.notify_all()

    def close(self) -> None:
        """The end: what waits is cancelled, what runs is asked to."""
        with self._changed:
            self._stopping = self.closed = True
            cancelled = list(self._waiting)
            self._waiting.clear()
            for job in cancelled:
                self._fail(job.run.id, "cancelled", "the device stopped before it could run it")
            self._changed.notify_all()
        if cancelled:
            self._ring()

    # --- calls of 0.5.2, which are no runs ------------------------------------------------------------------

    def enter(self) -> bool:
        """A call begins, and `leave` will follow; False: none is taken now."""
        with self._changed:
            if self._stopping:
                return False
            self._calls += 1
            return True

    def leave(self) -> None:
        """A call has ended."""
        with self._changed:
            self._calls -= 1
            self._changed.notify_all()

    def call(self, typed: Typed, call: CommandCall) -> Any:
        """Do a typed command that came as a call; its progress reaches nobody. Raises what the handler raises."""
        asked = frames.CommandRun(call.call_id, call.command, call.params)
        return _invoke(typed, CommandRun(asked, typed.declaration.check(call.params), None, self))

    # --- inside, under the lock -----------------------------------------------------------------------------

    def _judge(self, asked: frames.CommandRun, typed: Typed | None, arrived: float) -> None:
        refusal = self._refusal(asked, typed)
        if refusal is None and typed is not None:
            try:
                params = typed.declaration.check(asked.params)
            except CommandParamError as exc:
                refusal = ("bad_params", str(exc))
            else:
                deadline = None if asked.ttl_ms is None else arrived + asked.ttl_ms / 1000.0
                self._runs.say(asked.run_id, "acknowledged")
                self._waiting.append(_Job(CommandRun(asked, params, deadline, self), typed, deadline))
                return
        if refusal is not None:
            self._fail(asked.run_id, *refusal)

    def _refusal(self, asked: frames.CommandRun, typed: Typed | None) -> tuple[str, str] | None:
        if typed is None:
            return "unknown_command", f"unknown command: {asked.command}"
        if asked.ttl_ms is not None and asked.ttl_ms <= 0:
            return "expired_on_arrival", f"the run expired before it arrived (ttl_ms {asked.ttl_ms:g})"
        if asked.attempt > 1 and not typed.declaration.idempotent:
            # A device that restarted since the first attempt cannot know whether that one ran.
            return "duplicate", f"attempt {asked.attempt} of a command that is not idempotent: it may have run before"
        if self._stopping:
            return "busy", "the device takes no commands now"
        if self._runs.open_runs() > MAX_OPEN:
            return "busy", f"{MAX_OPEN} runs are waiting or going on"
        if typed.declaration.concurrency == "reject" and self._is_going_on(typed):
            return "busy", f"{asked.command} is going on already"
        return None

    def _is_idle(self) -> bool:
        return not (self._waiting or self._going or self._calls)

    def _is_going_on(self, typed: Typed) -> bool:
        name = typed.declaration.name
        return any(job.typed.declaration.name == name for job in (*self._going, *self._waiting))

    def _fail(self, run_id: str, code: str, why: str) -> None:
        self._runs.say(run_id, "failed", error_code=code, error_message=why)

    # --- inside, running ------------------------------------------------------------------------------------

    def _start_waiting(self) -> None:
        """Start as many threads as there is room for."""
        while (job := self._next()) is not None:
            first = job
            try:
                self._run_job(lambda first=first: self._work(first))  # type: ignore[misc]  # bound now
            except RuntimeError as exc:
                # The system gives no more threads, or the interpreter is going down.
                self._end(first, "failed", error_code="busy", error_message=f"it cannot be run now: {exc}")

    def _next(self) -> _Job | None:
        with self._changed:
            if not self._waiting or len(self._going) >= AT_ONCE:
                return None
            job = self._waiting.popleft()
            self._going.append(job)
            return job

    def _work(self, job: _Job | None) -> None:
        while job is not None:
            self._one(job)
            job = self._next()

    def _end(self, job: _Job, state: str, **fields: Any) -> None:
        # In one step: whoever hears of the end may send the next run at once.
        with self._changed:
            self._going.remove(job)
            self._runs.say(job.run.id, state, **fields)
            self._changed.notify_all()
        self._ring()

    def _one(self, job: _Job) -> None:
        run = job.run
        if job.deadline is not None and self.now() >= job.deadline:
            why = "the run expired while it waited behind others"
            self._end(job, "failed", error_code="expired_on_arrival", error_message=why)
            return
        self.say(run.id, "running")
        try:
            result = _invoke(job.typed, run)
        except Cancelled as exc:
            self._end(job, "failed", error_code="cancelled", error_message=str(exc) or "the handler cancelled it")
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever the handler raises is what its sender has to hear
            self._end(job, "failed", error_code="handler_error", error_message=f"{type(exc).__name__}: {exc}")
        else:
            self._end(job, "succeeded", result=_object(result))


def _invoke(typed: Typed, run: CommandRun) -> Any:
    arguments = (run,) if typed.wants_run else ()
    return typed.handler(*arguments, **run.params)


def _object(result: Any) -> Any:
    """A run's result as the wire has it, an object: what is none becomes its `value`, None is no result."""
    if result is None:
        return None
    whole = result if isinstance(result, dict) else {"value": result}
    try:
        # Taken as it is now: the handler may go on changing what it returned.
        return jsontext.loads(jsontext.dumps(whole))
    except ProtocolError:
        # The status is sent all the same, and says that it goes without.
        return whole
