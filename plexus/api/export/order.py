"""What an export is asked for, checked, with its window pinned. Looks at the disk, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

import attrs

from plexus.api.pinned import Window, run_window, window_of
from plexus.api.requests import MetricNames
from plexus.api.times import Instant, Length
from plexus.domain.errors import ExportError, QueryError
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, is_gateway_source_id, metric_fault
from plexus.domain.run import Run
from plexus.domain.series import INTERVAL_MS, check_interval

Format = Literal["csv", "parquet", "mcap"]
FORMATS: Mapping[str, Format] = {"csv": "csv", "parquet": "parquet", "mcap": "mcap"}

SourceNames = Union[str, Sequence[str], None]
"""One source, several, or None for all that the key sees."""

StrPath = Union[str, "os.PathLike[str]"]

PART_ROWS = 250_000
"""About so many rows are fetched in one piece: what is lost at most when an export is interrupted."""


@attrs.frozen
class Order:
    """One export.

    Attributes:
        path: the file that is made.
        format: "csv", "parquet" or "mcap".
        sources, metrics: names, sorted; None for all.
        window: from when to when.
        resolution: "raw", or the length of a bucket.
        overwrite: whether a file that is there is replaced.
        run_id: the run that it is of, "" for none.
        part_rows: about how many rows are fetched in one piece.
    """

    path: Path
    format: Format
    sources: tuple[str, ...] | None
    metrics: tuple[str, ...] | None
    window: Window
    resolution: str
    overwrite: bool
    run_id: str
    part_rows: int


def order(
    path: StrPath,
    *,
    sources: SourceNames = None,
    metrics: MetricNames = None,
    last: Length | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    run: Run | None = None,
    format: str | None = None,  # noqa: A002 - the contract's name
    resolution: str = "raw",
    overwrite: bool = False,
    now_ms: float,
) -> Order:
    """An order from what a person gives; raises QueryError for what cannot be asked, ExportError for the file."""
    target = Path(os.path.abspath(path))  # noqa: PTH100 - absolute without following links
    names = _names(sources, "sources", _source_fault)
    if run is not None:
        if last is not None or start is not None or end is not None:
            raise QueryError("give either run= or a window (last=, start=, end=): a run has its own window")
        names = _of_run(run, names)
    made = Order(
        path=target,
        format=_format(target, format),
        sources=names,
        metrics=_names(metrics, "metrics", metric_fault),
        window=window_of(last, start, end, now_ms) if run is None else run_window(run, now_ms),
        resolution=check_interval(resolution),
        overwrite=overwrite,
        run_id="" if run is None else run.run_id,
        part_rows=PART_ROWS,
    )
    check_place(made)
    return made


def check_place(wanted: Order) -> None:
    """Refuse a place where no file can be made; ExportError."""
    if wanted.path.is_dir():
        raise ExportError(f"{wanted.path} is a folder: name the file in it")
    if not wanted.path.parent.is_dir():
        raise ExportError(f"the folder {wanted.path.parent} is not there: make it, or name another file")
    if not wanted.overwrite and os.path.lexists(wanted.path):
        raise ExportError(f"{wanted.path} is there already: name another file, or give overwrite=True to replace it")


def bucket_us(resolution: str) -> int:
    """Where a window may be cut: at whole multiples of so many microseconds."""
    return 1 if resolution == "raw" else INTERVAL_MS[resolution] * 1_000


def _format(path: Path, name: str | None) -> Format:
    wanted = path.suffix[1:].lower() if name is None else name
    if wanted in FORMATS:
        return FORMATS[wanted]
    if name is None:
        raise QueryError(f'{path.name} does not end in .csv, .parquet or .mcap: name it so, or give format="csv"')
    raise QueryError(f"format={name!r} is not known; use csv, parquet or mcap")


def _names(given: str | Sequence[str] | None, field: str, fault: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = [given] if isinstance(given, str) else list(given)
    if not names:
        raise QueryError(f"{field} is empty: name at least one, or leave it out for all of them")
    for name in names:
        why = fault(name)
        if why is not None:
            raise QueryError(f"{field}={name!r}: {why}")
    return tuple(sorted(set(names)))


def _source_fault(name: Any) -> str | None:
    return None if is_gateway_source_id(name) else f"a source's name matches {GATEWAY_SOURCE_ID_RULE}"


def _of_run(run: Run, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The sources of a run: its own, or where it is of the whole organisation those that are named, else all."""
    if run.source_id is None:
        return names
    if names not in (None, (run.source_id,)):
        raise QueryError(f"the run {run.run_id} is of the source {run.source_id!r}: leave sources= out")
    return (run.source_id,)
