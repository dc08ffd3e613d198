"""Where a client keeps what waits: on disk in files of its own, or in memory, and what earlier processes left."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import attrs

from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.buffer.released import is_released_buffer, released_buffers
from plexus.adapters.buffer.spools import DIRECTORY, adopt, open_spool
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.adapters.codec.json import JsonCodec
from plexus.adapters.deadletters.file import FileDeadLetters
from plexus.adapters.deadletters.memory import MemoryDeadLetters
from plexus.client.adopting import LOCK_NAME, Adoption, adopt_released
from plexus.client.copied import label
from plexus.config import copy_is_settled, was_copied
from plexus.domain.errors import BufferFault, ConfigurationError
from plexus.ports.buffer import Buffer
from plexus.ports.deadletters import DeadLetters

log = logging.getLogger("plexus")

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)


@attrs.frozen
class Keeping:
    """Where a client keeps things.

    Attributes:
        own: its buffer.
        adopted: buffers of dead processes of the same source, to be drained beside it.
        letters: what was refused for good.
        unreadable: rows in the buffers of earlier releases that were no points; on the record and in the letters.
    """

    own: Buffer
    adopted: Sequence[Buffer] = ()
    letters: DeadLetters = attrs.field(factory=MemoryDeadLetters)
    unreadable: int = 0

    def lost_points(self) -> int:
        """Points that were on disk and could not be read any more."""
        return sum(spool.lost_points for spool in (self.own, *self.adopted) if isinstance(spool, SqliteBuffer))


def keep_in_memory(max_points: int) -> Keeping:
    """Nothing survives the process."""
    return Keeping(MemoryBuffer(max_points))


def keep_in_file(path: Path, source_id: str, max_points: int, report: Callable[[str], None]) -> Keeping:
    """In the file that the program named; in memory, which is reported, when it cannot be used.

    A file that a released SDK used under this name stays what it is: what is in it is taken over, into one beside it.
    """
    is_released = is_released_buffer(path)
    try:
        own = SqliteBuffer(path.with_name(f"{path.name}.spool") if is_released else path, max_points)
    except BufferFault as exc:
        report(f"{exc}; going on in memory")
        return keep_in_memory(max_points)
    keeping = Keeping(own, letters=FileDeadLetters(path.parent))
    return _with_released(keeping, [path] if is_released else [], (source_id,), path.parent, report)


def keep_for_source(home: Path, source_id: str, max_points: int, report: Callable[[str], None]) -> Keeping:
    """In Plexus's own directory, a file for each client; in memory, which is reported, when that cannot be used."""
    directory = home / DIRECTORY
    try:
        own = open_spool(directory, source_id, max_points)
    except BufferFault as exc:
        report(f"{exc}; going on in memory")
        return keep_in_memory(max_points)
    names = (source_id, *_former_names(directory, source_id))
    adopted = [spool for name in names for spool in adopt(directory, name, max_points)]
    _label_copied(home, _known_as(directory, source_id), (own, *adopted))
    keeping = Keeping(own, adopted, FileDeadLetters(directory))
    return _with_released(keeping, released_buffers(home, names), names, directory, report)


def _with_released(
    keeping: Keeping, paths: Sequence[Path], names: Sequence[str], directory: Path, report: Callable[[str], None]
) -> Keeping:
    """With what released SDKs left in these files; `names` are this device's, the one it has now first."""
    adoption = Adoption(names[0], frozenset(names[1:]), keeping.own, keeping.letters, JsonCodec())
    unreadable = adopt_released(paths, adoption, directory / LOCK_NAME, report)
    return attrs.evolve(keeping, unreadable=unreadable)


def _label_copied(home: Path, source_id: str, buffers: Sequence[Buffer]) -> None:
    """After the card was copied into another machine: what waits is of the former one."""
    try:
        if was_copied(home):
            label(buffers, source_id)
            copy_is_settled(home)
    except ConfigurationError as exc:
        log.warning("%s", exc)


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


def _known_as(directory: Path, source_id: str) -> str:
    """The name that the gateway last gave to the device that asked for this one."""
    for note in sorted(directory.glob("names-*.txt")):
        name = unquote(note.stem.removeprefix("names-"))
        if source_id in _former_names(directory, name):
            return name
    return source_id


def _note(directory: Path, source_id: str) -> Path:
    return directory / f"names-{quote(source_id, safe='')}.txt"
