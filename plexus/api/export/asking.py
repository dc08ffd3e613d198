"""What both clients' `export` do with their arguments: a run that is named is looked up, then the export is made."""

from __future__ import annotations

from typing import Any

from plexus.api import calls
from plexus.api.export.exporting import Exported, exporting
from plexus.api.export.order import StrPath, order
from plexus.api.export.progress import OnProgress
from plexus.api.export.steps import ExportSteps, Work
from plexus.api.steps import Ask
from plexus.domain.errors import ExportError
from plexus.domain.run import Run


def asked(
    path: StrPath, run: Run | str | None, host: str, on_progress: OnProgress, now_ms: float, **arguments: Any
) -> ExportSteps[Exported]:
    """The steps of an export; `arguments` are those of `order`. Raises as `exporting` does, and QueryError."""
    known: Run | None = (yield Ask(calls.run(run))) if isinstance(run, str) else run
    try:
        wanted = yield Work(lambda: order(path, run=known, now_ms=now_ms, **arguments))
    except OSError as exc:
        raise ExportError(f"{path} cannot be made ({exc.strerror or exc}): check the folder and its rights") from exc
    return (yield from exporting(wanted, host, on_progress))
