"""The part of `Plexus` that opens and ends runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from plexus.client.held import Held
from plexus.domain.run import Run


class Recording(Held):
    """`run`."""

    def run(
        self, run_id: str, tags: Mapping[str, object] | None = None, store_frames: bool = False
    ) -> AbstractContextManager[Run]:
        """`with px.run("thermal-cycle-001"): …`: points sent inside carry the id, the app hears of start and end."""
        return self._runs.run(run_id, tags, store_frames)
