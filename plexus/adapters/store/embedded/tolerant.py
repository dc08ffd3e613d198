"""A reader that goes on when a file turns out to be damaged: it has nothing then, and whoever watches is told."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from plexus.adapters.store.embedded.files import Reader, SealedFile
from plexus.adapters.store.embedded.files.bridge import Array
from plexus.adapters.store.embedded.files.index import Index
from plexus.adapters.store.embedded.files.partials import Partials
from plexus.adapters.store.embedded.files.rows import Rows
from plexus.domain.errors import QueryError, StoreError

_NOT_OF_THE_FILE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EINTR})
"""What may be otherwise in a moment: the question fails, and the next one asks the file again."""


class TolerantReader(Reader):
    """As `Reader`; `found_damaged` is called with the file and what is wrong, by the thread that met it."""

    def __init__(self, folder: Path, found_damaged: Callable[[SealedFile, str], None]) -> None:
        super().__init__(folder)
        self._found_damaged = found_damaged

    def index(self, file: SealedFile, level: str = "") -> Index:
        """The index; an empty one of a damaged file."""
        with self._watched(file):
            return super().index(file, level)
        return Index(np.array([], np.int32), np.array([], np.int64), np.array([], np.int64), frozenset())

    def rows(self, file: SealedFile, *arguments: Any, **options: Any) -> Iterator[Rows]:
        """The rows, up to where the file is damaged."""
        with self._watched(file):
            yield from super().rows(file, *arguments, **options)

    def partials(self, file: SealedFile, *arguments: Any, **options: Any) -> Iterator[Partials]:
        """The roll-up's rows, up to where it is damaged."""
        with self._watched(file):
            yield from super().partials(file, *arguments, **options)

    def reach(self, file: SealedFile, series: Array, start_ns: int, end_ns: int) -> int:
        """How many rows are looked at; none of a damaged file."""
        with self._watched(file):
            return super().reach(file, series, start_ns, end_ns)
        return 0

    def count(self, file: SealedFile, *arguments: Any, **options: Any) -> int:
        """How many rows; none of a damaged file."""
        with self._watched(file):
            return super().count(file, *arguments, **options)
        return 0

    @contextlib.contextmanager
    def _watched(self, file: SealedFile) -> Iterator[None]:
        try:
            yield
        except QueryError:
            raise
        except StoreError as exc:
            cause = exc.__cause__
            if isinstance(cause, OSError) and cause.errno in _NOT_OF_THE_FILE:
                raise
            self._found_damaged(file, str(exc))
