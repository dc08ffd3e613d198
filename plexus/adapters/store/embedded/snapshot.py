"""A snapshot: a copy of the journal at one moment, and of every file that its manifest names.

Housekeeping stands still meanwhile, and commits go on: the journal is copied in pieces, and what is committed between
two of them is in the copy too. Files never change, so a second name is as good as a copy on the same file system.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from plexus.adapters.privatefile import flush_directory, make_directory, make_private_file, set_mode
from plexus.adapters.store.embedded import schema
from plexus.adapters.store.embedded.inside import Inside
from plexus.adapters.store.embedded.journal import NAME
from plexus.adapters.store.embedded.opening import FOLDER
from plexus.domain.errors import StoreError

PAGES = 256
"""Of the journal, at once: 1 MiB, for which a commit may have to wait."""


def snapshot(inside: Inside, folder: Path) -> None:
    """Copy everything into `folder`, which is empty or not there yet. Nobody else may tend the store meanwhile."""
    with _faults(folder):
        make_directory(folder)
        if any(folder.iterdir()):
            raise StoreError(f"{folder} is not empty; a snapshot needs a folder of its own")
        _copy_files(inside, folder / FOLDER)
        inside.reached("snapshot.files")
        make_private_file(folder / NAME)
        with contextlib.closing(sqlite3.connect(folder / NAME, isolation_level=None)) as copy:
            _copy_journal(inside, copy)
        _flush(folder / NAME)
        flush_directory(folder)
    inside.reached("snapshot.done")


def _copy_files(inside: Inside, folder: Path) -> None:
    make_directory(folder)
    folders = set()
    for file in inside.manifest.files():
        for source, target in zip(file.paths(inside.folder), file.paths(folder), strict=True):
            if not source.exists():
                continue  # it is missing here too, which was said at start
            make_directory(target.parent)
            _link(source, target)
            folders.add(target.parent)
    for one in sorted(folders):
        flush_directory(one)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
        set_mode(target, 0o600)
        _flush(target)


def _copy_journal(inside: Inside, copy: sqlite3.Connection) -> None:
    turn = _Turn(inside.journal.writing)
    with turn:
        inside.journal.copy_to(copy, PAGES, turn.pass_on)
    # What is committed to the copy from now on is not what is committed here under the same numbers.
    copy.execute("PRAGMA journal_mode=DELETE")
    copy.execute("BEGIN")
    schema.rename_log(copy)
    copy.execute("COMMIT")


class _Turn:
    """The journal's lock, which goes to whoever waits for it between two pieces of a copy."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._pause = threading.Event()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def pass_on(self, _status: int, _remaining: int, _total: int) -> None:
        """Between two pieces. A lock that is taken again at once is often not given away."""
        self._lock.release()
        self._pause.wait(0.001)
        self._lock.acquire()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreError(f"no snapshot in {folder}: {exc.strerror or exc}; check its disk") from exc
    except sqlite3.Error as exc:
        raise StoreError(f"no snapshot in {folder}: {exc}; check its disk") from exc
