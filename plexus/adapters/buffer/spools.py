"""The spools of one directory: which file is a process's own, and which ones dead processes have left behind."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path
from urllib.parse import quote

from plexus.adapters.buffer.spoolfile import SpoolHeld
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.domain.errors import BufferFault

DIRECTORY = "spool"
"""The name of the directory of spools, in Plexus's own."""

MAX_CLIENTS = 100
"""Clients of one source on one machine; more is a file system on which every file seems to be locked."""

log = logging.getLogger("plexus")


def open_spool(directory: Path, source_id: str, max_points: int) -> SqliteBuffer:
    """The first spool of this source that no other client holds, made when there is none; with what is in it.

    A file that a dead process left is so taken up again, and files do not pile up. Raises BufferFault.
    """
    for number in range(1, MAX_CLIENTS):
        with contextlib.suppress(SpoolHeld):
            return SqliteBuffer(_path(directory, source_id, number), max_points)
    return SqliteBuffer(_path(directory, source_id, MAX_CLIENTS), max_points)


def adopt(directory: Path, source_id: str, max_points: int) -> list[SqliteBuffer]:
    """Open every other spool of this source that holds something and that no client has open, lowest number first.

    For the client that opened its own with `open_spool`: what former processes left beside it is drained, then closed.
    A file that cannot be opened is named in a warning and left where it is.
    """
    adopted: list[SqliteBuffer] = []
    for number in _numbers(directory, source_id):
        try:
            spool = SqliteBuffer(_path(directory, source_id, number), max_points)
        except SpoolHeld:
            continue
        except BufferFault as exc:
            log.warning("%s; what an earlier process left in it is not sent", exc)
            continue
        if not spool.is_empty():
            adopted.append(spool)
        else:
            spool.close()
    return adopted


def _path(directory: Path, source_id: str, number: int) -> Path:
    # Quoted, so that no name a gateway may accept leads out of the directory; of a usual one nothing changes.
    return directory / f"spool-{quote(source_id, safe='')}-{number}.db"


def _numbers(directory: Path, source_id: str) -> list[int]:
    name = re.compile(rf"spool-{re.escape(quote(source_id, safe=''))}-([1-9][0-9]{{0,5}})\.db")
    try:
        found = [name.fullmatch(path.name) for path in directory.iterdir()]
    except OSError as exc:
        log.warning("the directory %s of the spools cannot be read: %s", directory, exc.strerror)
        return []
    return sorted(int(match[1]) for match in found if match)
