"""The registry port: names that devices hold, sources that were registered, runs that were announced."""

from __future__ import annotations

from typing import Protocol

from plexus.domain.run import Run, RunStatus


class Registry(Protocol):
    """What the gateway knows of sources and runs beside their points. Every method may be called from any thread.

    Contract:
    - what a method did is durable when it returns; nothing crosses `org`;
    - the same `install_id` gets its own name back, for the declared name and for the name that it was given;
    - two install ids never hold one name in one org; a suffixed name was known to nobody before;
    - a claim without an install id ("") gets the declared name unchanged, and holds nothing;
    - a failure of the storage is a StoreError naming the file.
    """

    def claim(self, org: str, declared: str, install_id: str) -> str:
        """The name that a device has: the declared one, or with `_2`, `_3`, … when another install holds it.

        The result is as long as a device (63) or, for a longer declared name, a gateway (256) may have it: the stem is
        cut to make room for the suffix.
        """
        ...

    def register(self, org: str, source_id: str, metadata: str) -> bool:
        """Register a source by name with its JSON metadata; False, changing nothing, if it is registered already.

        A name that was only claimed is not registered yet.
        """
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

    def runs(self, org: str, source_id: str | None, status: RunStatus | None) -> list[Run]:
        """Runs, newest start first, equal starts by id; of one source and of one status where these are given."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
