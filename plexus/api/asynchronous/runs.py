"""`api.runs`: named stretches of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from plexus.api import calls
from plexus.api.clock import now_ms
from plexus.api.runs.bound import AsyncLoadableRun, bound_async
from plexus.api.times import Instant
from plexus.device.runfields import CriterionItem
from plexus.domain.run import Run

if TYPE_CHECKING:
    from plexus.api.asynclink import AsyncLink
    from plexus.api.requests import MetricNames
    from plexus.api.runs import Comparison, RunData


class Runs:
    """Named stretches of time: `api.runs`. The app is asked (PLEXUS_ENDPOINT or PLEXUS_URL)."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def list(self, source_id: str | None = None, *, status: str | None = None) -> list[AsyncLoadableRun]:
        """Runs, the newest first: of one source, and those that are "running", "completed" or "aborted"."""
        return [bound_async(run, self) for run in await self._link.ask(calls.runs(source_id, status))]

    async def get(self, run_id: str) -> AsyncLoadableRun:
        """One run; where it has ended and has criteria, its `test_result` is judged on what is stored now."""
        return bound_async(await self._link.ask(calls.run(run_id)), self)

    async def start(
        self,
        name: str,
        source_id: str | None = None,
        *,
        tags: Mapping[str, object] | None = None,
        metadata: Mapping[str, Any] | None = None,
        pass_criteria: Iterable[CriterionItem] | None = None,
        started_at: Instant | None = None,
    ) -> AsyncLoadableRun:
        """Open a run, of one source or (without one) of the whole organisation. Needs the scope `write`.

        `pass_criteria` are conditions such as {"metric": "motor.temp_c", "operator": "<", "value": 85}: every value in
        the run has to satisfy them. `started_at` is an aware datetime, ISO text with an offset or epoch seconds or
        milliseconds; without it the run begins now. Never tried twice.
        """
        at = now_ms() if started_at is None else started_at
        return bound_async(
            await self._link.ask(calls.start_run(name, source_id, tags, metadata, pass_criteria, at)), self
        )

    async def end(self, run_id: str, status: str = "completed", *, ended_at: Instant | None = None) -> AsyncLoadableRun:
        """Close a run as "completed" or "aborted", now or at `ended_at`, and judge it. Needs the scope `write`."""
        at = now_ms() if ended_at is None else ended_at
        return bound_async(await self._link.ask(calls.end_run(run_id, status, at)), self)

    async def load(
        self,
        run: Run | str,
        metrics: MetricNames = None,
        *,
        interval: str = "raw",
        progress: bool | None = None,
    ) -> RunData:
        """Everything that is stored of a run (or of these metrics in it), however long it was.

        A run of the whole organisation has the data of every source; one that is still running, what there is by now.
        Values are as they were sent unless `interval` is a bucket length. After a second a progress bar is shown where
        stderr is a terminal, or as `progress` says.
        """
        from plexus.api.runs.asynchronous import done
        from plexus.api.runs.loading import loaded

        return await done(self._link, loaded(run, metrics, interval, now_ms()), progress)

    async def compare(
        self,
        *runs: Run | str,
        metrics: MetricNames = None,
        interval: str | None = None,
        progress: bool | None = None,
    ) -> Comparison:
        """Two runs or more beside each other, aligned at their beginnings; the others are compared with the first.

        Per metric the number of values, least, most, average and newest of each run, and the differences; and an
        overlay of their curves over the seconds since each began. Without `interval` it is the one that suits the
        longest run: raw under ten minutes, else buckets. Metrics are matched by name, also of different sources.
        """
        from plexus.api.runs.asynchronous import done
        from plexus.api.runs.loading import comparing

        return await done(self._link, comparing(runs, metrics, interval, now_ms()), progress)
