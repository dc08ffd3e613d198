"""Room that is kept occupied, so that there is some when the disk is full: deleting takes room before it gives any.

`<spool>.ballast`: real blocks, of bytes that no file system can compress; mode 0600.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from plexus.adapters.privatefile import NO_FOLLOW, set_mode

BALLAST_BYTES = 768 * 1024
"""More than the file grows by when its whole log is brought into it: then the log gives back its own room."""
_ROOM_BYTES = 4 * BALLAST_BYTES
"""Free space on the disk from which on the ballast is made (again): less is for the spool itself."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW


def ballast_of(path: Path) -> Path:
    """Where a spool's ballast is."""
    return path.with_name(f"{path.name}.ballast")


class Ballast:
    """The ballast of the spool `path`. No method raises: it is a help, and its absence no fault."""

    def __init__(self, path: Path) -> None:
        self._place = ballast_of(path)
        self._is_there: bool | None = None

    def fill(self) -> None:
        """Make it, when it is missing and the disk has room again."""
        if self._is_there:
            return
        with contextlib.suppress(OSError):
            if self._is_there is None and self._is_whole():
                self._is_there = True
            elif _free_bytes(self._place.parent) >= _ROOM_BYTES:
                self._make()
                self._is_there = True

    def let_go(self) -> bool:
        """Free its room; whether there was any."""
        self._is_there = False
        try:
            self._place.unlink()
        except OSError:
            return False
        return True

    def _is_whole(self) -> bool:
        return self._place.lstat().st_size == BALLAST_BYTES if self._place.exists() else False

    def _make(self) -> None:
        self._place.unlink(missing_ok=True)
        descriptor = os.open(self._place, _CREATE, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(BALLAST_BYTES))
                file.flush()
                os.fsync(file.fileno())
            set_mode(self._place, 0o600)
        except OSError:
            self._place.unlink(missing_ok=True)
            raise


def _free_bytes(directory: Path) -> int:
    if hasattr(os, "statvfs"):
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize
    import shutil  # it loads every compressor that Python has

    return shutil.disk_usage(directory).free
