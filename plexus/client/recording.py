"""The part of `Plexus` that opens and ends runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from plexus.client.held import Held
from plexus.device.runfields import CriterionItem, Own, SourceChoice
from plexus.device.runs import ActiveRun


class Recording(Held):
    """`run`, `start_run`, `end_run`."""

    def run(
        self,
        name: str | None = None,
        tags: Mapping[str, object] | None = None,
        store_frames: bool = False,
        *,
        run_id: str | None = None,
        source_id: SourceChoice = Own.SOURCE,
        metadata: Mapping[str, Any] | None = None,
        pass_criteria: Iterable[CriterionItem] | None = None,
        started_at: datetime | str | float | None = None,
    ) -> AbstractContextManager[ActiveRun]:
        """`with px.run("thermal-cycle-001"): …`: the app hears of start and end; an exception ends it "aborted".

            with px.run("hotfire-03", pass_criteria=[{"metric": "motor.temp_c", "operator": "<", "value": 85}]) as run:
                bench.execute()
            if run.wait(30):
                print(run.test_result)

        Nothing here waits for the network: the app is told in the background, several times if need be.

        With a name, tags and `store_frames` only it is a run of 0.5.2: the name is its id, and points sent inside carry
        it. With any of the others it is one of 0.11.0: the app gives it an id, and its points are those of the source
        between its start and its end.

        Args:
            name: up to 256 bytes of printable text; `run_id` is what 0.5.2 calls it.
            tags: at most 16, kept as text.
            store_frames: kept as metadata.
            source_id: another source's run; None is one of the whole organisation.
            metadata: anything JSON can say.
            pass_criteria: conditions that every sample inside must satisfy; operators `> >= < <= = !=`. The judgement
                is `run.test_result`, once the end is told (`run.wait`).
            started_at: when it began, if that was not now: an aware datetime, ISO 8601 with an offset, or a number.

        Raises ConfigurationError (a ValueError) for what cannot be, at the call.
        """
        return self._runs.run(
            run_id if name is None else name, tags, store_frames, source_id, metadata, pass_criteria, started_at
        )

    def start_run(
        self,
        name: str,
        source_id: SourceChoice = Own.SOURCE,
        tags: Mapping[str, object] | None = None,
        metadata: Mapping[str, Any] | None = None,
        pass_criteria: Iterable[CriterionItem] | None = None,
        started_at: datetime | str | float | None = None,
    ) -> ActiveRun:
        """Open a run of 0.11.0 until `end_run`; see `run`. Returned at once; its `run_id` is there a little later."""
        return self._runs.start(name, tags, source_id, metadata, pass_criteria, started_at)

    def end_run(self, run: ActiveRun | str | None = None, status: str = "completed") -> ActiveRun:
        """End a run ("completed" or "aborted"): itself, by its name or id, or the one that was opened last.

        Returned at once; `run.wait` waits for the app to have heard of it, `run.test_result` is its judgement then.
        """
        return self._runs.end(run, status)
