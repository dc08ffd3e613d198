"""Files and directories for their owner alone: keys, spools and journals are kept in nothing else.

A database's file is made before SQLite opens it, which then gives its mode to the files beside it. A file that is there
is never opened here: closing any descriptor of it would drop the locks that this process holds on it through SQLite.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, by the end of the name."""

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW


def link_among(places: Iterable[Path]) -> Path | None:
    """The first of these that is a symbolic link, which somebody else may have put there."""
    return next((place for place in places if place.is_symlink()), None)


def database_files(path: Path) -> list[Path]:
    """A database's file and those beside it, whether they are there or not."""
    return [path, *(path.with_name(path.name + end) for end in SIDE_FILES)]


def make_private_file(path: Path) -> None:
    """Make the file with mode 0600 where it is missing, durably, and give it that mode where it is there.

    Raises OSError, also when something that is no file is in its place.
    """
    make_directory(path.parent)
    try:
        descriptor = os.open(path, _CREATE, 0o600)
    except FileExistsError:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.EINVAL, "something that is no file is in its place", str(path)) from None
        set_mode(path, 0o600)
        return
    os.close(descriptor)
    set_mode(path, 0o600)
    flush_directory(path.parent)


def make_directory(directory: Path) -> None:
    """Make what is missing of it, for this user alone and durably; a directory that is there keeps its mode."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    flush_directory(directory.parent)


def set_mode(path: Path, mode: int) -> None:
    """Give it this mode, where there are modes and it has another."""
    if os.name == "posix" and stat.S_IMODE(path.lstat().st_mode) != mode:
        path.chmod(mode)


def flush_directory(directory: Path) -> None:
    """Make names in it durable: content is worth nothing under a name that a power cut took away."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
