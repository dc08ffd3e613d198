"""Runs of a device: `with px.run("thermal-cycle-001"): …`. Told off the caller's path, and never in its way.

The run that is open belongs to the client, not to the thread, as in 0.5.2: a sampling thread that was started before
the block sends its points under the run's id too, which a ContextVar would not give it. Two blocks that overlap in one
client are therefore one inside the other to it: points carry the id of the one that was opened last and is still open.

There are two kinds. One of 0.5.2 has its name for its id, and its points carry it. One of 0.11.0 gets its id from the
app, which finds its points by source and time: they carry none. Which kind it is follows from what is asked for:
whatever 0.5.2 cannot say (`metadata`, `pass_criteria`, `started_at`, another source) makes it the newer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import attrs

from plexus.device.runfields import (
    CriterionItem,
    Own,
    SourceChoice,
    check_criteria,
    check_metadata,
    check_name,
    check_source,
    check_start,
    check_tags,
)
from plexus.domain.errors import ConfigurationError, DeliveryError, PlexusError
from plexus.domain.run import Criterion, Run, RunStatus
from plexus.ports.clock import Clock
from plexus.ports.runs import RunRegistry, TestResult
from plexus.protocol.backoff import backoff_s

ATTEMPTS = 5
"""With waits of about 1, 2, 4 and 8 s between them."""

MOVED_MS = 1_000.0
"""A start that was told further off than this from what the corrected clock now says is told again before the end."""

RunJob = Callable[[Callable[[], None]], None]
"""How a job is run: on a thread of its own in a client, at once in a test."""

Wait = Callable[[threading.Event, float], bool]
"""Waits for the event at most so many seconds; whether it is set. `threading.Event.wait` in a client."""

T = TypeVar("T")


@attrs.define(eq=False)
class ActiveRun:
    """A run of this client, while it goes on and after it ended.

    Attributes:
        name: what people call it.
        run_id: its id; of a run of the newer kind it is the app's to give, and None until it did.
        tags, metadata, pass_criteria: as they were passed.
        status: "running", "completed" or "aborted".
        test_result: `{"passed", "criteria_results"}`, once the app has judged it (`wait`); None where there are no
            criteria.
        error: why the app could not be told of its end; "" if it could, or nothing is known yet.
        settled: set once the app was told of its end, or could not be.
    """

    name: str
    run_id: str | None
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]
    pass_criteria: tuple[Criterion, ...] = ()
    status: RunStatus = "running"
    test_result: TestResult | None = None
    error: str = ""
    settled: threading.Event = attrs.field(factory=threading.Event, repr=False)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the app was told how the run ended, or could not be, at most `timeout` seconds; whether it was."""
        return self.settled.wait(timeout) and not self.error


@attrs.define(eq=False)
class _Span:
    """A run as this machine's monotonic clock saw it; what the wall said then is decided when it is told."""

    run: ActiveRun
    announced: bool
    source_id: SourceChoice
    started: int
    started_ms: float | None
    told_ms: float | None = None


@attrs.frozen
class _Boundary:
    span: _Span
    status: RunStatus
    ended: int | None = None


def _nothing() -> None:
    """For a client that has nothing under way."""


