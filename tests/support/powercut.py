"""What a power cut can leave of files, rebuilt from a record of what was done to them.

What was flushed is there. Of what was written to a file after its last flush, every part of a sector may be there or
not, whatever the order; a file that was created and not flushed may have no name yet, and one that was deleted may have
it still.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import attrs

from tests.support.recording_vfs import Entry

SECTORS = (512, 4096)


@attrs.define
class _File:
    """What is certain of one file, and what was done since."""

    content: bytearray = attrs.field(factory=bytearray)
    loose: list[Entry] = attrs.field(factory=list)
    named: bool = True
    deleted: bool = False

    def add(self, entry: Entry) -> None:
        if entry.action == "create":
            # Another file under this name: what was there is gone with its name.
            self.content, self.loose, self.named, self.deleted = bytearray(), [], False, False
        elif entry.action == "sync":
            for loose in self.loose:
                _apply(self.content, loose)
            self.loose, self.named = [], True
        elif entry.action == "delete":
            self.deleted = True
        else:
            self.loose.append(entry)


def after_a_cut(record: Sequence[Entry | str], at: int, cut: random.Random) -> dict[str, bytes]:
    """The files, by name, when the power went before entry `at`, and `cut` decided what got through."""
    files: dict[str, _File] = {}
    for entry in record[:at]:
        if isinstance(entry, Entry) and entry.action == "sync_directory":
            files = {name: attrs.evolve(file, named=True) for name, file in files.items() if not file.deleted}
        elif isinstance(entry, Entry):
            files.setdefault(Path(entry.path).name, _File()).add(entry)
    return {
        name: bytes(_left(file, cut))
        for name, file in files.items()
        if (file.named or cut.random() < 0.5) and not (file.deleted and cut.random() < 0.7)
    }


def with_names(record: Sequence[Entry | str]) -> list[Entry | str]:
    """The record with what SQLite does out of its layer's sight: a new log's first flush is one of its directory, too.

    For whoever leaves a database's names to SQLite: without it a journal that was deleted may come back for ever.
    """
    found: list[Entry | str] = []
    new: set[str] = set()
    for entry in record:
        found.append(entry)
        if isinstance(entry, Entry) and entry.action == "create" and entry.path.endswith(("-wal", "-journal")):
            new.add(entry.path)
        elif isinstance(entry, Entry) and entry.action == "sync" and entry.path in new:
            new.remove(entry.path)
            found.append(Entry("sync_directory", str(Path(entry.path).parent)))
    return found


def _left(file: _File, cut: random.Random) -> bytearray:
    content = bytearray(file.content)
    way, sector = cut.choice(("none", "all", "prefix", "subset", "torn")), cut.choice(SECTORS)
    through = cut.randint(0, len(file.loose)) if way == "prefix" else len(file.loose)
    share = cut.random()
    for loose in file.loose[:through]:
        if way in ("all", "prefix") or (way == "subset" and cut.random() < share):
            _apply(content, loose)
        elif way == "torn":
            for part in _parts(loose, sector):
                if cut.random() < share:
                    _apply(content, part)
    return content


def _parts(entry: Entry, sector: int) -> list[Entry]:
    """A write as the storage does it: sector by sector."""
    if entry.action != "write":
        return [entry]
    start, end = entry.offset, entry.offset + len(entry.data)
    edges = [start, *range((start // sector + 1) * sector, end, sector), end]
    return [Entry("write", entry.path, low, entry.data[low - start : high - start]) for low, high in pairwise(edges)]


def _apply(content: bytearray, entry: Entry) -> None:
    if entry.action == "truncate":
        del content[entry.offset :]
        return
    end = entry.offset + len(entry.data)
    content.extend(bytes(max(0, end - len(content))))
    content[entry.offset : end] = entry.data
