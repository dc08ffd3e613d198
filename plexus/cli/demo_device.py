"""The device of the demo: a thread that looks at this machine once a second and sends what it sees."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from plexus.cli.machine import Machine

if TYPE_CHECKING:
    from plexus.client import Plexus

SAMPLE_METRIC = "demo.sample"
"""Counts the looks from 1 in each run, and is sent last in each: a number that is missing is a look that was lost."""

INTERVAL_S = 1.0


class DemoDevice:
    """Samples `machine` and sends through `px`, from `start` to `stop`. `failure` is what ended it before."""

    def __init__(self, px: Plexus, machine: Machine, interval_s: float = INTERVAL_S) -> None:
        self._px = px
        self._machine = machine
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plexus-demo-device", daemon=True)
        self.samples = 0
        """How many looks were sent whole."""
        self.readings = 0
        """How many readings they were."""
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the look that is under way, and end; twice is fine."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> DemoDevice:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            birth = self._machine.birth()
            self._px.event(birth.name, dict(birth.data))
            due = time.monotonic()
            while not self._stopping.is_set():
                self._look()
                # From the plan and not from now, so that a slow look does not shift all that follow.
                due = max(due + self._interval_s, time.monotonic())
                self._stopping.wait(due - time.monotonic())
        except Exception as exc:  # noqa: BLE001 - whatever it was, the main thread raises it where a person sees it
            self.failure = exc

    def _look(self) -> None:
        readings = self._machine.readings()
        for metric, value in readings:
            self._px.send(metric, value)
        for happening in self._machine.happenings(readings):
            self._px.event(happening.name, dict(happening.data))
        self._px.send(SAMPLE_METRIC, self.samples + 1)
        self.samples += 1
        self.readings += len(readings) + 1
