"""The spool and what it lies on: rights, room, what waits, and who has it open."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from plexus.adapters.buffer.peeking import Peek, peek
from plexus.adapters.buffer.spools import DIRECTORY
from plexus.api.doctor import verdicts
from plexus.api.doctor.findings import Finding, fail, ok, warn
from plexus.config import Settings

Free = Callable[[Path], int]
"""The bytes that are free where a directory lies."""

CONFIG = "config.json"


def free_bytes(directory: Path) -> int:
    """The bytes that are free for this user; raises OSError."""
    return shutil.disk_usage(directory).free


def findings(settings: Settings, free: Free = free_bytes) -> Iterator[Finding]:
    """Everything about the disk."""
    home, spool = settings.home, settings.home / DIRECTORY
    yield from _rights(home)
    if not settings.persistent_buffer:
        yield ok("spool", str(spool), "is not used: persistent_buffer is off, and readings wait in memory alone")
        return
    writable = _writable(spool)
    yield writable
    if writable.state == "fail":
        return
    yield verdicts.room(str(_nearest(spool)), free(_nearest(spool)))
    for seen in peek(spool):
        yield _spool(seen)


def _rights(home: Path) -> Iterator[Finding]:
    """Who else may read the key and what waits, where there are such rights."""
    if sys.platform == "win32":
        return
    for path, check, mode in ((home, "spool", 0o700), (home / CONFIG, "key", 0o600)):
        try:
            status = path.stat()
        except OSError:
            # Not there yet, or not ours to look at; whether it can be used is found out by using it.
            continue
        if status.st_uid != os.geteuid():
            yield warn(
                check,
                str(path),
                "belongs to another user of this machine",
                f"run the program as that user, or: chown -R $(id -un) {home}",
            )
        elif (found := verdicts.private(check, str(path), status.st_mode, mode)) is not None:
            yield found


def _writable(spool: Path) -> Finding:
    """Whether a file can be made where spools are, or will be."""
    there = _nearest(spool)
    try:
        # Without a name, or gone at once: it is no spool, and nobody takes it for one.
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as exc:
        return fail(
            "spool",
            str(spool),
            f"nothing can be written in {there}: {exc.strerror or exc}",
            "make it yours and writable, or name another directory in PLEXUS_HOME; until then readings wait in memory",
        )
    return ok("spool", str(spool), "can be written" if spool.is_dir() else "is made when it is first needed")


def _nearest(directory: Path) -> Path:
    """The directory, or the nearest above it that is there; something else in its place is given as it is."""
    while not os.path.lexists(directory) and directory != directory.parent:
        directory = directory.parent
    return directory


def _spool(seen: Peek) -> Finding:
    where = str(seen.path)
    if seen.held:
        return ok("spool", where, f"a running program has it open ({verdicts.size(seen.size_bytes)})")
    if seen.points is None:
        return warn(
            "spool",
            where,
            f"cannot be read: {seen.fault}",
            "the next client of its source mends what can be mended; keep a copy of it if it matters",
        )
    return verdicts.waiting(where, seen.points, seen.size_bytes)