class RunBook:
    """Opens runs and tells of their boundaries.

    `source_id` gives the device's name at the time; `failed(name, detail)` hears of a run that could not be told of;
    `random` gives numbers from 0 up to 1, to spread the retries; `settle` waits, for a while, until the points taken so
    far are delivered, which a run must be judged by.
    """

    def __init__(
        self,
        registry: RunRegistry,
        clock: Clock,
        *,
        source_id: Callable[[], str],
        failed: Callable[[str, str], None],
        run: RunJob,
        wait: Wait,
        random: Callable[[], float],
        settle: Callable[[], object] = _nothing,
    ) -> None:
        self.current: str | None = None
        """The id that points carry now. Read by every `send`, so it is a plain attribute."""
        self._registry = registry
        self._clock = clock
        self._source_id = source_id
        self._failed = failed
        self._run_job = run
        self._wait = wait
        self._random = random
        self._settle = settle
        self._open: list[_Span] = []
        self._foreign: set[_Span] = set()
        self._queue: deque[_Boundary] = deque()
        self._changed = threading.Condition()
        self._working = False
        self._closing = threading.Event()

    # --- for the program ------------------------------------------------------------------------------------

    @contextmanager
    def run(
        self,
        name: str | None,
        tags: Mapping[str, object] | None = None,
        store_frames: bool = False,
        source_id: SourceChoice = Own.SOURCE,
        metadata: Mapping[str, Any] | None = None,
        pass_criteria: Iterable[CriterionItem] | None = None,
        started_at: datetime | str | float | None = None,
    ) -> Iterator[ActiveRun]:
        """A run for the length of a block; an exception that passes through ends it "aborted".

        `store_frames` is passed on as metadata: the gateway relays video live and decides by itself what it keeps.
        Raises ConfigurationError for what cannot be.
        """
        newer = (metadata, pass_criteria, started_at) != (None, None, None) or not isinstance(source_id, Own)
        kept = check_metadata(metadata, store_frames=store_frames)
        span = self._span(name, tags, source_id, kept, pass_criteria, started_at, newer=newer)
        self._begin(span)
        status: RunStatus = "aborted"
        try:
            yield span.run
            status = "completed"
        finally:
            self._end(span, status)

    def start(
        self,
        name: str,
        tags: Mapping[str, object] | None = None,
        source_id: SourceChoice = Own.SOURCE,
        metadata: Mapping[str, Any] | None = None,
        pass_criteria: Iterable[CriterionItem] | None = None,
        started_at: datetime | str | float | None = None,
    ) -> ActiveRun:
        """A run of the newer kind, until `end`."""
        kept = check_metadata(metadata, store_frames=False)
        span = self._span(name, tags, source_id, kept, pass_criteria, started_at, newer=True)
        self._begin(span)
        return span.run

    def end(self, run: ActiveRun | str | None, status: str) -> ActiveRun:
        """End a run, by itself, its name or its id; None is the one that was opened last."""
        if status not in ("completed", "aborted"):
            raise ConfigurationError(f"status of a run that ends must be 'completed' or 'aborted', not {status!r:.80}")
        with self._changed:
            found = [
                span for span in self._open if run is None or span.run is run or run in (span.run.name, span.run.run_id)
            ]
        if not found:
            asked = "a run" if run is None else repr(run if isinstance(run, str) else run.name)
            raise ConfigurationError(f"{asked} cannot be ended: no such run is open in this client")
        self._end(found[-1], "completed" if status == "completed" else "aborted")
        return found[-1].run

    def close(self, timeout: float) -> bool:
        """Try what is left to tell once more, waiting at most `timeout` seconds; whether nothing is left."""
        self._closing.set()
        with self._changed:
            done = self._changed.wait_for(lambda: not self._working, timeout)
        if done:
            self._registry.close()
        return done

    def disown(self, registry: RunRegistry | None) -> None:
        """This is a forked child: runs that are open are its parent's to end, and `registry` is its own for others.

        None: one that a process may share with its children.
        """
        self._registry = registry or self._registry
        # Another thread of the parent may have held these, and that thread is not in the child.
        self._changed, self._closing = threading.Condition(), threading.Event()
        self._working = False
        self._queue.clear()
        self._foreign = set(self._open)

    # --- boundaries -----------------------------------------------------------------------------------------

    def _span(
        self,
        name: str | None,
        tags: Mapping[str, object] | None,
        source_id: SourceChoice,
        metadata: Mapping[str, Any],
        pass_criteria: Iterable[CriterionItem] | None,
        started_at: datetime | str | float | None,
        *,
        newer: bool,
    ) -> _Span:
        run_id = None if newer else check_name(name)
        run = ActiveRun(check_name(name), run_id, check_tags(tags), metadata, check_criteria(pass_criteria))
        return _Span(run, not newer, check_source(source_id), self._clock.tick(), check_start(started_at))

    def _begin(self, span: _Span) -> None:
        with self._changed:
            self._open.append(span)
            self.current = self._id_for_points()
        self._announce(_Boundary(span, "running"))

    def _end(self, span: _Span, status: RunStatus) -> None:
        ended = self._clock.tick()
        with self._changed:
            if span not in self._open:
                # It was ended inside its own block.
                return
            self._open.remove(span)
            self.current = self._id_for_points()
        span.run.status = status
        if span not in self._foreign:
            self._announce(_Boundary(span, status, ended))

    def _id_for_points(self) -> str | None:
        named = [span.run.run_id for span in self._open if span.announced]
        return named[-1] if named else None

    def _announce(self, boundary: _Boundary) -> None:
        with self._changed:
            self._queue.append(boundary)
            if self._working:
                return
            self._working = True
        try:
            self._run_job(self._work)
        except RuntimeError as exc:
            # The system gives no more threads, or the interpreter is going down.
            with self._changed:
                self._working = False
                self._queue.clear()
            self._give_up(boundary, str(exc))

    # --- the worker -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (boundary := self._next()) is not None:
            try:
                self._tell(boundary)
            except PlexusError as exc:
                self._give_up(boundary, str(exc))
            except Exception as exc:  # noqa: BLE001 - a registry of the user's own may raise anything; the next run is due
                self._give_up(boundary, f"{type(exc).__name__}: {exc}")
            else:
                self._settle_boundary(boundary)

    def _next(self) -> _Boundary | None:
        with self._changed:
            if self._queue:
                return self._queue.popleft()
        if self._closing.is_set():
            self._registry.close()
        with self._changed:
            if self._queue:
                return self._queue.popleft()
            self._working = False
            self._changed.notify_all()
            return None

    def _give_up(self, boundary: _Boundary, detail: str) -> None:
        run = boundary.span.run
        if boundary.ended is not None:
            run.error = detail
        self._failed(run.name, detail)
        self._settle_boundary(boundary)

    def _settle_boundary(self, boundary: _Boundary) -> None:
        if boundary.ended is not None:
            boundary.span.run.settled.set()

    def _tell(self, boundary: _Boundary) -> None:
        if boundary.span.announced:
            self._tell_of_announced(boundary)
        else:
            self._tell_of_opened(boundary)

    def _tell_of_announced(self, boundary: _Boundary) -> None:
        span, told = boundary.span, self._as_run(boundary)
        if boundary.status == "running":
            span.told_ms = told.started_ms
        elif span.told_ms is not None and abs(span.told_ms - told.started_ms) > MOVED_MS:
            # The clock was set in between: an end before its start would be refused.
            start = self._as_run(_Boundary(span, "running"))
            self._persist(lambda: self._registry.announce(start))
        self._persist(lambda: self._registry.announce(told))

    def _tell_of_opened(self, boundary: _Boundary) -> None:
        span, run = boundary.span, boundary.span.run
        if run.run_id is None:
            start = self._as_run(_Boundary(span, "running"))
            if span.told_ms is not None:
                # Told again with the same words, so that the app's run is found if the first try made one.
                start = attrs.evolve(start, started_ms=span.told_ms)
            span.told_ms = start.started_ms
            run.run_id = self._persist(lambda: self._registry.open(start))
        if boundary.ended is None:
            return
        if run.pass_criteria:
            # It is judged by what is stored when its end is told.
            self._settle()
        end = self._as_run(boundary)
        if span.told_ms is not None and end.ended_ms is not None and end.ended_ms < span.told_ms:
            # The clock was set back in between, and the start is told: the length is what can be kept.
            end = attrs.evolve(end, ended_ms=span.told_ms + max(0.0, end.ended_ms - end.started_ms))
        run.test_result = self._persist(lambda: self._registry.end(end))

    def _persist(self, tell: Callable[[], T]) -> T:
        attempt = 0
        while True:
            try:
                return tell()
            except DeliveryError:
                if attempt == ATTEMPTS - 1 or self._wait(self._closing, backoff_s(attempt, self._random)):
                    raise
            attempt += 1

    def _as_run(self, boundary: _Boundary) -> Run:
        span, run = boundary.span, boundary.span.run
        return Run(
            run_id=run.run_id or "",
            name=run.name,
            source_id=self._source_id() if isinstance(span.source_id, Own) else span.source_id,
            status=boundary.status,
            started_ms=self._clock.wall_ms(span.started) if span.started_ms is None else span.started_ms,
            ended_ms=None if boundary.ended is None else self._clock.wall_ms(boundary.ended),
            tags=run.tags,
            metadata=run.metadata,
            pass_criteria=run.pass_criteria,
        )
