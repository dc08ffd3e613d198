"""`AsyncPlexusAPI`: puts its namespaces together over one link.

from plexus import AsyncPlexusAPI
async with AsyncPlexusAPI() as api:
    print(await api.metrics.latest("drone-01"))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from plexus.api import calls
from plexus.api.answers import Identity
from plexus.api.asynchronous.commands import Commands
from plexus.api.asynchronous.events import Events
from plexus.api.asynchronous.fleet import Fleet
from plexus.api.asynchronous.metrics import Metrics
from plexus.api.asynchronous.runs import Runs
from plexus.api.asynchronous.sources import Sources
from plexus.api.asynchronous.video import Video
from plexus.api.place import RETRIES, RETRY_BUDGET_S, TIMEOUT_S, found

if TYPE_CHECKING:
    import httpx

    from plexus.api.export import Exported, OnProgress
    from plexus.api.export.order import SourceNames, StrPath
    from plexus.api.requests import MetricNames
    from plexus.api.times import Instant, Length
    from plexus.domain.run import Run


class AsyncPlexusAPI:
    """Reads what devices sent, and sends them commands, awaited. It belongs to one event loop; close it when done.

    Args:
        api_key: `plx_…`; else PLEXUS_API_KEY, else the config file that `plexus init` writes.
        base_url: the data API's address; else PLEXUS_API_URL or PLEXUS_URL, else the hosted service.
        timeout: seconds for connecting, and for each wait for an answer.
        retries: how often a request that may be asked twice is tried again after 429, 502, 503, 504 or a network
            failure.
        retry_budget_s: seconds, from the first try on, after which no other try begins. A server that asks for more
            time than is left of it has its error raised at once.
        sleep: waits between tries (asyncio.sleep); for tests.
        transport: an async httpx transport in place of the network; for tests and for gateways in the same process.

    Raises ConfigurationError when there is no key, or the address is none.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = TIMEOUT_S,
        *,
        retries: int = RETRIES,
        retry_budget_s: float = RETRY_BUDGET_S,
        sleep: Callable[[float], Awaitable[None]] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # Here, so that a program that only imports the name does not wait for httpx.
        from plexus.api.asynclink import AsyncLink
        from plexus.api.retry import Budget

        place = found(api_key, base_url, timeout)
        self._link = AsyncLink(place, Budget(retries, retry_budget_s), sleep=sleep, transport=transport)
        self.sources = Sources(self._link)
        self.metrics = Metrics(self._link)
        self.events = Events(self._link)
        self.video = Video(self._link)
        self.fleet = Fleet(self._link)
        self.commands = Commands(self._link)
        self.runs = Runs(self._link)

    @property
    def base_url(self) -> str:
        """The data API's address."""
        return self._link.base_url

    async def whoami(self) -> Identity:
        """Whose key this is and what it may do; the app is asked (PLEXUS_ENDPOINT or PLEXUS_URL)."""
        return await self._link.ask(calls.whoami())

    async def export(
        self,
        path: StrPath,
        *,
        sources: SourceNames = None,
        metrics: MetricNames = None,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        run: Run | str | None = None,
        format: str | None = None,  # noqa: A002 - the contract's name
        resolution: str = "raw",
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Exported:
        """Values of any window as a file: CSV, Parquet, or MCAP, which Foxglove opens and which has the events too.

        Streamed to disk in parts, so that memory stays small. What was fetched is kept in a folder beside the file,
        `<path>.part`, until all of it is there: the same call after an interruption goes on where it stopped. The file
        gets its name at the end, when all of it is on disk.

        Args:
            path: the file; one that is there is refused without `overwrite`.
            sources, metrics: one, several, or None for all.
            last, start, end: the window, as in `metrics.query`; the last hour if none is given. `end` is not included.
            run: a run or its id in place of a window: its time, and its source's data.
            format: "csv", "parquet" or "mcap"; without it, what `path` ends in says.
            resolution: "raw", or buckets of "1m", "10m", "1h" or "1d".
            on_progress: hears how far it is, from the thread that works; without it a terminal shows a bar after 1 s.

        Parquet needs the extra `tables`, MCAP `mcap`. Raises the error tree; QueryError for what cannot be
        asked, ExportError for a file that is there and for what the disk refuses.
        """
        from plexus.api.export.asynchronous import export

        return await export(
            self._link,
            path,
            run,
            on_progress,
            sources=sources,
            metrics=metrics,
            last=last,
            start=start,
            end=end,
            format=format,
            resolution=resolution,
            overwrite=overwrite,
        )

    def __repr__(self) -> str:
        return f"AsyncPlexusAPI(base_url={self.base_url!r})"

    async def __aenter__(self) -> AsyncPlexusAPI:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections. Streams that are open stay so; close them themselves."""
        await self._link.aclose()
