"""The registry port: names that devices hold, sources that were registered, runs that were announced."""

from __future__ import annotations

from typing import Protocol

from plexus.domain.run import Run


class Registry(Protocol):
    """What the gateway knows of sources and runs beside their points. Durable before a method returns.

    Contract: the same `install_id` gets its own name back for the same declared name; two install ids never hold one
    name in one org; a claim without an install id gets the declared name unchanged.
    """

    def claim(self, org: str, declared: str, install_id: str) -> str:
        """The name that a device has: the declared one, or with `_2`, `_3`, … when another install holds it."""
        ...

    def register(self, org: str, source_id: str, metadata: str) -> bool:
        """Register a source by name with its JSON metadata; False if it is registered already."""
        ...

    def registered(self, org: str) -> list[str]:
        """Names that were claimed or registered, sorted."""
        ...

    def put_run(self, org: str, run: Run) -> None:
        """Keep a run, replacing one with the same id."""
        ...

    def run(self, org: str, run_id: str) -> Run | None:
        """One run."""
        ...

    def runs(self, org: str, source_id: str | None, status: str | None) -> list[Run]:
        """Runs, newest start first."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
