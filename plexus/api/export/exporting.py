"""An export from the question to the file, as steps: plan, fetch what is missing, make the file, give it its name."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from plexus.api.export import csvfile, mcapfile, parquetfile, requests
from plexus.api.export import plan as plans
from plexus.api.export.folder import Folder, flush, folder_of, new_of, question_of
from plexus.api.export.order import Format, Order
from plexus.api.export.plan import Part, Plan
from plexus.api.export.progress import OnProgress, Progress
from plexus.api.export.requests import Cut
from plexus.api.export.steps import ExportSteps, Fetch, Work
from plexus.api.pinned import moment
from plexus.api.steps import Ask
from plexus.domain.errors import ExportError, QueryError
from plexus.domain.event import Event

Made = tuple[int, int]
"""How many rows, and how many events, a file has."""

Told = Callable[[int, int], None]
"""Hears, while a file is made, how many parts are in it and how many rows."""


@attrs.frozen
class Exported:
    """What was exported.

    Attributes:
        path: the file.
        format: "csv", "parquet" or "mcap".
        rows: values, or buckets, in it.
        events: events in it; only MCAP has them.
        size_bytes: its length.
        sources, metrics: the names that were asked for, sorted; without any, those that there are.
        start, end: the window in UTC; `end` is not included.
        resumed: whether an earlier export that was interrupted was gone on with.
    """

    path: Path
    format: Format
    rows: int
    events: int
    size_bytes: int
    sources: Sequence[str]
    metrics: Sequence[str]
    start: datetime
    end: datetime
    resumed: bool = False


def exporting(wanted: Order, host: str, on_progress: OnProgress) -> ExportSteps[Exported]:
    """Make the file. Raises the error tree, and ExportError for what the disk refuses; what was fetched is kept."""
    yield Work(lambda: _needed(wanted.format))
    folder = folder_of(wanted)
    question = question_of(wanted, host)
    try:
        with contextlib.ExitStack() as stack:
            yield Work(lambda: stack.enter_context(folder.held()))
            plan, resumed = yield from _plan(wanted, folder, question)
            meter = Meter(plan, on_progress)
            yield from _fetched(wanted, folder, plan, meter)
            rows, events = yield Work(lambda: _assembled(wanted, folder, plan, meter))
            size = folder.whole.stat().st_size
            yield Work(lambda: folder.finish(wanted.path, overwrite=wanted.overwrite))
    except FileExistsError as exc:
        raise ExportError(
            f"{wanted.path} came to be meanwhile: export again with overwrite=True, or elsewhere"
        ) from exc
    except OSError as exc:
        raise ExportError(_disk_words(exc, wanted.path, folder.path)) from exc
    return Exported(
        path=wanted.path,
        format=wanted.format,
        rows=rows,
        events=events,
        size_bytes=size,
        sources=plan.sources,
        metrics=plan.metrics,
        start=moment(plan.start_us),
        end=moment(plan.end_us),
        resumed=resumed,
    )


@attrs.define
class Meter:
    """Counts what is done, and tells it."""

    plan: Plan
    on_progress: OnProgress
    size_bytes: int = 0
    parts_done: int = 0
    rows_done: int = 0

    def came(self, size_bytes: int) -> None:
        """So many bytes came; negative: so many were in vain."""
        self.size_bytes += size_bytes
        self._tell()

    def fetched(self, part: Part) -> None:
        """A part is there."""
        self.parts_done += 1
        self.rows_done += part.rows
        self._tell()

    def written(self, parts: int, rows: int) -> None:
        """So many parts and rows are in the file."""
        total = max(self.plan.rows, rows)
        self.on_progress(Progress("writing", parts, len(self.plan.parts), rows, total, self.size_bytes))

    def _tell(self) -> None:
        done, parts = self.parts_done, len(self.plan.parts)
        self.on_progress(Progress("fetching", done, parts, self.rows_done, self.plan.rows, self.size_bytes))


def _plan(wanted: Order, folder: Folder, question: Mapping[str, Any]) -> ExportSteps[tuple[Plan, bool]]:
    """The plan to go on with, and whether it is an earlier one."""
    kept = yield Work(lambda: folder.kept_plan(question))
    if kept is not None and plans.same_window(kept, wanted.window):
        return kept, True
    plan = yield from plans.planned(wanted)
    yield Work(lambda: folder.begin(question, plan))
    return plan, False


def _fetched(wanted: Order, folder: Folder, plan: Plan, meter: Meter) -> ExportSteps[None]:
    for number, part in enumerate(plan.parts, 1):
        place = folder.part(number, part)
        if not (yield Work(place.exists)):
            if part.kind == "events":
                yield from _events(part.cut, place)
            else:
                yield Fetch(requests.export(wanted, part.cut), new_of(place), meter.came)
            yield Work(lambda place=place: folder.keep(place))  # type: ignore[misc]
        meter.fetched(part)


def _events(cut: Cut, place: Path) -> ExportSteps[None]:
    """All events of a source, written a line each, oldest first."""
    yield Work(lambda: new_of(place).write_bytes(b""))
    assert cut.sources is not None
    waiting = [(cut.start_us, cut.end_us)]
    while waiting:
        start_us, end_us = waiting.pop()
        found = yield Ask(requests.events(cut.sources[0], start_us, end_us))
        if len(found) < requests.EVENTS_AT_ONCE:
            yield Work(lambda found=found: _append(new_of(place), found))  # type: ignore[misc]
            continue
        if end_us - start_us < 2:
            raise QueryError(
                f"{cut.sources[0]} has {requests.EVENTS_AT_ONCE:,} events or more in one microsecond, which no answer "
                "holds: name metrics= to export without events"
            )
        middle = (start_us + end_us) // 2
        waiting += [(middle, end_us), (start_us, middle)]


def _append(place: Path, events: Sequence[Event]) -> None:
    with place.open("a", encoding="utf-8") as file:
        for event in events:
            file.write(mcapfile.event_line(event) + "\n")
        flush(file)


def _needed(format: Format) -> None:  # noqa: A002 - the contract's name
    """Refuse at once what lacks a library, not after hours of fetching."""
    if format == "parquet":
        parquetfile.library()
    elif format == "mcap":
        parquetfile.library()
        mcapfile.library()


def _assembled(wanted: Order, folder: Folder, plan: Plan, meter: Meter) -> Made:
    """Make the file of all parts; what was made of it by a failure takes no room."""
    try:
        return _made(wanted, folder, plan, meter)
    except BaseException:
        with contextlib.suppress(OSError):
            folder.whole.unlink()
        raise


def _made(wanted: Order, folder: Folder, plan: Plan, meter: Meter) -> Made:
    parts = [(part, folder.part(number, part)) for number, part in enumerate(plan.parts, 1)]
    if wanted.format == "csv":
        return csvfile.assemble([place for _, place in parts], folder.whole, meter.written), 0
    if wanted.format == "parquet":
        return parquetfile.assemble([place for _, place in parts], folder.whole, meter.written), 0
    rows = [place for part, place in parts if part.kind == "rows"]
    events = {part.cut.sources[0]: place for part, place in parts if part.kind == "events" and part.cut.sources}
    about = mcapfile.About(plan.start_us, plan.end_us, wanted.resolution, wanted.run_id)
    return mcapfile.assemble(rows, events, folder.whole, about, meter.written)


def _disk_words(exc: OSError, path: Path, folder: Path) -> str:
    kept = f"what was fetched by now is kept in {folder}, and the same export goes on from there"
    if exc.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return f"no room on the disk for {path} ({exc.strerror}): make room and export again; {kept}"
    return f"{path} cannot be written ({exc.strerror or exc}): check the folder and its rights; {kept}"
