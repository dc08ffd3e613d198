"""A progress bar for work that is long, where somebody sits at a terminal. rich draws it, if it is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from plexus.api.tables.needs import has, need

PATIENCE_S = 1.0
"""Work that is done by then is done without a bar."""


class Progress:
    """Told how far the work is; shows it from `PATIENCE_S` on. `wanted` None: where stderr is a terminal.

    `monotonic` tells seconds; `console` is where rich draws; both for tests.
    """

    def __init__(
        self,
        what: str,
        wanted: bool | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        console: Any = None,
    ) -> None:
        self._what = what
        self._wanted = (_is_terminal() if wanted is None else wanted) and has("rich")
        self._monotonic = monotonic
        self._console = console
        self._began = monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        self._began = self._monotonic()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def tell(self, share: float, rows: int) -> None:
        """So much of the work is done (0 to 1), and so many rows are there."""
        if not self._wanted or (self._bar is None and self._monotonic() - self._began < PATIENCE_S):
            return
        if self._bar is None:
            self._start()
        bar: Any = self._bar
        bar.update(self._task, completed=share, rows=f"{rows:,} rows", refresh=True)

    def _start(self) -> None:
        rich = need("rich.progress", "a progress bar")
        console = self._console or need("rich.console", "a progress bar").Console(stderr=True)
        self._bar = rich.Progress(
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(),
            rich.TaskProgressColumn(),
            rich.TextColumn("{task.fields[rows]}", markup=False),
            rich.TimeRemainingColumn(),
            console=console,
            transient=True,
            auto_refresh=False,  # that takes a thread
        )
        self._task = self._bar.add_task(self._what, total=1.0, rows="")
        self._bar.start()


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
