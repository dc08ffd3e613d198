"""The run-registry port: where a device says that a run began and ended."""

from __future__ import annotations

from typing import Protocol

from plexus.domain.run import Run


class RunRegistry(Protocol):
    """Announces runs to the app. Used by one thread at a time, never the caller's own.

    Contract:
    - announcing the same run twice changes nothing, so a failure may be tried again; a start told again with another
      time takes the place of the first;
    - what could not be delivered (no network, the app is down, the source is not known yet) is a DeliveryError: try it
      again later; what the app refuses for good is an AuthenticationError or an ApiError.
    """

    def announce(self, run: Run) -> None:
        """Say that `run` started (status "running") or ended ("completed", "aborted")."""
        ...

    def close(self) -> None:
        """Let go of connections; closing twice is fine."""
        ...
