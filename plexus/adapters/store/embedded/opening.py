"""What a new start finds: the tables, the rows that are not sealed, and the files that the manifest names.

No file is read: its name, its size and the end of it say whether it is there. One that is not, or not whole, stops
nothing: it is named, and what it holds is unavailable until it is back. What lies there and is not in the manifest is
what a kill left of a piece of work that was not finished, and is unlinked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from plexus.adapters.privatefile import make_directory
from plexus.adapters.store.embedded import record
from plexus.adapters.store.embedded.catalogue import Catalogue
from plexus.adapters.store.embedded.files.sealedfile import SealedFile
from plexus.adapters.store.embedded.journal import Journal, Row
from plexus.adapters.store.embedded.manifest import Manifest, Rename
from plexus.adapters.store.embedded.newest import Newest
from plexus.adapters.store.embedded.renaming import renamed
from plexus.adapters.store.embedded.streams import Streams
from plexus.domain.errors import StoreError

FOLDER = "history"
_END = b"PAR1"

_log = logging.getLogger(__name__)


def known(manifest: Manifest) -> Catalogue:
    """The catalogue as the tables have it."""
    catalogue = Catalogue()
    catalogue.load(manifest.series(), manifest.next_series(), manifest.sources(), manifest.losses())
    return catalogue


def replay(journal: Journal, newest: Newest, streams: Streams, renames: Sequence[Rename]) -> list[str]:
    """Show every row that is not sealed; returns a sentence for each that cannot be read."""
    damage = []
    for row in journal.rows():
        try:
            found = renamed(_read(row), row.seq, renames)
        except record.DamagedRecord as exc:
            damage.append(journal.damaged(row.seq, str(exc)))
        else:
            streams.replay(row.seq, found.steps)
            newest.add(row.seq, found, row.body)
    return damage


def _read(row: Row) -> record.Record:
    if row.fault:
        raise record.DamagedRecord(row.fault)
    return record.unpack(row.body)


def usable(folder: Path, files: Iterable[SealedFile]) -> tuple[list[SealedFile], list[str]]:
    """The files that can be asked, and a sentence for each that cannot."""
    whole, damage = [], []
    for file in files:
        fault = next((fault for path in file.paths(folder) if (fault := _fault(path))), "")
        size = 0 if fault else sum(path.stat().st_size for path in file.paths(folder))
        if not fault and size != file.bytes:
            fault = f"{file.path(folder)} and its roll-ups have {size} bytes and not {file.bytes}"
        if fault:
            damage.append(unavailable(file, fault))
        else:
            whole.append(file)
    return whole, damage


def unavailable(file: SealedFile, fault: str) -> str:
    """A sentence about a file that cannot be asked."""
    return (
        f"{fault}; its {file.points} {file.kind} of {file.day} are unavailable, all others are here: "
        "put the file back from a backup, and start the gateway again"
    )


def _fault(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(-len(_END), 2)
            return "" if file.read() == _END else f"{path} is not whole"
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as exc:
        return f"{path} cannot be read ({exc.strerror or exc})"


def unlink_orphans(folder: Path, files: Iterable[SealedFile]) -> list[Path]:
    """Remove what the manifest does not name from the history's folder, and days without files; returns what it was.

    Raises StoreError.
    """
    named = {path for file in files for path in file.paths(folder)}
    try:
        make_directory(folder)
        orphans = [path for path in _lying(folder) if path not in named]
        for path in orphans:
            path.unlink()
    except OSError as exc:
        raise StoreError(f"{folder}: {exc.strerror or exc}; check that the directory is yours and writable") from exc
    if orphans:
        _log.info("%s: removed %d files of work that was not finished", folder, len(orphans))
    return orphans


def _lying(folder: Path) -> Iterator[Path]:
    """Files where ours lie; nothing else in there is touched."""
    for pattern in ("*.parquet", "*.parquet.part"):
        yield from folder.glob(f"*/day=*/{pattern}")
        yield from folder.glob(f"scattered_*/year=*/{pattern}")
