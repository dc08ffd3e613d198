"""Runs as `api.runs` gives them: the domain's value, which can also load its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from plexus.domain.run import Run

if TYPE_CHECKING:
    from plexus.api.asynchronous.runs import Runs as AsyncRuns
    from plexus.api.requests import MetricNames
    from plexus.api.runs.data import RunData
    from plexus.api.sync.runs import Runs


@attrs.frozen(eq=False, repr=False, slots=False)
class _Bound(Run):
    """A run that knows where it came from. It is equal to any run with the same fields."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and _fields(self) == _fields(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]  # its tags are a mapping

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in _fields(self).items())
        return f"Run({shown})"


@attrs.frozen(eq=False, repr=False, slots=False)
class LoadableRun(_Bound):
    """A run of `PlexusAPI`."""

    _runs: Runs = attrs.field(kw_only=True, alias="runs")

    def load(self, metrics: MetricNames = None, *, interval: str = "raw", progress: bool | None = None) -> RunData:
        """Everything that is stored of this run; see `api.runs.load`."""
        return self._runs.load(self, metrics, interval=interval, progress=progress)


@attrs.frozen(eq=False, repr=False, slots=False)
class AsyncLoadableRun(_Bound):
    """A run of `AsyncPlexusAPI`."""

    _runs: AsyncRuns = attrs.field(kw_only=True, alias="runs")

    async def load(
        self, metrics: MetricNames = None, *, interval: str = "raw", progress: bool | None = None
    ) -> RunData:
        """Everything that is stored of this run; see `api.runs.load`."""
        return await self._runs.load(self, metrics, interval=interval, progress=progress)


def _fields(run: Run) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in attrs.fields(Run)}


def bound(run: Run, runs: Runs) -> LoadableRun:
    """The run, which loads itself by these."""
    return LoadableRun(**_fields(run), runs=runs)


def bound_async(run: Run, runs: AsyncRuns) -> AsyncLoadableRun:
    """The run, which loads itself by these."""
    return AsyncLoadableRun(**_fields(run), runs=runs)
