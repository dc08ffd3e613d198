"""`plexus gateway check`: what is wrong with a data directory that no gateway has open; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plexus.adapters.sqlitefile import damage
from plexus.domain.errors import ConfigurationError
from plexus.gateway.backup import RESTORING
from plexus.gateway.wellknown import JOURNAL_FILE


def check(data: Path) -> list[str]:
    """A sentence for each thing that is wrong, with its file; empty when nothing is.

    Raises ConfigurationError where there is no gateway's data, StoreError while a gateway has it open.
    """
    if not (data / JOURNAL_FILE).exists():
        raise ConfigurationError(f"no gateway has kept data in {data}: name its directory with --data")
    # Here, because nothing else of this needs DuckDB.
    from plexus.adapters.store.embedded.checking import check as check_store

    return [*_unfinished(data), *check_store(data), *_books(data)]


def _unfinished(data: Path) -> Iterator[str]:
    for path in sorted(data.glob(f"{RESTORING}*")):
        yield f"{path}: a backup was not put back to its end; empty the directory, and restore again"


def _books(data: Path) -> Iterator[str]:
    for path in sorted(data.glob("*.db")):
        if path.name != JOURNAL_FILE:
            for problem in damage(path):
                yield f"{path}: {problem}; put this file of a backup in its place"
