"""The run-registry port: where a device says that a run began and ended."""

from __future__ import annotations

from typing import Protocol

from plexus.domain.run import Run


class RunRegistry(Protocol):
    """Announces runs to the app. Never called on the caller's hot path; a failure is reported, not raised to `run()`.

    Contract: announcing the same run with the same status twice changes nothing; a failure is a DeliveryError.
    """

    def announce(self, run: Run) -> None:
        """Say that `run` started (status "running") or ended ("completed", "aborted"); raises DeliveryError."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
