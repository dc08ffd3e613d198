"""A commandbook in memory: for tests and gateways that are gone with their process. The model of the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import attrs

from plexus.adapters.commandbook.body import pack
from plexus.domain.errors import StoreError
from plexus.ports.commandbook import KEPT, CommandEntry, State

_Place = tuple[str, str]
"""`(source_id, run_id)`."""


@attrs.define
class _Organisation:
    last: int = 0
    numbers: dict[_Place, int] = attrs.field(factory=dict)
    """In ascending order, since an entry that is put again keeps its place."""
    entries: dict[int, CommandEntry] = attrs.field(factory=dict)


class MemoryCommandbook:
    """Keeps `kept` entries an organisation."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._organisations: dict[str, _Organisation] = {}

    def put(self, entry: CommandEntry) -> None:
        """Keep an entry."""
        pack(entry)  # so that what a file could not keep is refused here, too
        place = (entry.source_id, entry.run_id)
        with self._lock:
            book = self._organisations.setdefault(entry.org, _Organisation())
            number = book.numbers.get(place)
            if number is None:
                book.last = number = book.last + 1
                book.numbers[place] = number
            book.entries[number] = entry
            _drop(book, [old for old in book.entries if old <= book.last - self._kept])

    def find(self, org: str, run_id: str, source_id: str | None = None) -> CommandEntry | None:
        """The entry with this run id."""
        with self._lock:
            return next(
                (
                    entry
                    for entry in self._of(org).entries.values()
                    if entry.run_id == run_id and source_id in (None, entry.source_id)
                ),
                None,
            )

    def entries(
        self, org: str, source_id: str, *, state: State | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[tuple[int, CommandEntry]]:
        """Entries of a source with their numbers, newest first."""
        with self._lock:
            found = [
                (number, entry)
                for number, entry in reversed(self._of(org).entries.items())
                if entry.source_id == source_id and state in (None, entry.state) and (before is None or number < before)
            ]
        return found[:limit]

    def queued(self) -> Sequence[CommandEntry]:
        """Every organisation's entries that are queued."""
        with self._lock:
            books = list(self._organisations.values())
            return [entry for book in books for entry in book.entries.values() if entry.state == "queued"]

    def forget(self, before_ms: float) -> int:
        """Let go of entries that were asked for before then."""
        with self._lock:
            return sum(
                _drop(book, [number for number, entry in book.entries.items() if entry.asked_ms < before_ms])
                for book in self._organisations.values()
            )

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now."""
        with self._lock:
            book = self._of(org)
            for number, entry in list(book.entries.items()):
                if entry.source_id == source_id:
                    book.entries[number] = attrs.evolve(entry, source_id=new)
            book.numbers = {(entry.source_id, entry.run_id): number for number, entry in book.entries.items()}

    def remove(self, org: str, source_id: str) -> int:
        """Let go of a source's entries."""
        with self._lock:
            book = self._of(org)
            return _drop(book, [number for number, entry in book.entries.items() if entry.source_id == source_id])

    def snapshot(self, folder: Path) -> None:  # noqa: ARG002 - the port's shape
        """There is nothing to copy from."""
        raise StoreError("what is kept in memory has no file to copy")

    def close(self) -> None:
        """There is nothing to let go of."""

    def _of(self, org: str) -> _Organisation:
        return self._organisations.get(org) or _Organisation()


def _drop(book: _Organisation, numbers: Sequence[int]) -> int:
    for number in numbers:
        entry = book.entries.pop(number)
        del book.numbers[entry.source_id, entry.run_id]
    return len(numbers)
