"""`PlexusAPI.export`: an export's steps, done one after another."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from plexus.api.clock import now_ms
from plexus.api.export import asking
from plexus.api.export.exporting import Exported
from plexus.api.export.folder import flush
from plexus.api.export.order import StrPath
from plexus.api.export.progress import OnProgress, shown
from plexus.api.export.steps import CHUNK_BYTES, CUTS_FORGIVEN, Fetch, Step, Tally
from plexus.api.link import Link
from plexus.api.steps import Ask, drive
from plexus.domain.errors import TransportError
from plexus.domain.run import Run


def _do(link: Link, step: Step) -> Any:
    if isinstance(step, Ask):
        return link.ask(step.call)
    if isinstance(step, Fetch):
        return _fetch(link, step)
    return step.do()


def _fetch(link: Link, step: Fetch) -> None:
    for cuts_left in range(CUTS_FORGIVEN, -1, -1):
        tally = Tally(step.told)
        try:
            return _fetch_once(link, step, tally)
        except TransportError:
            if not tally.void() or not cuts_left:
                raise
    return None


def _fetch_once(link: Link, step: Fetch, tally: Tally) -> None:
    with link.download(step.request) as download, step.target.open("wb") as file:
        tally.begun()
        for chunk in download.chunks(CHUNK_BYTES):
            file.write(chunk)
            tally.came(chunk)
        flush(file)


def export(link: Link, path: StrPath, run: Run | str | None, on_progress: OnProgress | None, **asked: Any) -> Exported:
    """See `PlexusAPI.export`."""
    with shown(Path(path).name, on_progress) as told:
        return drive(asking.asked(path, run, link.host, told, now_ms(), **asked), partial(_do, link))
