"""The run-registry port: where a device says that a run began and ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from plexus.domain.run import Run

TestResult = Mapping[str, Any]
"""How a run was judged: `{"passed": bool, "criteria_results": [{"metric", "operator", "value", "passed", …}]}`."""


class RunRegistry(Protocol):
    """Tells the app of runs. Used by one thread at a time, never the caller's own.

    Contract:
    - a run that has an id of its own is announced (0.5.2); any other is opened, which gives it one, and ended (0.11.0);
    - announcing or ending it twice changes nothing, and opening it again after a DeliveryError finds the run that the
      first try made, if it did: so every failure may be tried again;
    - a start announced again with another time takes the place of the first;
    - what could not be delivered (no network, the app is down) is a DeliveryError: try it again later; what the app
      refuses for good is an AuthenticationError or an ApiError.
    """

    def announce(self, run: Run) -> None:
        """Say that `run` started (status "running") or ended ("completed", "aborted")."""
        ...

    def open(self, run: Run) -> str:
        """Say that a run started, and return the id that the app gives it; `run.run_id` is not looked at."""
        ...

    def end(self, run: Run) -> TestResult | None:
        """Say how a run ended that was opened as `run.run_id`; returns its judgement, None if it has no criteria."""
        ...

    def close(self) -> None:
        """Let go of connections; closing twice is fine."""
        ...
