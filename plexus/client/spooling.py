"""Where a client keeps what waits: on disk in files of its own, or in memory, and what earlier processes left."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import attrs

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.buffer.spools import adopt, open_spool
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.errors import BufferFault
from plexus.ports.buffer import Buffer

log = logging.getLogger("plexus")

DIRECTORY = "spool"
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)


@attrs.frozen
class Keeping:
    """The buffer of a client, and those of dead processes of the same source, to be drained beside it."""

    own: Buffer
    adopted: Sequence[Buffer] = ()

    def lost_points(self) -> int:
        """Points that were on disk and could not be read any more."""
        return sum(spool.lost_points for spool in (self.own, *self.adopted) if isinstance(spool, SqliteBuffer))


def keep_in_memory(max_points: int) -> Keeping:
    """Nothing survives the process."""
    return Keeping(MemoryBuffer(max_points))


def keep_in_file(path: Path, max_points: int, report: Callable[[str], None]) -> Keeping:
    """In the file that the program named; in memory, which is reported, when it cannot be used."""
    try:
        return Keeping(SqliteBuffer(path, max_points))
    except BufferFault as exc:
        report(f"{exc}; going on in memory")
        return keep_in_memory(max_points)


def keep_for_source(home: Path, source_id: str, max_points: int, report: Callable[[str], None]) -> Keeping:
    """In Plexus's own directory, a file for each client; in memory, which is reported, when that cannot be used."""
    directory = home / DIRECTORY
    try:
        own = open_spool(directory, source_id, max_points)
    except BufferFault as exc:
        report(f"{exc}; going on in memory")
        return keep_in_memory(max_points)
    names = [source_id, *_former_names(directory, source_id)]
    return Keeping(own, [spool for name in names for spool in adopt(directory, name, max_points)])


def note_new_name(home: Path, former: str, source_id: str) -> None:
    """The gateway renamed this device: what waits in the spools of its former name is to be found under the new one."""
    directory = home / DIRECTORY
    try:
        if directory.is_dir() and former not in _former_names(directory, source_id):
            descriptor = os.open(_note(directory, source_id), _APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as note:
                note.write(f"{former}\n")
    except OSError as exc:
        log.warning("that %s was %s could not be noted: %s", source_id, former, exc.strerror)


def _former_names(directory: Path, source_id: str) -> list[str]:
    try:
        return _note(directory, source_id).read_text(encoding="utf-8").split()
    except OSError:
        # Nearly every device keeps the name that it chose.
        return []


def _note(directory: Path, source_id: str) -> Path:
    return directory / f"names-{quote(source_id, safe='')}.txt"
