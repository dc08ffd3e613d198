"""The device's disk as a real file: the shipped spool. A kill leaves what is in the directory at that instant."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.loss import Loss
from plexus.protocol.batch import Batch

NAME = "spool.db"


class Card:
    """A directory with one spool in it. `is_full` and `is_unreadable` are faults of the other disk: a file has none."""

    def __init__(self, home: Path, max_points: int) -> None:
        self.max_points = max_points
        self.is_full = self.is_unreadable = False
        self._home = home
        self._copies = 0
        self._place = home / "0"
        self._place.mkdir()
        self._open: SqliteBuffer | None = None

    def open(self, flush: Callable[[], None]) -> CardBuffer:
        """The spool, as a process finds it."""
        self._open = SqliteBuffer(self._place / NAME, self.max_points)
        return CardBuffer(self._open, flush)

    def cut(self, kept: Callable[[], bool]) -> None:
        """The process is gone: the files as they are now, and nothing that it would have written at its end."""
        self._copies += 1
        left, self._place = self._place, self._home / str(self._copies)
        shutil.copytree(left, self._place)
        self.close()
        shutil.rmtree(left)

    def clone(self) -> Card | None:
        """Not of files."""
        return None

    def close(self) -> None:
        """Let go of the file."""
        if self._open is not None:
            self._open.close()
            self._open = None


class CardBuffer:
    """The shipped spool; `flush` is called before each change that is flushed, and may kill."""

    def __init__(self, spool: SqliteBuffer, flush: Callable[[], None]) -> None:
        self._spool = spool
        self._flush = flush

    @property
    def durable(self) -> bool:
        return True

    @property
    def points(self) -> int:
        return self._spool.points

    def append(self, batches: Iterable[Batch], spared: Iterable[Batch] = ()) -> list[Batch]:
        self._flush()
        return self._spool.append(batches, spared)

    def oldest(self, skip: int, count: int) -> list[Batch]:
        return self._spool.oldest(skip, count)

    def rewrite(self, batches: Iterable[Batch]) -> None:
        self._flush()
        self._spool.rewrite(batches)

    def replace(self, old: Iterable[Batch], new: Iterable[Batch]) -> list[Batch]:
        self._flush()
        return self._spool.replace(old, new)

    def release(self, batches: Iterable[Batch]) -> None:
        self._spool.release(batches)

    def lose(self, losses: Iterable[Loss]) -> None:
        self._flush()
        self._spool.lose(losses)

    def found(self, losses: Iterable[Loss]) -> None:
        self._flush()
        self._spool.found(losses)

    def losses(self) -> Sequence[Loss]:
        return self._spool.losses()

    def declare(self, batch: Batch) -> list[Batch]:
        self._flush()
        return self._spool.declare(batch)

    def close(self) -> None:
        self._spool.close()
