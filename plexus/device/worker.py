"""The thread around the uplink: steps when something is due, waits for messages and for the time else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from plexus.device.counters import log
from plexus.device.links import LinkKeeper
from plexus.device.patience import patiently
from plexus.device.uplink import Uplink

REST_AFTER_FAULT_S = 1.0


class Worker:
    """Runs one uplink on a daemon thread, so that no program is kept alive by its telemetry."""

    def __init__(self, uplink: Uplink, links: LinkKeeper, now: Callable[[], float] = time.monotonic) -> None:
        self._uplink = uplink
        self._links = links
        self._now = now
        self._bell = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plexus-uplink", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Have the uplink step now. Any thread may call it."""
        self._bell.set()
        self._links.wake()

    def join(self, timeout: float) -> bool:
        """Wait for the end of the uplink; whether it has ended."""
        if self._thread is not threading.current_thread():
            patiently(self._thread.join, lambda: not self._thread.is_alive(), timeout)
        return self._uplink.finished.is_set()

    def _run(self) -> None:
        while not self._uplink.finished.is_set():
            try:
                self._wait(self._uplink.step(self._now()))
            except Exception:  # noqa: BLE001 - a fault of ours, or of an adapter that is not, must not end delivery
                log.exception("the uplink failed; it goes on in %g s", REST_AFTER_FAULT_S)
                self._bell.wait(REST_AFTER_FAULT_S)
                self._bell.clear()

    def _wait(self, until: float) -> None:
        seconds = until - self._now()
        if seconds > 0.0 and not self._bell.is_set() and not self._links.wait(seconds, self._now):
            self._bell.wait(seconds)
        # The step that comes now sees all that was rung for until here.
        self._bell.clear()
