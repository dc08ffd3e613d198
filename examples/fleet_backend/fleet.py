"""Follows all sources with one stream, however many browsers look; each browser takes pictures at its own pace."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from plexus import AsyncPlexusAPI, NotFoundError, PlexusError

from .board import SLOT_MS, SLOTS, Board

log = logging.getLogger("fleet_backend")

PACE_S = 0.5
LIST_S, AGAIN_S = 2.0, 5.0
BACK = f"{SLOT_MS * SLOTS // 1000}s"
QUIET_TURNS = 30
"""After so many turns without news a browser gets a sign of life, and the server learns that one has gone."""


class Fleet:
    """An async context manager: from its beginning to its end it follows the fleet."""

    def __init__(self, api: AsyncPlexusAPI, pace_s: float = PACE_S) -> None:
        self._api = api
        self._pace_s = pace_s
        self._board = Board()
        self._over = asyncio.Event()
        self._tasks: Sequence[asyncio.Task[None]] = ()

    async def __aenter__(self) -> Fleet:
        self._tasks = [asyncio.create_task(job(), name=job.__name__) for job in (self._look, self._follow)]
        for task in self._tasks:
            task.add_done_callback(self._tell)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def end(self) -> None:
        """Send every browser to its end; a server waits for them before it stops."""
        self._over.set()

    async def pictures(self) -> AsyncIterator[dict[str, Any] | None]:
        """All there is, then what has changed since; None from time to time when nothing has. Ends with the fleet."""
        seen = quiet = 0
        while not self._over.is_set():
            picture = self._board.picture(seen)
            quiet = 0 if picture else quiet + 1
            if picture:
                seen = picture["version"]
                yield picture
            elif quiet % QUIET_TURNS == 0:
                yield None
            await self._nap(self._pace_s)

    async def _follow(self) -> None:
        """The one stream. Losses of the connection are mended inside it; what ends it is tried again."""
        while not self._over.is_set():
            try:
                async with self._api.metrics.stream(since=BACK) as stream:
                    async for point in stream:
                        self._board.take(point)
            except PlexusError as error:
                log.warning("the live stream ended, and is opened again in %g s: %s", AGAIN_S, error)
            await self._nap(AGAIN_S)

    async def _look(self) -> None:
        """Which sources there are, who is online, and what those that are new here measured last."""
        while not self._over.is_set():
            try:
                for source_id in self._board.list(await self._api.sources.list()):
                    self._board.know(source_id, await self._latest(source_id))
                self._board.mark(is_stale=False)
            except PlexusError as error:
                log.warning("the gateway gives no list of sources: %s", error)
                self._board.mark(is_stale=True)
            await self._nap(LIST_S)

    async def _latest(self, source_id: str) -> dict[str, Any]:
        try:
            return dict(await self._api.metrics.latest(source_id))
        except NotFoundError:  # removed since it was listed
            return {}

    def _tell(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for a task of ours, so that a fault in it would be seen by nobody."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.critical("%s has failed; start this server again", task.get_name(), exc_info=fault)
            self._board.mark(is_stale=True)

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
