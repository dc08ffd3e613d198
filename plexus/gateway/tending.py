"""The thread that tends the store: it seals, merges and lets go of what is too old, in steps, in nobody's way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from plexus.domain.errors import StoreError
from plexus.gateway import heap
from plexus.ports.store import Store

IDLE_S = 0.25
"""How often the store is asked when there was nothing to do: what is sealed by age waits for so much longer."""

PAUSE_S = 0.001
"""Between two steps: a commit that waits for a lock gets it, and the event loop its turn."""

TROUBLE_S = 10.0

REST_NS = 20 * 10**9
"""How often memory is given back, at most."""

logger = logging.getLogger("plexus.gateway")


class Tending:
    """Calls `store.maintain` with `wall_ns()`, nanoseconds since 1970 UTC, from `start` to `stop`.

    `after_work` is called when nothing is left to do for the moment, and was not called for a while.
    """

    def __init__(
        self,
        store: Store,
        wall_ns: Callable[[], int],
        *,
        idle_s: float = IDLE_S,
        after_work: Callable[[], object] = heap.trim,
    ) -> None:
        self._store = store
        self._wall_ns = wall_ns
        self._idle_s = idle_s
        self._after_work = after_work
        self._worked = False
        self._rested_ns: int | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="plexus-tending", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is under way; returns when it is done. Stopping twice is fine."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stopping.wait(self._step()):
            pass

    def _step(self) -> float:
        """One step; how long to wait for the next one, seconds."""
        try:
            if self._store.maintain(self._wall_ns()):
                self._worked = True
                return PAUSE_S
            self._rest()
            return self._idle_s  # noqa: TRY300 - an error waits for longer
        except StoreError as exc:
            logger.error("the store cannot be tended: %s", exc)  # noqa: TRY400 - the message says it all
        except Exception:
            # Whatever it is, points must go on becoming history: a store that is never sealed fills memory and disk.
            logger.exception("tending the store failed")
        return TROUBLE_S

    def _rest(self) -> None:
        now_ns = self._wall_ns()
        if not self._worked or (self._rested_ns is not None and 0 <= now_ns - self._rested_ns < REST_NS):
            return
        self._worked, self._rested_ns = False, now_ns
        self._after_work()
