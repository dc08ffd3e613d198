"""`AsyncPlexusAPI.export`: an export's steps, awaited one after another; what touches the disk runs in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from plexus.api.asynclink import AsyncLink
from plexus.api.clock import now_ms
from plexus.api.export import asking
from plexus.api.export.exporting import Exported
from plexus.api.export.folder import flush
from plexus.api.export.order import StrPath
from plexus.api.export.progress import OnProgress, shown
from plexus.api.export.steps import CHUNK_BYTES, CUTS_FORGIVEN, Fetch, Step, Tally
from plexus.api.steps import Ask, drive_async
from plexus.domain.errors import TransportError
from plexus.domain.run import Run

R = TypeVar("R")


async def aside(do: Callable[..., R], *arguments: Any) -> R:
    """Do this in a thread. Who is cancelled meanwhile waits for its end: nobody else may write where it still does."""
    job = asyncio.ensure_future(asyncio.to_thread(do, *arguments))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait({job})
        raise


async def _do(link: AsyncLink, step: Step) -> Any:
    if isinstance(step, Ask):
        return await link.ask(step.call)
    if isinstance(step, Fetch):
        return await _fetch(link, step)
    return await aside(step.do)


async def _fetch(link: AsyncLink, step: Fetch) -> None:
    for cuts_left in range(CUTS_FORGIVEN, -1, -1):
        tally = Tally(step.told)
        try:
            return await _fetch_once(link, step, tally)
        except TransportError:
            if not tally.void() or not cuts_left:
                raise
    return None


async def _fetch_once(link: AsyncLink, step: Fetch, tally: Tally) -> None:
    async with link.download(step.request) as download:
        tally.begun()
        file = await aside(step.target.open, "wb")
        try:
            async for chunk in download.chunks(CHUNK_BYTES):
                await aside(file.write, chunk)
                tally.came(chunk)
            await aside(flush, file)
        finally:
            await aside(file.close)


async def export(
    link: AsyncLink, path: StrPath, run: Run | str | None, on_progress: OnProgress | None, **asked: Any
) -> Exported:
    """See `AsyncPlexusAPI.export`."""
    with shown(Path(path).name, on_progress) as told:
        return await drive_async(asking.asked(path, run, link.host, told, now_ms(), **asked), partial(_do, link))
