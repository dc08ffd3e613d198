"""Housekeeping: what is done about the store, when, and one thing at a time.

Each thing is a chain of steps. `maintain` does one step, and whoever cannot wait (a removal, a snapshot) has what is
begun finished first. What fails leaves everything as it was, is said once, and is tried again later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from plexus.adapters.store.embedded import merging, retention
from plexus.adapters.store.embedded.sealing import seal
from plexus.domain.errors import StoreError

if TYPE_CHECKING:
    from plexus.adapters.store.embedded.inside import Inside

Work = Iterator[None]

_log = logging.getLogger(__name__)


class Housekeeping:
    """Used by any thread; `now_ns` is nanoseconds since 1970 UTC, and need not rise."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._busy = threading.Lock()
        self._work: Work | None = None
        self._unsealed_since: int | None = None
        self._checked: int | None = None
        self._not_before: int | None = None
        self._failure = ""
        self._pace = _Pace()
        self._progress = threading.Condition()
        self._tended = False
        self._closed = False

    def maintain(self, now_ns: int) -> bool:
        """Do one step; whether there is more to do."""
        with self._busy:
            if self._closed:
                raise StoreError("the store is closed")
            self._tended = True
            if self._waits(now_ns) or self._bursts(now_ns):
                return False
            try:
                return self._step(now_ns)
            except StoreError as exc:
                self._work = None
                self._not_before = now_ns + self._inside.upkeep.retry_ns
                self._say(f"the store's housekeeping failed and is tried again later; nothing is lost: {exc}")
                return False

    def seal_all(self) -> int:
        """Seal every row that there is; returns the last of them. The lock is the caller's, as `finished` has it."""
        inside = self._inside
        with inside.journal.writing:
            last = inside.journal.last
        while inside.journal.cut < last:
            while inside.newest.queued > inside.upkeep.absorb_points:
                inside.newest.absorb_some(inside.upkeep.absorb_points)
            inside.newest.absorb_some(inside.upkeep.absorb_points)
            stretch = inside.newest.oldest(anyway=True)
            assert stretch is not None  # there are rows that are not sealed
            _finish(seal(inside, stretch))
        return last

    def alone(self) -> threading.Lock:
        """The lock under which nothing else is done; see `finished`."""
        return self._busy

    def finished(self) -> None:
        """Finish what is begun; under the lock of `alone`. Raises StoreError."""
        if self._closed:
            raise StoreError("the store is closed")
        work, self._work = self._work, None
        if work is not None:
            _finish(work)

    def make_way(self) -> None:
        """Before a commit: when sealing is far behind, let it go on for a moment, so that memory has an end."""
        upkeep = self._inside.upkeep
        if self._tended and not self._failure and self._inside.newest.unsealed > upkeep.full_points:
            with self._progress:
                self._progress.wait(upkeep.full_wait_s)

    def close(self) -> None:
        """Stop between two steps; what was begun is as if it had not been."""
        with self._busy:
            self._closed = True
            self._work = None

    def _step(self, now_ns: int) -> bool:
        if self._work is None:
            self._work = self._next(now_ns)
        if self._work is None:
            return False
        try:
            next(self._work)
        except StopIteration:
            self._work = None
            if self._failure:
                self._failure, self._not_before = "", None
                _log.warning("the store's housekeeping goes on")
        with self._progress:
            self._progress.notify_all()
        return True

    def _next(self, now_ns: int) -> Work | None:
        inside, upkeep = self._inside, self._inside.upkeep
        newest = inside.newest
        stretch = newest.oldest(anyway=self._overdue(now_ns))
        if stretch is not None:
            return self._sealed(seal(inside, stretch))
        if newest.queued > upkeep.absorb_points:
            newest.absorb_some(upkeep.absorb_points)
            return iter([None])
        if self._delete():
            return iter([None])
        if self._checked is None or not self._checked <= now_ns < self._checked + upkeep.check_ns:
            if gone := retention.due(inside.manifest.files(), upkeep, now_ns):
                return retention.let_go(inside, gone)
            if inside.streams.let_go(now_ns - upkeep.stream_ns):
                return iter([None])
            self._checked = now_ns
        if run := merging.due(inside.shelf.files, upkeep, now_ns):
            return merging.merge(inside, run)
        return None

    def _overdue(self, now_ns: int) -> bool:
        """Whether there are points that wait for too long; from when on is known to a call of `maintain`."""
        if not self._inside.newest.unsealed:
            self._unsealed_since = None
            return False
        if self._unsealed_since is None or self._unsealed_since > now_ns:
            self._unsealed_since = now_ns
        if now_ns - self._unsealed_since < self._inside.upkeep.seal_after_ns:
            return False
        self._inside.newest.absorb_some(self._inside.upkeep.absorb_points)
        return not self._inside.newest.queued

    def _sealed(self, work: Work) -> Work:
        yield from work
        self._unsealed_since = None

    def _delete(self) -> bool:
        journal = self._inside.journal
        with journal.writing:
            return journal.delete_sealed()

    def _waits(self, now_ns: int) -> bool:
        """Whether something failed a moment ago."""
        before = self._not_before
        # A clock that was put back must not make it wait for longer than a pause.
        return before is not None and now_ns < before <= now_ns + self._inside.upkeep.retry_ns

    def _bursts(self, now_ns: int) -> bool:
        """Whether so much comes in just now that what can wait does."""
        newest, upkeep = self._inside.newest, self._inside.upkeep
        rate = self._pace.at(now_ns, newest.added)
        return rate > upkeep.burst_points_s and newest.unsealed < upkeep.patient_points

    def _say(self, failure: str) -> None:
        """Once, and not at every try: files have another name each time."""
        if not self._failure:
            _log.error("%s", failure)
        self._failure = failure


class _Pace:
    """How many points a second are added, as it was over the last while that is long enough to tell."""

    LEAST_NS = 50_000_000

    def __init__(self) -> None:
        self._mark: tuple[int, int] | None = None
        self._rate = 0.0

    def at(self, now_ns: int, added: int) -> float:
        """Points a second, given how many there are by now."""
        since, before = self._mark or (now_ns, added)
        if self._mark is None or now_ns < since:
            self._mark, self._rate = (now_ns, added), 0.0
        elif now_ns - since >= self.LEAST_NS:
            self._mark, self._rate = (now_ns, added), (added - before) * 1e9 / (now_ns - since)
        return self._rate


def _finish(work: Work) -> None:
    for _ in work:
        pass
