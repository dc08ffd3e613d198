"""The core of a stream of all sources: which there are is asked again and again, and who comes is followed. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from plexus.api import calls
from plexus.api.streams.steps import Ask, Follow, Leave, Pause, Steps, Tell
from plexus.domain.errors import ApiError, RateLimitedError, TransportError
from plexus.domain.live import StreamNotice

LOOK_EVERY_S = 10.0

SKEW_MS = 3_600_000.0
"""How far a new source's clock may be behind the reader's: everything that is stored of it is new."""


def watch(since_ms: float | None, wall_ms: Callable[[], float]) -> Steps[None]:
    """For ever, until it is closed. Of a source that comes later everything is delivered.

    Raises what the first question raises; later ones are tried again, unless the server refuses them.
    """
    began_ms = wall_ms()
    known = frozenset[str]()
    first = True
    while True:
        try:
            found = yield Ask(calls.sources(None))
        except (TransportError, RateLimitedError, ApiError) as exc:
            if first or (isinstance(exc, ApiError) and exc.status < 500):
                raise
            yield Tell(StreamNotice("lost", f"which sources there are could not be asked: {exc}", 1, LOOK_EVERY_S))
        else:
            there = frozenset(source.source_id for source in found)
            for name in sorted(there - known):
                yield Follow(name, since_ms if first else min(began_ms - SKEW_MS, since_ms or began_ms))
            for name in sorted(known - there):
                yield Leave(name)
            known, first = there, False
        yield Pause(LOOK_EVERY_S)
