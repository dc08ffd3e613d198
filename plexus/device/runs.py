"""Runs of a device: `with px.run("thermal-cycle-001"): …`. Announced off the caller's path, and never in its way.

The run that is open belongs to the client, not to the thread, as in 0.5.2: a sampling thread that was started before
the block sends its points under the run's id too, which a ContextVar would not give it. Two blocks that overlap in one
client are therefore one inside the other to it: points carry the id of the one that was opened last and is still open.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from plexus.domain.errors import ConfigurationError, DeliveryError, PlexusError
from plexus.domain.names import MAX_TAGS
from plexus.domain.run import Run, RunStatus
from plexus.ports.clock import Clock
from plexus.ports.runs import RunRegistry
from plexus.protocol.backoff import backoff_s

ATTEMPTS = 5
"""With waits of about 1, 2, 4 and 8 s between them."""

MOVED_MS = 1_000.0
"""A start that was told further off than this from what the corrected clock now says is told again before the end."""

MAX_RUN_ID_BYTES = 256

RunJob = Callable[[Callable[[], None]], None]
"""How a job is run: on a thread of its own in a client, at once in a test."""

Wait = Callable[[threading.Event, float], bool]
"""Waits for the event at most so many seconds; whether it is set. `threading.Event.wait` in a client."""


@attrs.frozen(eq=False)
class _Span:
    """A run as this machine's monotonic clock saw it; what the wall said then is decided when it is announced."""

    run_id: str
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]
    started: int


@attrs.frozen
class _Boundary:
    span: _Span
    status: RunStatus
    ended: int | None = None


class RunBook:
    """Opens runs and announces their boundaries.

    `source_id` gives the device's name at the time; `failed(run_id, detail)` hears of a run that could not be
    announced; `random` gives numbers from 0 up to 1, to spread the retries.
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
        self._open: list[_Span] = []
        self._told: dict[_Span, float] = {}
        self._queue: deque[_Boundary] = deque()
        self._changed = threading.Condition()
        self._working = False
        self._closing = threading.Event()

    @contextmanager
    def run(self, run_id: str, tags: Mapping[str, object] | None = None, store_frames: bool = False) -> Iterator[Run]:
        """Points sent inside carry `run_id`; an exception that passes through ends the run "aborted".

        `tags` are kept as text, at most 16. `store_frames` is passed on as metadata of the run: the gateway relays
        video live and decides by itself what it keeps. Raises ConfigurationError for an id or tags that cannot be.
        """
        metadata = {"store_frames": True} if store_frames else {}
        span = _Span(_checked_id(run_id), _checked_tags(tags), metadata, self._clock.tick())
        self._begin(span)
        status: RunStatus = "aborted"
        try:
            yield self._as_run(_Boundary(span, "running"))
            status = "completed"
        finally:
            self._end(span, status)

    def close(self, timeout: float) -> bool:
        """Try what is left to announce once more, waiting at most `timeout` seconds; whether nothing is left."""
        self._closing.set()
        with self._changed:
            done = self._changed.wait_for(lambda: not self._working, timeout)
        if done:
            self._registry.close()
        return done

    # --- boundaries -----------------------------------------------------------------------------------------

    def _begin(self, span: _Span) -> None:
        with self._changed:
            self._open.append(span)
            self.current = span.run_id
        self._announce(_Boundary(span, "running"))

    def _end(self, span: _Span, status: RunStatus) -> None:
        ended = self._clock.tick()
        with self._changed:
            self._open.remove(span)
            self.current = self._open[-1].run_id if self._open else None
        self._announce(_Boundary(span, status, ended))

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
            self._failed(boundary.span.run_id, str(exc))

    # --- the worker -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (boundary := self._next()) is not None:
            try:
                self._tell(boundary)
            except PlexusError as exc:
                self._failed(boundary.span.run_id, str(exc))
            except Exception as exc:  # noqa: BLE001 - a registry of the user's own may raise anything; the next run is due
                self._failed(boundary.span.run_id, f"{type(exc).__name__}: {exc}")

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

    def _tell(self, boundary: _Boundary) -> None:
        span = boundary.span
        run = self._as_run(boundary)
        if boundary.status == "running":
            self._told[span] = run.started_ms
        elif abs(self._told.pop(span, run.started_ms) - run.started_ms) > MOVED_MS:
            # The clock was set in between: an end before its start would be refused.
            self._persist(self._as_run(_Boundary(span, "running")))
        self._persist(run)

    def _persist(self, run: Run) -> None:
        for attempt in range(ATTEMPTS):
            try:
                self._registry.announce(run)
            except DeliveryError:
                last = attempt == ATTEMPTS - 1
                if last or self._wait(self._closing, backoff_s(attempt, self._random)):
                    raise
            else:
                return

    def _as_run(self, boundary: _Boundary) -> Run:
        span = boundary.span
        return Run(
            run_id=span.run_id,
            name=span.run_id,
            source_id=self._source_id(),
            status=boundary.status,
            started_ms=self._clock.wall_ms(span.started),
            ended_ms=None if boundary.ended is None else self._clock.wall_ms(boundary.ended),
            tags=span.tags,
            metadata=span.metadata,
        )


def _checked_id(run_id: object) -> str:
    if not isinstance(run_id, str) or not run_id.strip():
        raise ConfigurationError(f"run_id {run_id!r} is not valid: use a text that is not empty")
    if len(run_id.encode("utf-8", "replace")) > MAX_RUN_ID_BYTES or not run_id.isprintable():
        raise ConfigurationError(f"run_id is not valid: use at most {MAX_RUN_ID_BYTES} bytes of printable text")
    return run_id


def _checked_tags(tags: Mapping[str, object] | None) -> dict[str, str]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise ConfigurationError(f"tags of a run must be a dict of texts, not {type(tags).__name__}")
    if len(tags) > MAX_TAGS:
        raise ConfigurationError(f"tags of a run must be at most {MAX_TAGS}, not {len(tags)}")
    return {_text(name): _text(value) for name, value in tags.items()}


def _text(value: object) -> str:
    # A lone surrogate (a file name, say) would make the announcement unsendable.
    return str(value).encode("utf-8", "replace").decode()
