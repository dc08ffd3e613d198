"""A backup of a running gateway, and the way back.

Every part of the gateway that keeps something writes a consistent copy of its own into one folder; the store comes
first, so that the others know at least what it does: a name that has data is never free in a backup.

    DATA/.backup        a copy that is being sent; a gateway that starts removes what one that was killed left
    DATA/.restoring-…   a backup that is being put back; a gateway does not start over it
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Protocol

from plexus._version import __version__
from plexus.adapters.privatefile import flush_directory, make_directory
from plexus.domain.errors import ConfigurationError, StoreError
from plexus.gateway import archive

COPY = ".backup"
RESTORING = ".restoring-"


class Keeper(Protocol):
    """A part that keeps something on disk."""

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy into the folder; StoreError when it cannot."""
        ...


def copy(keepers: Sequence[Keeper], data: Path | None) -> Path:
    """A folder with a copy of everything, to be removed by whoever is done with it. Raises StoreError."""
    if data is None:
        raise StoreError("this gateway keeps everything in memory: there is nothing to back up")
    folder = data / COPY
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise StoreError("a backup is being made already; take another one when it is done") from None
    except OSError as exc:
        raise StoreError(f"the backup cannot be made: {folder}: {exc.strerror or exc}") from exc
    try:
        for keeper in keepers:
            keeper.snapshot(folder)
    except OSError as exc:
        remove(folder)
        raise StoreError(f"the backup cannot be made: {exc.strerror or exc}") from exc
    except BaseException:
        remove(folder)
        raise
    return folder


def parts(keepers: Sequence[Keeper], data: Path | None, made_ms: float, *, zstd: bool) -> Generator[bytes]:
    """A backup in parts; the first takes as long as the copy does. Raises StoreError before it, or never."""
    folder = copy(keepers, data)
    try:
        yield from archive.pack(folder, {"plexus": __version__, "made_ms": made_ms}, zstd=zstd)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a copy; one that is gone already is fine."""
    shutil.rmtree(folder, ignore_errors=True)


def tidy(data: Path) -> None:
    """Before a gateway starts: remove copies that were left behind. Raises StoreError over a backup half put back."""
    for path in sorted(data.glob(f"{RESTORING}*")):
        raise StoreError(
            f"{data} holds a backup that was not put back to its end ({path.name}): empty the folder, and restore again"
        )
    remove(data / COPY)


def restore(file: Path, data: Path) -> dict[str, Any]:
    """Put a backup into an empty or missing folder, durably; returns what the backup says of itself.

    Raises ConfigurationError for a folder that holds something, StoreError for a backup that is not whole.
    """
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise ConfigurationError(f"{data} is not empty; a backup is put back into a folder that is empty or not there")
    make_directory(data)
    folder = data / f"{RESTORING}{secrets.token_hex(8)}"
    try:
        folder.mkdir(mode=0o700)
        listed = archive.unpack(file, folder)
    except OSError as exc:
        remove(folder)
        raise StoreError(f"{data} cannot be written: {exc.strerror or exc}") from exc
    except StoreError:
        remove(folder)
        raise
    _flush(folder)
    for path in sorted(folder.iterdir()):
        path.rename(data / path.name)
    flush_directory(data)
    folder.rmdir()
    flush_directory(data)
    return dict(listed)


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            flush_directory(path)
        else:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    flush_directory(folder)
